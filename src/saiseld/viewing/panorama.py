"""Draw masks over a panorama as the official scorer sees them, with ticks, legend and clock.

The picture keeps the project's convention: azimuth is positive to the left, 0 at the centre.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from saiseld.conventions.sphere import HEIGHT, WIDTH, pixel_of_angles
from saiseld.conventions.taxonomy import CLASS_COLOURS, CLASS_NAMES, NUM_CLASSES
from saiseld.data.video import Frame
from saiseld.evaluation.rendering import render
from saiseld.evaluation.soft_iou import Canvas
from saiseld.formats.annotation import EnergyMask
from saiseld.viewing.surface import Surface, font, font_of, yuv_of

_GROUND, _INK, _FAINT = (18, 20, 24), (225, 228, 232), (58, 62, 70)
_OPACITY = 0.8
_FAINTEST = 0.25
"""Opacity of a mask of score 0, against one of score 1."""
_CONTOUR = 0.5

Box = tuple[float, float, float, float]


class Layout:
    """Where things stand in a drawn picture.

    Parameters
    ----------
    width
        Of the panorama in pixels, without its margins; made a multiple of 4. It is half as high.
    """

    def __init__(self, width: int = 1080) -> None:
        self.width = 4 * max(round(width / 4), 90)
        self.height = self.width // 2
        self.scale = self.width / WIDTH
        unit = self.width / 1080
        self.left, self.top = 2 * round(22 * unit), 2 * round(17 * unit)
        right, bottom = 2 * round(98 * unit), round(26 * unit)
        # Video encoders want even sides.
        self.size = (
            self.left + self.width + right + (self.left + right) % 2,
            self.top + self.height + bottom + (self.top + self.height + bottom) % 2,
        )
        self.text, self.small, self.large = (max(round(k * unit), 9) for k in (14, 12, 17))


def draw_panorama(
    masks: Sequence[EnergyMask],
    picture: Frame | None,
    *,
    title: str = "",
    clock: str = "",
    width: int = 1080,
    classes: Iterable[int] | None = None,
) -> NDArray[np.uint8]:
    """Return an RGB picture of one frame's masks, the more opaque the surer; see `Layout`.

    Parameters
    ----------
    masks
        The masks of one frame; ids outside the 13 classes are not drawn.
    picture
        (h, w, 3) RGB, twice as wide as high, or None for a neutral grid.
    title, clock
        Text at the top left and top right.
    width
        Of the panorama in pixels.
    classes
        Classes in the legend, such as all that occur in a recording; those of ``masks`` if None.
    """
    layout = Layout(width)
    visible = _visible(masks)
    drawn = np.array(_margins(layout.width, title, *_legend(visible, classes)))
    field = drawn[layout.top :, layout.left :][: layout.height, : layout.width]
    field[:] = _grid(layout.width) if picture is None else _resized(picture, layout)
    _draw_over(Surface.rgb(drawn), layout, visible, clock)
    return drawn


def draw_yuv(
    masks: Sequence[EnergyMask],
    picture: Frame | None,
    *,
    title: str = "",
    clock: str = "",
    width: int = 1080,
    classes: Iterable[int] | None = None,
) -> NDArray[np.uint8]:
    """Return what `draw_panorama` draws as (height x 3 / 2, width) YUV 4:2:0, BT.601, for a video.

    Luminance is that of the RGB picture within 2 of 255 but for the edges of letters, which lie on
    whole pixels in both; colours have half the resolution, as in every such video.
    """
    layout = Layout(width)
    visible = _visible(masks)
    drawn = _yuv_margins(layout.width, title, *_legend(visible, classes)).copy()
    surface = Surface.yuv(drawn)
    if picture is None:
        field = _yuv_grid(layout.width)
    else:
        field = yuv_of(picture, (layout.width, layout.height))
    for plane, part in zip(surface.planes, Surface.yuv(field).planes, strict=True):
        step = layout.width // part.shape[1]
        below, right = plane[layout.top // step :], layout.left // step
        below[: len(part), right : right + part.shape[1]] = part
    _draw_over(surface, layout, visible, clock)
    return drawn


def _visible(masks: Sequence[EnergyMask]) -> list[EnergyMask]:
    """Return the masks that are drawn, the surest last, so that it is on top."""
    return sorted((m for m in masks if 0 <= m.class_id < NUM_CLASSES), key=_certainty)


def _legend(
    visible: Sequence[EnergyMask], classes: Iterable[int] | None
) -> tuple[tuple[int, ...], frozenset[int]]:
    """Return the classes of the legend, and which of them sound now."""
    present = frozenset(mask.class_id for mask in visible)
    return tuple(sorted(present if classes is None else classes)), present


def _draw_over(surface: Surface, layout: Layout, visible: Sequence[EnergyMask], clock: str) -> None:
    """Draw masks, their names and the clock."""
    energies = [render(mask.segmentation) for mask in visible]
    for mask, energy in zip(visible, energies, strict=True):
        paint_mask(surface, mask, energy, layout)
    _draw_labels(
        surface, layout, [(m, e) for m, e in zip(visible, energies, strict=True) if e.any()]
    )
    place = layout.left + layout.width, layout.top / 2
    surface.text(place, clock, layout.large, "rm", _INK)


def _certainty(mask: EnergyMask) -> float:
    return 1.0 if mask.score is None else float(np.clip(mask.score, 0, 1))


def _resized(picture: Frame, layout: Layout) -> NDArray[np.uint8]:
    size = layout.width, layout.height
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))


@cache
def _grid(width: int) -> NDArray[np.uint8]:
    size = width, width // 2
    image = Image.new("RGB", size, (30, 33, 39))
    draw = ImageDraw.Draw(image)
    scale = size[0] / WIDTH
    for x in range(0, WIDTH, 30):
        draw.line((x * scale, 0, x * scale, size[1]), _FAINT)
    for y in range(0, HEIGHT, 30):
        draw.line((0, y * scale, size[0], y * scale), _FAINT)
    return np.asarray(image)


def paint_mask(surface: Surface, mask: EnergyMask, energy: Canvas, layout: Layout) -> None:
    """Blend a mask into the part of the picture that it covers."""
    if not energy.any():
        return
    covered = np.asarray(energy, bool)
    down = _reach(covered, 1, layout.height)
    # What lies at the seam spreads over it.
    at_seam = bool(energy[:, [0, -1]].any())
    across = slice(0, layout.width) if at_seam else _reach(covered, 0, layout.width)
    rows = _spread(energy.shape[0], layout.height, -1)
    columns = _spread(energy.shape[1], layout.width, 0)
    share = rows[down] @ np.asarray(energy, np.float32) @ columns[across].T
    certainty = _FAINTEST + (1 - _FAINTEST) * _certainty(mask)
    alpha = _OPACITY * certainty * share
    inside = _contour(share > _CONTOUR)
    alpha[inside] += (1 - alpha[inside]) * certainty
    place = layout.left + across.start, layout.top + down.start
    surface.blend(*place, alpha, CLASS_COLOURS[mask.class_id])


def _reach(covered: NDArray[np.bool_], over: int, size: int) -> slice:
    """Return the pixels of ``size``, along the axis that is not ``over``, that points spread on."""
    (points,) = np.nonzero(covered.any(axis=over))
    step = size / covered.shape[1 - over]
    # Enlarging spreads a value over the next point on each side.
    last = min(int((points[-1] + 2) * step) + 1, size)
    return slice(max(int((points[0] - 1) * step), 0), last)


@cache
def _spread(points: int, size: int, beyond: int) -> NDArray[np.float32]:
    """Return (size, points) the shares of points that `enlarged` takes along an axis.

    ``beyond`` is the point that stands for the one after the last: the first one at the seam.
    """
    basis = Image.fromarray(np.eye(points + 1, dtype=np.float32))
    box = (0.5, 0, points + 0.5, points + 1)
    enlarging = basis.resize((size, points + 1), Image.Resampling.BILINEAR, box=box)
    shares = np.asarray(enlarging).T
    whole = shares[:, :-1].copy()
    whole[:, beyond] += shares[:, -1]
    return whole


def enlarged(energy: NDArray[np.floating], width: int) -> NDArray[np.float32]:
    """Return a scorer's canvas as a (width / 2, width) picture of energies."""
    # The scorer's pixel (i, j) stands for the point (i, j), a picture's for (i + 1/2, j + 1/2).
    padded = np.pad(np.asarray(energy, np.float32), ((0, 1), (0, 0)), mode="edge")
    image = Image.fromarray(np.pad(padded, ((0, 0), (0, 1)), mode="wrap"))
    columns, rows = energy.shape[1], energy.shape[0]
    half = (0.5, 0.5, columns + 0.5, rows + 0.5)
    size = width, width // 2
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR, box=half))


def _contour(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels inside a region that touch its outside; the seam is no outside."""
    surrounded = inside & np.roll(inside, 1, 1) & np.roll(inside, -1, 1)
    surrounded[1:] &= inside[:-1]
    surrounded[:-1] &= inside[1:]
    return inside & ~surrounded


@lru_cache(maxsize=64)
def _margins(
    width: int, title: str, classes: tuple[int, ...], present: frozenset[int]
) -> Image.Image:
    """Return what pictures have round their panorama."""
    layout = Layout(width)
    image = Image.new("RGB", layout.size, _GROUND)
    draw = ImageDraw.Draw(image, "RGBA")
    _draw_ticks(draw, layout)
    _draw_legend(draw, layout, classes, present)
    _draw_text(draw, (layout.left, layout.top / 2), title, layout.large, "lm")
    return image


@lru_cache(maxsize=64)
def _yuv_margins(
    width: int, title: str, classes: tuple[int, ...], present: frozenset[int]
) -> NDArray[np.uint8]:
    image = _margins(width, title, classes, present)
    return yuv_of(np.asarray(image), image.size)


@cache
def _yuv_grid(width: int) -> NDArray[np.uint8]:
    return yuv_of(_grid(width), (width, width // 2))


def _draw_ticks(draw: ImageDraw.ImageDraw, layout: Layout) -> None:
    foot, tick = layout.top + layout.height, layout.small / 3
    for azimuth in range(-150, 181, 30):
        x = layout.left + layout.scale * float(pixel_of_angles(azimuth, 0)[0])
        draw.line((x, foot, x, foot + tick), _INK)
        _draw_text(draw, (x, foot + 1.5 * tick), f"{azimuth}°", layout.small, "ma")
    for elevation in range(-60, 61, 30):
        y = layout.top + layout.scale * float(pixel_of_angles(0, elevation)[1])
        draw.line((layout.left - tick, y, layout.left, y), _INK)
        place = (layout.left - 1.7 * tick, y)
        _draw_text(draw, place, f"{elevation}°", layout.small, "rm")


def _draw_legend(
    draw: ImageDraw.ImageDraw, layout: Layout, classes: Sequence[int], present: Set[int]
) -> None:
    unit, side = 1.7 * layout.text, layout.text / 2
    for place, class_id in enumerate(classes):
        x, y = layout.left + layout.width + layout.text, layout.top + unit * (place + 0.5)
        draw.rectangle((x, y - side, x + 2 * side, y + side), CLASS_COLOURS[class_id])
        ink = _INK if class_id in present else (130, 134, 140)
        _draw_text(draw, (x + 3 * side, y), CLASS_NAMES[class_id], layout.text, "lm", ink)


def _draw_labels(
    surface: Surface, layout: Layout, masks: Sequence[tuple[EnergyMask, Canvas]]
) -> None:
    """Name the masks, the surest first, each where it covers no other name.

    A name that finds its place taken moves up or down, and a line leads back to its mask.
    """
    taken: list[Box] = []
    for mask, energy in reversed(masks):
        row, column = np.unravel_index(int(np.argmax(energy)), energy.shape)
        peak_x = layout.left + float(column) * layout.width / energy.shape[1]
        peak_y = layout.top + float(row) * layout.height / energy.shape[0]
        text = mask.class_name
        if mask.score is not None:
            text += f" {mask.score:.2f}"
        if mask.distance_cm is not None:
            text += f", {mask.distance_cm / 100:.1f} m"
        half = font(layout.text).getlength(text) / 2 + 4
        tall = layout.text * 0.65 + 2
        x = min(max(peak_x, layout.left + half), layout.left + layout.width - half)
        box = free_place(x, peak_y, half, tall, layout, taken)
        taken.append(box)
        y = (box[1] + box[3]) / 2
        colour = CLASS_COLOURS[mask.class_id]
        if abs(y - peak_y) > tall:
            surface.line((peak_x, peak_y), (x, y), 200 / 255, colour)
        left, top, right, bottom = (round(side) for side in box)
        ground = np.full((bottom - top + 1, right - left + 1), 150 / 255, np.float32)
        surface.blend(left, top, ground, _GROUND)
        # Halfway to white: dark classes are read on the dark ground too.
        red, green, blue = ((channel + 255) // 2 for channel in colour)
        surface.text((x, y), text, layout.text, "mm", (red, green, blue))


def free_place(
    x: float, y: float, half: float, tall: float, layout: Layout, taken: Sequence[Box]
) -> Box:
    """Return the free box nearest to a height; where all is taken, that at the height itself."""
    first, last = layout.top + tall, layout.top + layout.height - tall
    steps = int(layout.height / tall) + 1
    middle_y = min(max(y, first), last)
    for offset in sorted(range(-steps, steps + 1), key=abs):
        middle = middle_y + offset * tall
        box = (x - half, middle - tall, x + half, middle + tall)
        if first <= middle <= last and not any(overlap(box, other) for other in taken):
            return box
    return (x - half, middle_y - tall, x + half, middle_y + tall)


def overlap(a: Box, b: Box) -> bool:
    """Return whether two boxes share a pixel."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _draw_text(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    size: int,
    anchor: str,
    ink: tuple[int, ...] = _INK,
) -> None:
    """Draw one line of text."""
    draw.text(place, text.replace("\n", " "), ink, font_of(text, size), anchor)
