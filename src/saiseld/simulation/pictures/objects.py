"""What sounding things look like: flat figures of a few shapes, in metres, standing on the floor.

A figure is a list of shapes in painter's order. Its origin is where the sound comes from (mouth,
hands, feet, loudspeaker cone); u grows to the right as seen from the array, v upwards. A figure is
drawn from the source's seed, so it looks the same in every frame; ``pose`` in [0, 1) runs while it
sounds and is None while it is silent.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Colour = tuple[float, float, float]
Generator = np.random.Generator
Plane = NDArray[np.float32]


class Ellipse(NamedTuple):
    """Centre, half axes."""

    u: float
    v: float
    half_u: float
    half_v: float
    colour: Colour

    def distance(self, u: Plane, v: Plane) -> Plane:
        """Return the (nearly) signed distance in metres, negative inside."""
        scaled = np.hypot((u - self.u) / self.half_u, (v - self.v) / self.half_v)
        return np.asarray((scaled - 1) * min(self.half_u, self.half_v))

    def reach(self) -> tuple[float, float, float, float]:
        """Return u0, v0, u1, v1."""
        return (
            self.u - self.half_u,
            self.v - self.half_v,
            self.u + self.half_u,
            self.v + self.half_v,
        )


class Box(NamedTuple):
    """Centre, half sides, corner radius."""

    u: float
    v: float
    half_u: float
    half_v: float
    colour: Colour
    corner: float = 0.01

    def distance(self, u: Plane, v: Plane) -> Plane:
        """Return the signed distance in metres, negative inside."""
        du = np.abs(u - self.u) - (self.half_u - self.corner)
        dv = np.abs(v - self.v) - (self.half_v - self.corner)
        outside = np.hypot(np.maximum(du, 0), np.maximum(dv, 0))
        inside = np.minimum(np.maximum(du, dv), 0)
        return np.asarray(outside + inside - np.float32(self.corner))

    def reach(self) -> tuple[float, float, float, float]:
        """Return u0, v0, u1, v1."""
        return (
            self.u - self.half_u,
            self.v - self.half_v,
            self.u + self.half_u,
            self.v + self.half_v,
        )


class Stroke(NamedTuple):
    """A thick line with round ends."""

    u0: float
    v0: float
    u1: float
    v1: float
    radius: float
    colour: Colour

    def distance(self, u: Plane, v: Plane) -> Plane:
        """Return the signed distance in metres, negative inside."""
        du, dv = self.u1 - self.u0, self.v1 - self.v0
        along = ((u - self.u0) * du + (v - self.v0) * dv) / max(du * du + dv * dv, 1e-9)
        along = np.clip(along, 0, 1)
        return np.hypot(u - self.u0 - along * du, v - self.v0 - along * dv) - np.float32(
            self.radius
        )

    def reach(self) -> tuple[float, float, float, float]:
        """Return u0, v0, u1, v1."""
        return (
            min(self.u0, self.u1) - self.radius,
            min(self.v0, self.v1) - self.radius,
            max(self.u0, self.u1) + self.radius,
            max(self.v0, self.v1) + self.radius,
        )


Shape = Ellipse | Box | Stroke


def figure(class_id: int, seed: int, height_m: float, pose: float | None) -> list[Shape]:
    """Return the figure of a source whose sound is ``height_m`` above the floor."""
    return _FIGURES[class_id](np.random.default_rng(seed), height_m, pose)


def _hsv(hue: float, saturation: float, value: float) -> Colour:
    return colorsys.hsv_to_rgb(hue % 1, min(max(saturation, 0), 1), min(max(value, 0), 1))


def _cloth(look: Generator) -> Colour:
    return _hsv(look.random(), look.uniform(0.2, 0.85), look.uniform(0.2, 0.9))


def _metal(look: Generator) -> Colour:
    return _hsv(look.uniform(0.05, 0.65), look.uniform(0, 0.12), look.uniform(0.55, 0.9))


def _wood(look: Generator) -> Colour:
    return _hsv(look.uniform(0.05, 0.1), look.uniform(0.35, 0.7), look.uniform(0.3, 0.75))


def _dark(colour: Colour, factor: float = 0.7) -> Colour:
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)


def _swing(pose: float | None, cycles: float) -> float:
    return 0.0 if pose is None else float(np.sin(2 * np.pi * cycles * pose))


# People --------------------------------------------------------------------------------------


def _person(
    look: Generator,
    mouth: float,
    floor: float,
    *,
    woman: bool,
    hands: tuple[tuple[float, float], tuple[float, float]] | None = None,
    open_mouth: float = 0.0,
    stride: float = 0.0,
    back: bool = False,
) -> list[Shape]:
    """A person whose mouth is at v = ``mouth`` and whose soles are at v = ``floor``."""
    skin = _hsv(look.uniform(0.04, 0.09), look.uniform(0.25, 0.6), look.uniform(0.4, 0.95))
    hair = _hsv(
        look.uniform(0.02, 0.12), look.uniform(0.1, 0.8), look.choice([0.1, 0.25, 0.5, 0.8])
    )
    top, legs = _cloth(look), _dark(_cloth(look), 0.8)
    long_hair = look.random() < (0.85 if woman else 0.1)
    skirt = woman and look.random() < 0.5
    shoulder = 0.19 * look.uniform(0.9, 1.1) + (0.0 if woman else 0.04)
    tall = mouth - floor
    chin, hip = mouth - 0.07, floor + 0.53 * tall
    half_width = 0.09 + 0.16 * abs(stride)
    shapes: list[Shape] = []
    if long_hair:
        shapes.append(Box(0, mouth - 0.02, 0.12, 0.20, hair, 0.08))
    for side in (-1, 1):
        foot = side * half_width if stride == 0 else side * 0.25 * stride
        shapes.append(Stroke(side * 0.08, hip, foot, floor + 0.08, 0.075, legs))
        shapes.append(Ellipse(foot + 0.03, floor + 0.04, 0.11, 0.045, _dark(legs, 0.4)))
    if skirt:
        shapes.append(Box(0, hip - 0.08, 0.19, 0.24, legs, 0.06))
    shapes.append(Box(0, (chin + hip) / 2 - 0.05, shoulder, (chin - hip) / 2 + 0.0, top, 0.09))
    if hands is None:
        hands = ((-shoulder - 0.06, hip - 0.04), (shoulder + 0.06, hip - 0.04))
    for side, (u, v) in zip((-1, 1), hands, strict=True):
        elbow = (side * (shoulder + 0.10), (chin - 0.12 + v) / 2 - 0.08)
        shapes.append(Stroke(side * (shoulder - 0.03), chin - 0.14, *elbow, 0.05, _dark(top, 0.9)))
        shapes.append(Stroke(*elbow, u, v, 0.042, _dark(top, 0.9)))
        shapes.append(Ellipse(u, v, 0.055, 0.06, skin))
    shapes.append(Box(0, chin, 0.05, 0.07, _dark(skin, 0.9)))
    if back:
        shapes.append(Ellipse(0, mouth + 0.06, 0.105, 0.14, hair))
        return shapes
    shapes.append(Ellipse(0, mouth + 0.10, 0.115, 0.13, hair))
    shapes.append(Ellipse(0, mouth + 0.045, 0.095, 0.125, skin))
    for side in (-1, 1):
        shapes.append(Ellipse(side * 0.037, mouth + 0.075, 0.013, 0.012, (0.1, 0.08, 0.08)))
    shapes.append(
        Ellipse(0, mouth, 0.035 + 0.01 * open_mouth, 0.009 + 0.035 * open_mouth, (0.45, 0.1, 0.12))
    )
    return shapes


def _female_speaker(look: Generator, height: float, pose: float | None) -> list[Shape]:
    return _person(look, 0.0, -height, woman=True, open_mouth=0.7 * abs(_swing(pose, 2)))


def _male_speaker(look: Generator, height: float, pose: float | None) -> list[Shape]:
    return _person(look, 0.0, -height, woman=False, open_mouth=0.7 * abs(_swing(pose, 2)))


def _laugher(look: Generator, height: float, pose: float | None) -> list[Shape]:
    woman = bool(look.random() < 0.5)
    shake = 0.03 * _swing(pose, 3)
    hands = None if pose is None else ((-0.12, -0.5 + shake), (0.12, -0.5 + shake))
    mouth = 0.3 if pose is None else 1.4
    return _person(look, shake, -height, woman=woman, hands=hands, open_mouth=mouth)


def _clapper(look: Generator, height: float, pose: float | None) -> list[Shape]:
    woman = bool(look.random() < 0.5)
    gap = 0.09 if pose is None else 0.05 + 0.13 * abs(_swing(pose, 2))
    mouth = look.uniform(0.30, 0.40)
    return _person(look, mouth, -height, woman=woman, hands=((-gap, 0.0), (gap, 0.0)))


def _walker(look: Generator, height: float, pose: float | None) -> list[Shape]:
    woman = bool(look.random() < 0.5)
    mouth = look.uniform(1.45, 1.75)
    stride = 0.35 if pose is None else 0.35 + 0.65 * abs(_swing(pose, 1))
    return _person(look, mouth, -height, woman=woman, stride=stride)


# Walls ---------------------------------------------------------------------------------------


def _door(look: Generator, height: float, pose: float | None) -> list[Shape]:
    colour = _wood(look) if look.random() < 0.6 else _cloth(look)
    width, top = look.uniform(0.40, 0.5), 2.05 - height
    middle, half = (top - height) / 2, (top + height) / 2
    ajar = 0.0 if pose is None else 0.25 + 0.75 * abs(_swing(pose, 0.5))
    frame = _dark(colour, 0.55)
    shapes: list[Shape] = [
        Box(0, middle + 0.02, width + 0.07, half + 0.05, frame),
        Box(0, middle, width, half, (0.06, 0.05, 0.05)),
    ]
    leaf = width * (1 - 0.45 * ajar)
    at = leaf - width
    shapes.append(Box(at, middle, leaf, half - 0.01, colour))
    for v in (middle + half / 2, middle - half / 2):
        shapes.append(Box(at, v, 0.68 * leaf, half * 0.36, _dark(colour, 0.85), 0.03))
    shapes.append(Ellipse(at + 0.82 * leaf, 0.0, 0.05, 0.035, _metal(look)))
    return shapes


def _knocker(look: Generator, height: float, pose: float | None) -> list[Shape]:
    shapes = _door(look, height, None)
    hit = 0.0 if pose is None else 0.06 * _swing(pose, 3)
    shoulder = 0.42 - height
    mouth = max(0.18, shoulder)
    return shapes + _person(
        look,
        mouth,
        -height,
        woman=bool(look.random() < 0.5),
        hands=((0.02 + hit, 0.0), (0.32, -0.45)),
        back=True,
    )


# Things --------------------------------------------------------------------------------------


def _stand(look: Generator, top: float, floor: float) -> list[Shape]:
    """A table, pedestal or stool from the floor up to v = ``top``."""
    colour = _wood(look) if look.random() < 0.7 else _metal(look)
    half = look.uniform(0.2, 0.4)
    shapes: list[Shape]
    if look.random() < 0.5:
        shapes = [
            Stroke(
                side * (half - 0.04),
                top - 0.02,
                side * (half - 0.02),
                floor,
                0.02,
                _dark(colour, 0.8),
            )
            for side in (-1, 1)
        ]
    else:
        shapes = [Box(0, (top + floor) / 2, 0.8 * half, (top - floor) / 2, _dark(colour, 0.8))]
    return [*shapes, Box(0, top - 0.02, half, 0.025, colour)]


def _telephone(look: Generator, height: float, pose: float | None) -> list[Shape]:
    shapes = _stand(look, -0.08, -height)
    colour = _cloth(look) if look.random() < 0.6 else (0.08, 0.08, 0.1)
    shake = 0.012 * _swing(pose, 4)
    if look.random() < 0.5:  # desk telephone, handset on top
        lift = 0.075 + abs(shake)
        shapes += [
            Box(0, -0.015, 0.13, 0.065, colour, 0.03),
            Ellipse(0, -0.015, 0.05, 0.045, (0.85, 0.85, 0.8)),
            Stroke(-0.12, lift, 0.12, lift, 0.022, _dark(colour)),
            Ellipse(-0.13, lift - 0.015, 0.04, 0.032, _dark(colour)),
            Ellipse(0.13, lift - 0.015, 0.04, 0.032, _dark(colour)),
        ]
    else:  # a mobile telephone in its holder
        lit = (0.5, 0.8, 1.0) if pose is not None else (0.12, 0.14, 0.18)
        shapes += [
            Box(shake, 0.02, 0.055, 0.105, (0.05, 0.05, 0.06), 0.015),
            Box(shake, 0.025, 0.046, 0.085, lit, 0.008),
        ]
    return shapes


def _appliance(look: Generator, height: float, pose: float | None) -> list[Shape]:
    colour, dark = _cloth(look), (0.15, 0.15, 0.17)
    shake = 0.01 * _swing(pose, 4)
    if height < 0.45:  # vacuum cleaner: body, wheels, hose, nozzle
        return [
            Stroke(0.12, 0.05, 0.42, 0.75, 0.022, dark),
            Stroke(0.42, 0.75, 0.62, 0.06 - height, 0.018, _metal(look)),
            Box(0.66, 0.035 - height, 0.16, 0.035, dark),
            Ellipse(shake, 0.0, 0.26, min(0.17, height), colour),
            Ellipse(-0.14, 0.07 - height, 0.07, 0.07, dark),
            Ellipse(0.12, 0.06 - height, 0.05, 0.05, dark),
        ]
    if height < 0.75:  # washing machine
        white = _hsv(look.random(), 0.05, look.uniform(0.75, 0.95))
        return [
            Box(shake, 0.42 - height, 0.30, 0.42, white, 0.02),
            Box(shake, 0.78 - height, 0.28, 0.045, _dark(white)),
            Ellipse(shake, 0.40 - height, 0.19, 0.19, _metal(look)),
            Ellipse(shake, 0.40 - height, 0.14, 0.14, (0.12, 0.16, 0.22)),
        ]
    shapes = _stand(look, -0.14, -height)
    if look.random() < 0.5:  # blender
        shapes += [
            Box(shake, -0.07, 0.09, 0.07, dark, 0.02),
            Box(shake, 0.10, 0.07, 0.11, _hsv(look.random(), 0.4, 0.85), 0.02),
            Box(shake, 0.22, 0.06, 0.02, dark),
        ]
    else:  # pan on a cooker
        shapes += [
            Box(0, -0.11, 0.28, 0.03, (0.9, 0.9, 0.9)),
            Box(0, -0.03, 0.16, 0.05, _metal(look), 0.02),
            Stroke(0.16, 0.0, 0.36, 0.03, 0.015, dark),
        ]
        if pose is not None:
            shapes += [Ellipse(0.06 * _swing(pose, 1), 0.12, 0.07, 0.10, (0.9, 0.9, 0.92))]
    return shapes


def _loudspeaker(look: Generator, height: float, pose: float | None) -> list[Shape]:
    body = (
        _wood(look) if look.random() < 0.4 else _hsv(look.random(), 0.1, look.uniform(0.08, 0.35))
    )
    cone = _hsv(look.random(), look.uniform(0, 0.5), look.uniform(0.4, 0.85))
    half_u, half_v = look.uniform(0.12, 0.24), look.uniform(0.2, 0.34)
    half_v = min(half_v, height)
    push = 1 + 0.12 * _swing(pose, 3)
    shapes: list[Shape] = []
    if height > half_v + 0.05:
        shapes.append(Stroke(0, -half_v, 0, -height, 0.025, (0.1, 0.1, 0.1)))
        shapes.append(Box(0, 0.015 - height, 0.16, 0.015, (0.1, 0.1, 0.1)))
    shapes.append(Box(0, 0, half_u, half_v, body, 0.02))
    for v, radius in ((-0.3 * half_v, 0.72 * half_u), (0.62 * half_v, 0.38 * half_u)):
        shapes.append(Ellipse(0, v, radius, radius, _dark(cone, 0.5)))
        shapes.append(Ellipse(0, v, 0.8 * radius * push, 0.8 * radius * push, cone))
        shapes.append(Ellipse(0, v, 0.3 * radius, 0.3 * radius, (0.05, 0.05, 0.05)))
    return shapes


def _instrument(look: Generator, height: float, pose: float | None) -> list[Shape]:
    wood, kind = _wood(look), int(look.integers(3))
    shake = 0.012 * _swing(pose, 3)
    if kind == 0:  # guitar or cello on its stand
        return [
            Stroke(0, -0.2, -0.2, -height, 0.015, (0.1, 0.1, 0.1)),
            Stroke(0, -0.2, 0.2, -height, 0.015, (0.1, 0.1, 0.1)),
            Stroke(shake, 0.1, shake, 0.68, 0.03, _dark(wood, 0.5)),
            Box(shake, 0.73, 0.045, 0.08, _dark(wood, 0.6), 0.02),
            Ellipse(shake, -0.15, 0.22, 0.20, wood),
            Ellipse(shake, 0.10, 0.17, 0.16, wood),
            Ellipse(shake, 0.0, 0.065, 0.065, (0.08, 0.05, 0.03)),
            Box(shake, -0.2, 0.08, 0.015, (0.08, 0.05, 0.03)),
        ]
    if kind == 1:  # upright piano
        case = wood if look.random() < 0.5 else (0.06, 0.06, 0.07)
        keys: list[Shape] = [
            Box(0, (0.25 - height) / 2, 0.65, (0.25 + height) / 2, case, 0.02),
            Box(0, -0.02, 0.60, 0.05, (0.92, 0.92, 0.88)),
            Box(0, -0.09, 0.65, 0.03, _dark(case)),
        ]
        return keys + [
            Box(u, 0.0, 0.018, 0.03, (0.05, 0.05, 0.05)) for u in np.linspace(-0.5, 0.5, 9)
        ]
    brass = _hsv(0.12, look.uniform(0.4, 0.8), look.uniform(0.6, 0.9))  # trumpet and player
    player = _person(
        look,
        0.05,
        -max(height, 1.2),
        woman=bool(look.random() < 0.5),
        hands=((-0.05, -0.02), (0.09, -0.02)),
    )
    return [
        *player,
        Stroke(0.0, 0.03, 0.26, shake, 0.02, brass),
        Stroke(0.02, -0.05, 0.20, -0.05, 0.014, brass),
        Ellipse(0.30, shake, 0.05, 0.10, brass),
        Ellipse(0.31, shake, 0.03, 0.075, _dark(brass, 0.5)),
    ]


def _tap(look: Generator, height: float, pose: float | None) -> list[Shape]:
    metal, basin = _metal(look), _hsv(look.random(), 0.06, look.uniform(0.75, 0.97))
    rim = -0.15
    shapes: list[Shape] = [
        Box(
            0,
            (rim - height) / 2,
            0.10 if look.random() < 0.4 else 0.34,
            (rim + height) / 2,
            _dark(basin, 0.85),
        ),
        Box(0, rim - 0.06, 0.34, 0.08, basin, 0.05),
        Box(0, rim + 0.005, 0.27, 0.02, _dark(basin, 0.55)),
        Stroke(0.12, rim, 0.12, 0.10, 0.022, metal),
        Stroke(0.12, 0.10, 0.0, 0.10, 0.022, metal),
        Stroke(0.0, 0.10, 0.0, 0.05, 0.022, metal),
        Stroke(0.08, 0.16, 0.17, 0.16, 0.016, _dark(metal)),
    ]
    if pose is not None:
        shapes.append(Stroke(0.004 * _swing(pose, 4), 0.04, 0.0, rim, 0.014, (0.65, 0.8, 0.95)))
    return shapes


def _bell(look: Generator, height: float, pose: float | None) -> list[Shape]:
    metal = _hsv(look.uniform(0.09, 0.14), look.uniform(0.3, 0.85), look.uniform(0.55, 0.95))
    size, tilt = look.uniform(0.8, 1.5), 0.08 * _swing(pose, 2)
    if height > 1.35:
        shapes: list[Shape] = [
            Stroke(-0.32, 0.25 * size, -0.32, -height, 0.025, _wood(look)),
            Stroke(-0.34, 0.25 * size, 0.05, 0.25 * size, 0.025, _wood(look)),
            Stroke(0, 0.25 * size, tilt, 0.12 * size, 0.012, _dark(metal, 0.5)),
        ]
    else:
        shapes = _stand(look, -0.13 * size, -height)
        shapes.append(Stroke(0, 0.12 * size, -tilt, 0.24 * size, 0.022, _wood(look)))
    return [
        *shapes,
        Ellipse(tilt * 1.6, -0.11 * size, 0.03 * size, 0.03 * size, _dark(metal, 0.4)),
        Ellipse(tilt, 0.04 * size, 0.085 * size, 0.10 * size, metal),
        Box(tilt, -0.02 * size, 0.085 * size, 0.06 * size, metal, 0.01),
        Box(1.2 * tilt, -0.09 * size, 0.125 * size, 0.025 * size, _dark(metal, 0.85), 0.015),
    ]


_FIGURES: tuple[Callable[[Generator, float, float | None], list[Shape]], ...] = (
    _female_speaker,
    _male_speaker,
    _clapper,
    _telephone,
    _laugher,
    _appliance,
    _walker,
    _door,
    _loudspeaker,
    _instrument,
    _tap,
    _bell,
    _knocker,
)
