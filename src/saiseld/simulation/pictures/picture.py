"""The picture of a scene: 360 x 180 equirectangular frames at 10 FPS of the same room.

Every pixel is a ray from the array. The shoebox is met by closed form, so walls, floor and ceiling
are in correct perspective; a source is a flat figure in an upright plane through its position
(facing the array, or in the wall), so it too has the right place, size and seam.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saiseld.conventions.sphere import HEIGHT, WIDTH, angles_of_pixel, angles_of_vector, unit_vector
from saiseld.conventions.timebase import FPS
from saiseld.data.pictures import read_picture
from saiseld.data.video import Frame
from saiseld.runtime.errors import DataError
from saiseld.runtime.files import visible
from saiseld.simulation.pictures.objects import Shape, figure
from saiseld.simulation.scene import ON_WALLS, Scene, Source
from saiseld.simulation.sounds.bank import Half

Light = NDArray[np.float32]

POSES = 5
"""Frames after which a sounding figure's movement repeats."""


def rays(oversampling: int = 1) -> NDArray[np.float32]:
    """Return the unit vectors (180 n, 360 n, 3) through the pixels' centres."""
    step = 1 / oversampling
    x, y = np.meshgrid(
        (np.arange(WIDTH * oversampling) + 0.5) * step,
        (np.arange(HEIGHT * oversampling) + 0.5) * step,
    )
    return unit_vector(*angles_of_pixel(x, y)).astype(np.float32)


def render_frames(scene: Scene, panorama: Light | None = None) -> Iterator[Frame]:
    """Yield the (180, 360, 3) sRGB frames of a scene.

    Parameters
    ----------
    scene
        What to draw.
    panorama
        A (180, 360, 3) picture in [0, 1] to draw the sources on, in place of the scene's own room.
    """
    background = draw_room(scene) if panorama is None else panorama.copy()
    view = rays()
    active: list[set[int]] = [set() for _ in scene.sources]
    for sound in scene.sounds:
        active[sound.source.source_id].update(sound.frames)
    far_to_near = np.argsort([-source.range_m for source in scene.sources])
    for source in scene.sources:
        if source.class_id not in ON_WALLS and not source.moves:
            _shade_floor(background, view, source.position(0.0), scene.array_m[2])
    patches: dict[tuple[int, float | None], _Patch] = {}
    for frame in range(scene.frames):
        canvas = background.copy()
        for index in far_to_near:
            source = scene.sources[index]
            pose = (frame % POSES) / POSES if frame in active[index] else None
            if source.moves:
                place = source.position((frame + 0.5) / FPS)
                _shade_floor(canvas, view, place, scene.array_m[2])
                _patch(scene, source, place, pose, view).paint(canvas)
                continue
            if (key := (int(index), pose)) not in patches:
                patches[key] = _patch(scene, source, source.position(0.0), pose, view)
            patches[key].paint(canvas)
        yield (np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8)


# Figures -------------------------------------------------------------------------------------


class _Patch:
    """Colour and cover of a figure on the pixels where it is."""

    def __init__(self, rows: slice, columns: NDArray[np.intp], colour: Light, cover: Light) -> None:
        self.rows, self.columns = rows, columns
        self.premultiplied, self.keep = colour, 1 - cover

    def paint(self, canvas: Light) -> None:
        part = canvas[self.rows, self.columns]
        canvas[self.rows, self.columns] = part * self.keep + self.premultiplied


def _patch(
    scene: Scene,
    source: Source,
    place: NDArray[np.float64],
    pose: float | None,
    view: NDArray[np.float32],
) -> _Patch:
    shapes = figure(source.class_id, source.seed, float(place[2]) + scene.array_m[2], pose)
    outward = _wall_normal(scene, place) if source.class_id in ON_WALLS else place[:2]
    outward = np.append(outward / np.linalg.norm(outward), 0.0)
    right = np.array([outward[1], -outward[0], 0.0])
    rows, columns = _window(shapes, place, right)
    ray = view[rows][:, columns]
    toward = ray @ outward.astype(np.float32)
    along = np.where(toward > 0.05, float(place @ outward) / np.maximum(toward, 0.05), np.inf)
    hit = ray * np.where(np.isfinite(along), along, 1e6)[..., None].astype(np.float32)
    u = hit @ right.astype(np.float32) - np.float32(place @ right)
    v = hit[..., 2] - np.float32(place[2])
    pixel_m = np.where(np.isfinite(along), along, 1e6).astype(np.float32) * np.float32(np.pi / 180)
    colour = np.zeros((*u.shape, 3), np.float32)
    cover = np.zeros((*u.shape, 1), np.float32)
    for shape in shapes:
        share = np.clip(0.5 - shape.distance(u, v) / pixel_m, 0, 1)[..., None].astype(np.float32)
        # A little darker towards the floor, as under a lamp.
        light = np.clip(0.9 + 0.08 * v, 0.7, 1.05)[..., None]
        colour = colour * (1 - share) + share * light * np.asarray(shape.colour, np.float32)
        cover = cover * (1 - share) + share
    return _Patch(rows, columns, colour, cover)


def _window(
    shapes: list[Shape], place: NDArray[np.float64], right: NDArray[np.float64]
) -> tuple[slice, NDArray[np.intp]]:
    """Return the rows and (wrapped) columns that the shapes' bounding rectangle covers."""
    reach = np.array([shape.reach() for shape in shapes])
    u, v = np.meshgrid(
        np.linspace(reach[:, 0].min(), reach[:, 2].max(), 17),
        np.linspace(reach[:, 1].min(), reach[:, 3].max(), 17),
    )
    points = place + u[..., None] * right + v[..., None] * np.array([0.0, 0.0, 1.0])
    azimuth, elevation = angles_of_vector(points)
    middle, _ = angles_of_vector(place)
    offset = np.mod(azimuth - middle + 180, 360) - 180
    first = int(np.floor(180 - (middle + offset.max()))) - 2
    last = int(np.ceil(180 - (middle + offset.min()))) + 2
    top = max(int(np.floor(90 - elevation.max())) - 2, 0)
    bottom = min(int(np.ceil(90 - elevation.min())) + 2, HEIGHT)
    return slice(top, bottom), np.arange(first, min(last, first + WIDTH)) % WIDTH


def _wall_normal(scene: Scene, place: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the outward normal of the wall that a place is on (or nearest to)."""
    corner = np.array(scene.array_m[:2])
    gaps = np.concatenate([corner + place[:2], scene.room.size_m[:2] - corner - place[:2]])
    normals = np.array([[-1.0, 0], [0, -1.0], [1.0, 0], [0, 1.0]])
    return np.asarray(normals[int(np.argmin(gaps))])


def _shade_floor(
    canvas: Light, view: NDArray[np.float32], place: NDArray[np.float64], array_height: float
) -> None:
    """Darken the floor under a figure."""
    first = HEIGHT // 2 + 5
    down = view[first:]
    hit = down[..., :2] * (-array_height / down[..., 2:])
    away = np.square(hit - place[:2].astype(np.float32)).sum(-1) / 0.3**2
    canvas[first:] *= (1 - 0.45 * np.exp(-away))[..., None].astype(np.float32)


# Rooms ---------------------------------------------------------------------------------------


def draw_room(scene: Scene) -> Light:
    """Return the empty room (180, 360, 3) in [0, 1], seen from the array."""
    look = np.random.default_rng(scene.room_seed)
    size, camera = np.array(scene.room.size_m), np.array(scene.array_m)
    oversampling = 3
    view = rays(oversampling).astype(np.float64)
    safe = np.where(np.abs(view) > 1e-6, view, 1e-6)
    reach = np.where(safe > 0, (size - camera) / safe, -camera / safe)
    axis = np.argmin(reach, axis=-1)
    point = camera + view * reach.min(axis=-1)[..., None]
    far = np.take_along_axis(safe, axis[..., None], -1)[..., 0] > 0
    colour = np.zeros_like(view)
    for number in range(6):
        side = (axis == number // 2) & (far == bool(number % 2))
        p = point[side]
        if number == 4:
            colour[side] = paint_floor(p[:, 0], p[:, 1], look)
        elif number == 5:
            colour[side] = paint_ceiling(p[:, 0], p[:, 1], size, look)
        else:
            along = p[:, 1] if number < 2 else p[:, 0]
            length = size[1] if number < 2 else size[0]
            colour[side] = paint_wall(along, p[:, 2], length, size[2], look, scene.room_seed)
    normal = np.eye(3)[axis] * np.where(far, -1.0, 1.0)[..., None]
    light = np.full(axis.shape, look.uniform(0.25, 0.5))
    for _ in range(int(look.integers(1, 4))):
        lamp = size * np.append(look.uniform(0.2, 0.8, 2), 0.92)
        to_lamp = lamp - point
        squared = np.einsum("...i,...i", to_lamp, to_lamp)
        facing = np.abs(np.einsum("...i,...i", to_lamp, normal)) / np.sqrt(squared)
        light += look.uniform(0.8, 1.8) * facing / (1.0 + squared)
    tint = 1 + look.uniform(-0.08, 0.08) * np.array([1, 0, -1])
    lit = np.clip(colour * light[..., None] * tint, 0, None)
    lit = lit / (1 + 0.35 * lit)
    blocks = lit.reshape(HEIGHT, oversampling, WIDTH, oversampling, 3).mean((1, 3))
    return np.asarray(np.clip(blocks * look.uniform(0.95, 1.25), 0, 1), np.float32)


Values = NDArray[np.float64]


def _tint(look: np.random.Generator, saturation: float, low: float, high: float) -> Values:
    hue = look.random()
    value, strength = look.uniform(low, high), look.uniform(0, saturation)
    wheel = 0.5 + 0.5 * np.cos(2 * np.pi * (hue + np.array([0, 1 / 3, 2 / 3])))
    return np.asarray(value * (1 - strength * (1 - wheel)))


def _grain(u: Values, v: Values, look: np.random.Generator, scale_m: float) -> Values:
    """Smooth random texture with mean 0 and standard deviation about 1, a 64 x 64 tile."""
    tile = look.standard_normal((64, 64))
    a, b = u / scale_m, v / scale_m
    i, j = np.floor(a).astype(int), np.floor(b).astype(int)
    fa, fb = a - i, b - j
    fa, fb = fa * fa * (3 - 2 * fa), fb * fb * (3 - 2 * fb)
    low = tile[i % 64, j % 64] * (1 - fa) + tile[(i + 1) % 64, j % 64] * fa
    high = tile[i % 64, (j + 1) % 64] * (1 - fa) + tile[(i + 1) % 64, (j + 1) % 64] * fa
    return np.asarray(low * (1 - fb) + high * fb)


def paint_floor(u: Values, v: Values, look: np.random.Generator) -> Values:
    """Return the (N, 3) colours of points of the floor, metres from its corner."""
    base = _tint(look, 0.5, 0.35, 0.75)
    kind = int(look.integers(3))
    if kind == 0:  # planks
        width, length = look.uniform(0.1, 0.2), look.uniform(0.9, 1.6)
        row = np.floor(v / width)
        board = np.floor(u / length + 0.37 * row)
        tone = np.sin(row * 12.9 + board * 78.2) * 0.12 + 0.05 * _grain(u * 0.2, v * 4, look, 0.1)
        seam = (np.mod(v, width) < 0.012) | (np.mod(u + 0.37 * row * length, length) < 0.012)
        tone = np.where(seam, -0.35, tone)
        base = np.array([1.0, 0.72, 0.45]) * look.uniform(0.35, 0.75)
    elif kind == 1:  # tiles
        side = look.uniform(0.25, 0.6)
        check = (np.floor(u / side) + np.floor(v / side)) % 2
        seam = (np.mod(u, side) < 0.02) | (np.mod(v, side) < 0.02)
        tone = np.where(seam, -0.3, look.uniform(0, 0.3) * (check - 0.5))
    else:  # carpet
        tone = 0.06 * _grain(u, v, look, 0.05) + 0.08 * _grain(u, v, look, 0.4)
    return base * (1 + tone)[:, None]


def paint_ceiling(u: Values, v: Values, size: Values, look: np.random.Generator) -> Values:
    """Return the (N, 3) colours of points of the ceiling, metres from its corner."""
    tone = 0.02 * _grain(u, v, look, 0.3)
    colour = _tint(look, 0.1, 0.8, 0.98) * (1 + tone)[:, None]
    if look.random() < 0.5:  # panels
        side = look.uniform(0.5, 0.7)
        seam = (np.mod(u, side) < 0.025) | (np.mod(v, side) < 0.025)
        colour[seam] *= 0.75
    for _ in range(int(look.integers(1, 5))):
        centre = size[:2] * look.uniform(0.15, 0.85, 2)
        half = look.uniform(0.1, 0.5, 2)
        lamp = (np.abs(u - centre[0]) < half[0]) & (np.abs(v - centre[1]) < half[1])
        colour[lamp] = 2.5
    return colour


def paint_wall(
    u: Values, v: Values, length: float, height: float, look: np.random.Generator, room_seed: int
) -> Values:
    """Return the (N, 3) colours of points of a wall, metres along and up."""
    paint = np.random.default_rng(room_seed + 1)  # one paint for all walls of the room
    base = _tint(paint, 0.35, 0.55, 0.95)
    if look.random() < 0.2:  # but one wall may differ
        base = _tint(look, 0.6, 0.4, 0.9)
    colour = base * (1 + 0.025 * _grain(u, v, look, 0.25))[:, None]
    kind = int(paint.integers(3))
    if kind == 1:  # wallpaper
        stripe = np.mod(u, 0.3) < paint.uniform(0.05, 0.2)
        colour[stripe] *= paint.uniform(0.8, 0.95)
    elif kind == 2:  # brick
        row = np.floor(v / 0.075)
        seam = (np.mod(v, 0.075) < 0.012) | (np.mod(u + 0.11 * (row % 2), 0.22) < 0.012)
        colour[seam] *= 0.82
    for _ in range(int(look.integers(0, 4))):
        _hang(colour, u, v, length, height, look)
    colour[v < 0.09] = base * paint.uniform(0.35, 1.0)  # skirting
    return colour


def _hang(
    colour: Values, u: Values, v: Values, length: float, height: float, look: np.random.Generator
) -> None:
    """Put a window, picture, shelf or cupboard on a wall, in place."""
    kind = int(look.integers(4))
    centre = look.uniform(0.12, 0.88) * length
    half_u, low, high = {
        0: (look.uniform(0.4, 0.9), 0.9, min(2.2, height - 0.2)),
        1: (look.uniform(0.2, 0.6), 1.2, 1.2 + look.uniform(0.3, 0.8)),
        2: (look.uniform(0.3, 0.7), 0.09, look.uniform(1.2, 2.1)),
        3: (look.uniform(0.3, 0.8), 0.09, look.uniform(0.7, 1.1)),
    }[kind]
    x, y = u - centre, v
    inside = (np.abs(x) < half_u) & (y > low) & (y < high)
    if kind == 0:  # window: frame, sky over garden
        sky = np.clip((y[inside] - low) / (high - low), 0, 1)[:, None]
        view = sky * np.array([0.75, 0.9, 1.1]) + (1 - sky) * _tint(look, 0.7, 0.4, 0.9)
        bars = (np.abs(x[inside]) < 0.03) | (np.abs(np.abs(x[inside]) - half_u) < 0.05)
        colour[inside] = np.where(bars[:, None], 0.9, 1.6 * view)
    elif kind == 1:  # picture
        art = 0.5 + 0.3 * np.stack([_grain(x[inside], y[inside], look, 0.2) for _ in range(3)], -1)
        frame = (np.abs(x[inside]) > half_u - 0.04) | (y[inside] < low + 0.04)
        frame |= y[inside] > high - 0.04
        colour[inside] = np.where(frame[:, None], _tint(look, 0.6, 0.1, 0.6), np.clip(art, 0, 1))
    elif kind == 2:  # shelf of books
        board = np.mod(y[inside] - low, 0.32)
        book = np.floor((x[inside] + half_u) / 0.045) + 31 * np.floor((y[inside] - low) / 0.32)
        shade = 0.5 + 0.4 * np.stack([np.sin(book * k) for k in (12.9, 78.2, 37.7)], -1)
        gap = (board < 0.03) | (board > 0.27)
        colour[inside] = np.where(gap[:, None], _tint(look, 0.5, 0.2, 0.6), 0.8 * shade)
    else:  # cupboard
        door = np.abs(np.mod(x[inside] + half_u, 0.4) - 0.2) > 0.19
        colour[inside] = _tint(look, 0.5, 0.3, 0.85) * np.where(door, 0.6, 1.0)[:, None]


# Given panoramas -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Panoramas:
    """Pictures (180, 360, 3) in [0, 1] of real rooms, apart for train and test."""

    pictures: Mapping[Half, Sequence[Light]]

    def draw(self, split: Half, rng: np.random.Generator) -> Light:
        """Return one of them, turned by any angle, lit a little more or less."""
        pictures = self.pictures[split]
        picture = pictures[int(rng.integers(len(pictures)))]
        turned = np.roll(picture, int(rng.integers(WIDTH)), axis=1)
        return np.asarray(np.clip(turned * np.float32(rng.uniform(0.75, 1.15)), 0, 1))

    def fingerprint(self) -> str:
        """Return a digest of all pixels."""
        digest = hashlib.sha256()
        for side in ("train", "test"):
            for picture in self.pictures[side]:
                digest.update(picture.tobytes())
        return digest.hexdigest()


def read_panoramas(folder: str | Path) -> Panoramas:
    """Read equirectangular JPEG or PNG pictures, each scaled to 360 x 180.

    ``<folder>/{train,test}/*`` keep the two sides apart; without those folders every second
    picture, in name order, goes to each side.

    Raises
    ------
    DataError
        If a side has no picture, or a picture cannot be read or is not twice as wide as high.
    """
    folder = Path(folder)
    sides: dict[Half, list[Path]]
    if (folder / "train").is_dir() or (folder / "test").is_dir():
        sides = {"train": _pictures(folder / "train"), "test": _pictures(folder / "test")}
    else:
        every = _pictures(folder)
        sides = {"train": every[0::2], "test": every[1::2]}
    for side, paths in sides.items():
        if not paths:
            raise DataError(folder, expected=f"a panorama for {side}", found="none")
    return Panoramas({side: [_read_panorama(p) for p in paths] for side, paths in sides.items()})


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataError(folder, expected="a folder of panoramas", found="no such folder")
    suffixes = {".jpg", ".jpeg", ".png"}
    return sorted(path for path in visible(folder.iterdir()) if path.suffix.lower() in suffixes)


def _read_panorama(path: Path) -> Light:
    picture = read_picture(path, DataError)
    width, height = picture.size
    if width != 2 * height:
        raise DataError(
            path, expected="a picture twice as wide as high", found=f"{width} x {height}"
        )
    small = picture.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    return np.asarray(small, np.float32) / np.float32(255)
