"""Draw masks over a panorama as the official scorer sees them, with ticks, legend and clock.

The picture keeps the project's convention: azimuth is positive to the left, 0 at the centre.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from saiseld.conventions.sphere import HEIGHT, WIDTH, pixel_of_angles
from saiseld.conventions.taxonomy import CLASS_COLOURS, CLASS_NAMES, NUM_CLASSES
from saiseld.data.video import Frame
from saiseld.evaluation.rendering import render
from saiseld.formats.annotation import EnergyMask

SCALE = 3
PANORAMA = (WIDTH * SCALE, HEIGHT * SCALE)
LEFT, TOP, BOTTOM, LEGEND = 44, 34, 26, 196
SIZE = (LEFT + PANORAMA[0] + LEGEND, TOP + PANORAMA[1] + BOTTOM)
"""Width and height of the drawn picture in pixels, both even as video encoders want."""

_GROUND, _INK, _FAINT = (18, 20, 24), (225, 228, 232), (58, 62, 70)
_OPACITY = 0.75
_CONTOUR = 0.5


def draw_panorama(
    masks: Sequence[EnergyMask], picture: Frame | None, *, title: str = "", clock: str = ""
) -> NDArray[np.uint8]:
    """Return an RGB picture (600, 1320, 3) of one frame's masks.

    Parameters
    ----------
    masks
        The masks of one frame; ids outside the 13 classes are not drawn.
    picture
        (180, 360, 3) RGB, or None for a neutral grid.
    title, clock
        Text at the top left and top right.
    """
    field = _background(picture)
    shown = [mask for mask in masks if 0 <= mask.class_id < NUM_CLASSES]
    # The most certain is painted last, so that it is on top.
    shown.sort(key=lambda mask: mask.score if mask.score is not None else 1.0)
    energies = [_enlarged(render(mask.segmentation)) for mask in shown]
    for mask, energy in zip(shown, energies, strict=True):
        colour = np.array(CLASS_COLOURS[mask.class_id], np.float32)
        alpha = (_OPACITY * energy)[..., None]
        field = field * (1 - alpha) + colour * alpha
        field[_contour(energy > _CONTOUR)] = colour
    image = Image.new("RGB", SIZE, _GROUND)
    image.paste(Image.fromarray(field.astype(np.uint8)), (LEFT, TOP))
    draw = ImageDraw.Draw(image)
    _draw_frame(draw, {mask.class_id for mask in shown})
    for mask, energy in zip(shown, energies, strict=True):
        if energy.any():
            _draw_name(draw, mask, energy)
    draw.text((LEFT, TOP / 2), title, _INK, _font(17), anchor="lm")
    draw.text((LEFT + PANORAMA[0], TOP / 2), clock, _INK, _font(17), anchor="rm")
    return np.asarray(image)


def _background(picture: Frame | None) -> NDArray[np.float32]:
    if picture is not None:
        enlarged = Image.fromarray(picture).resize(PANORAMA, Image.Resampling.BICUBIC)
        return np.asarray(enlarged, np.float32)
    image = Image.new("RGB", PANORAMA, (30, 33, 39))
    draw = ImageDraw.Draw(image)
    for x in range(0, WIDTH, 30):
        draw.line((x * SCALE, 0, x * SCALE, PANORAMA[1]), _FAINT)
    for y in range(0, HEIGHT, 30):
        draw.line((0, y * SCALE, PANORAMA[0], y * SCALE), _FAINT)
    return np.asarray(image, np.float32)


def _enlarged(energy: NDArray[np.floating]) -> NDArray[np.float32]:
    # The scorer's pixel (i, j) stands for the point (i, j), a picture's for (i + 1/2, j + 1/2).
    padded = np.pad(np.asarray(energy, np.float32), ((0, 1), (0, 0)), mode="edge")
    image = Image.fromarray(np.pad(padded, ((0, 0), (0, 1)), mode="wrap"))
    columns, rows = energy.shape[1], energy.shape[0]
    half = (0.5, 0.5, columns + 0.5, rows + 0.5)
    return np.asarray(image.resize(PANORAMA, Image.Resampling.BILINEAR, box=half))


def _contour(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels inside a region that touch its outside; the seam is no outside."""
    surrounded = inside & np.roll(inside, 1, 1) & np.roll(inside, -1, 1)
    surrounded[1:] &= inside[:-1]
    surrounded[:-1] &= inside[1:]
    return inside & ~surrounded


def _draw_frame(draw: ImageDraw.ImageDraw, present: set[int]) -> None:
    foot = TOP + PANORAMA[1]
    for azimuth in range(-150, 181, 30):
        x = LEFT + SCALE * float(pixel_of_angles(azimuth, 0)[0])
        draw.line((x, foot, x, foot + 4), _INK)
        draw.text((x, foot + 6), f"{azimuth}°", _INK, _font(12), anchor="ma")
    for elevation in range(-60, 61, 30):
        y = TOP + SCALE * float(pixel_of_angles(0, elevation)[1])
        draw.line((LEFT - 4, y, LEFT, y), _INK)
        draw.text((LEFT - 7, y), f"{elevation}°", _INK, _font(12), anchor="rm")
    for class_id, (name, colour) in enumerate(zip(CLASS_NAMES, CLASS_COLOURS, strict=True)):
        x, y = LEFT + PANORAMA[0] + 14.0, TOP + 12.0 + class_id * 24
        draw.rectangle((x, y - 7, x + 14, y + 7), colour)
        ink = _INK if class_id in present else (130, 134, 140)
        draw.text((x + 22, y), name, ink, _font(14), anchor="lm")


def _draw_name(draw: ImageDraw.ImageDraw, mask: EnergyMask, energy: NDArray[np.float32]) -> None:
    row, column = np.unravel_index(int(np.argmax(energy)), energy.shape)
    text = CLASS_NAMES[mask.class_id]
    if mask.score is not None:
        text += f" {mask.score:.2f}"
    if mask.distance_cm is not None:
        text += f", {mask.distance_cm / 100:.1f} m"
    half = draw.textlength(text, _font(14)) / 2
    x = LEFT + min(max(float(column), half + 4), PANORAMA[0] - half - 4)
    y = TOP + min(max(float(row), 12), PANORAMA[1] - 12)
    colour = CLASS_COLOURS[mask.class_id]
    draw.text((x, y), text, colour, _font(14), "mm", stroke_width=2, stroke_fill=_GROUND)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
