"""Energy masks drawn exactly as the official scorer draws them (2026-05-28 and 2026-06-30).

The canvas is 100 x 50, one pixel per 3.6 degrees. Each point list becomes a surface by linear
interpolation over the Delaunay triangulation of its points, in double precision; a mask of
degenerate lists alone (fewer than three points, or collinear ones) stays in single precision.

The triangulation of a pixel lattice is not unique, so it is left to the same Qhull call as the
official scorer's: any other choice of diagonals changes scores in the second digit. What is saved,
without changing a bit, is pixels outside the points' bounding box, where the surface is zero by
definition, and the inversion of the triangles one by one.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from saiseld.conventions.sphere import HEIGHT, WIDTH, angles_of_pixel
from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.evaluation.soft_iou import Canvas
from saiseld.formats.annotation import EnergyMask

if TYPE_CHECKING:
    from scipy.spatial import Delaunay

CANVAS_WIDTH = 100
CANVAS_HEIGHT = 50
_SEAM_GAP = 50  # columns; a wider gap between points means that the blob crosses the seam
_MANY_TRIANGLES = 64
_FLAT_TRIANGLE = 1e-10  # area per square of the longest side; SciPy's limit is near 1000 eps
_FLAT = 1e-8  # a canvas whose maximum is no more than this is left as it is

_LARGEST = np.finfo(np.float64).max

FloatArray = NDArray[np.float64]
SingleArray = NDArray[np.float32]

_PIXELS = np.stack(
    np.meshgrid(np.arange(2.0 * CANVAS_WIDTH), np.arange(float(CANVAS_HEIGHT))), axis=-1
)


def render(segmentation: Iterable[NDArray[np.float64]]) -> Canvas:
    """Return the (50, 100) canvas of one mask, peak 1 (all zero where it has no energy).

    In float64; in float32 where no list of the mask has a triangulation.

    Parameters
    ----------
    segmentation
        One (n, 3) array of ``x, y, energy`` per blob; x in [0, 360], y in [0, 180].
    """
    canvas: Canvas = np.zeros((CANVAS_HEIGHT, CANVAS_WIDTH))
    surfaces = False
    for blob in segmentation:
        if len(blob):
            left, top, drawn = _draw(blob)
            _fold_into(canvas, left, top, drawn)
            surfaces |= drawn.dtype == np.float64
    if not surfaces:
        canvas = canvas.astype(np.float32)
    peak = canvas.max()
    return canvas / peak if peak > _FLAT else canvas


def _draw(blob: NDArray[np.float64]) -> tuple[int, int, Canvas]:
    """Return first column, first row and the drawn rectangle of a blob on the 200 x 50 canvas."""
    points = np.asarray(blob, np.float32)
    # One float32 factor, as the official scorer has it: where the scaled lattice rounds decides
    # which diagonals Qhull picks.
    x = points[:, 0] * (CANVAS_WIDTH / WIDTH)
    y = points[:, 1] * (CANVAS_HEIGHT / HEIGHT)
    x = _unwrap(x)
    drawn = _interpolate(x, y, points[:, 2]) if len(points) >= 3 else None
    return _plot(x, y, points[:, 2]) if drawn is None else drawn


def _unwrap(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Move the part left of the largest gap to the right copy of the canvas if the gap is wide."""
    if x.max() - x.min() <= _SEAM_GAP:
        return x
    ordered = np.sort(x)
    gaps = np.diff(ordered)
    if len(gaps) and gaps.max() > _SEAM_GAP:
        return np.where(x <= ordered[np.argmax(gaps)], x + CANVAS_WIDTH, x)
    return x


def _interpolate(
    x: NDArray[np.float32], y: NDArray[np.float32], energy: NDArray[np.float32]
) -> tuple[int, int, FloatArray] | None:
    """Return what `_draw` does, or None for collinear points: they have no triangulation."""
    # Loaded by the first mask that is drawn: it takes longer than all else of this package.
    from scipy.interpolate import LinearNDInterpolator
    from scipy.spatial import Delaunay, QhullError

    left, top = math.floor(x.min()), math.floor(y.min())
    right = min(math.ceil(x.max()), 2 * CANVAS_WIDTH - 1)
    bottom = min(math.ceil(y.max()), CANVAS_HEIGHT - 1)
    try:
        triangulation = Delaunay(np.stack([x, y], axis=1))
    except QhullError:
        return None
    if triangulation.nsimplex >= _MANY_TRIANGLES:
        _invert_triangles(triangulation)
    surface = LinearNDInterpolator(triangulation, energy, fill_value=0.0)
    drawn = surface(_PIXELS[top : bottom + 1, left : right + 1])
    # The maximum that takes 0 over NaN; an infinite energy is drawn as the largest number.
    return left, top, np.minimum(np.fmax(drawn, 0.0), _LARGEST)


def _invert_triangles(triangulation: Delaunay) -> None:
    """Give a triangulation its barycentric transforms in one call, a fifth of its whole cost.

    SciPy makes three LAPACK calls a triangle, NumPy one for all, to the same bits. Where a triangle
    is flat all are left to SciPy, which marks it; so they are if SciPy should ever look elsewhere.
    """
    corners = triangulation.points[triangulation.simplices]
    origin = corners[:, 2:]
    edges = corners[:, :2] - origin
    area = edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0]
    if np.abs(area).min() > _FLAT_TRIANGLE * np.square(edges).max():
        inverse = np.linalg.inv(edges).transpose(0, 2, 1)
        transform = np.concatenate([inverse, origin], axis=1)
        triangulation._transform = np.ascontiguousarray(transform)


def _plot(
    x: NDArray[np.float32], y: NDArray[np.float32], energy: NDArray[np.float32]
) -> tuple[int, int, SingleArray]:
    column = np.clip(np.rint(x), 0, 2 * CANVAS_WIDTH - 1).astype(int)
    row = np.clip(np.rint(y), 0, CANVAS_HEIGHT - 1).astype(int)
    canvas = np.zeros((CANVAS_HEIGHT, 2 * CANVAS_WIDTH), np.float32)
    np.fmax.at(canvas, (row, column), energy)
    return 0, 0, canvas


def _fold_into(canvas: Canvas, left: int, top: int, drawn: Canvas) -> None:
    """Raise a (50, 100) canvas to a drawing on the 200 x 50 canvas, whose halves are one."""
    split = max(CANVAS_WIDTH - left, 0)
    for part, column in ((drawn[:, :split], left), (drawn[:, split:], left + split - CANVAS_WIDTH)):
        if part.size:
            place = canvas[top : top + part.shape[0], column : column + part.shape[1]]
            np.maximum(place, part, out=place)


@dataclass(frozen=True, eq=False)
class RenderedMasks:
    """The masks of one recording, drawn: what scoring needs of an annotation file; N rows.

    Parameters
    ----------
    frame, class_id
        (N,) int64; classes are 0-12 only.
    score
        (N,) float64, NaN on ground truth.
    distance_cm
        (N,) float64, NaN where unknown.
    azimuth, elevation
        (N,) float64 degrees of the strongest point (the first of equals), NaN for an empty mask.
    offset, pixel, value
        The canvases without their zeros: mask i holds ``value[offset[i]:offset[i + 1]]`` at the
        row-major canvas indices ``pixel[offset[i]:offset[i + 1]]``.
    single
        (N,) bool: the canvas is one of single precision.
    position
        (N,) int64: index of the mask in its file, where masks of other categories count too.
    group
        (K, 2) int64: every frame and category id of the file once, in order of appearance, other
        categories too. The official scorer's order of detections comes of it.
    ignored_class_id
        (I,) int64: category ids of the annotations left out because they are outside 0-12.
    """

    frame: NDArray[np.int64]
    class_id: NDArray[np.int64]
    score: FloatArray
    distance_cm: FloatArray
    azimuth: FloatArray
    elevation: FloatArray
    offset: NDArray[np.int64]
    pixel: NDArray[np.uint16]
    value: FloatArray
    single: NDArray[np.bool_]
    position: NDArray[np.int64]
    group: NDArray[np.int64]
    ignored_class_id: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.frame)

    def pixels(self, row: int | np.integer[Any]) -> NDArray[np.uint16]:
        """Return the row-major canvas indices where a mask is not zero, rising."""
        return self.pixel[self.offset[row] : self.offset[row + 1]]

    def without_scores(self) -> bytes:
        """Return a name for the masks: the same masks in the same order, whatever their scores."""
        digest = hashlib.blake2b(digest_size=16)
        for name in ("group", "frame", "class_id", "position", "offset", "pixel", "value"):
            digest.update(getattr(self, name).tobytes())
        return digest.digest()

    def canvas(self, row: int | np.integer[Any]) -> Canvas:
        """Return the (50, 100) canvas of a mask, float32 or float64 as `render` draws it."""
        part = slice(self.offset[row], self.offset[row + 1])
        dense: Canvas = np.zeros(CANVAS_HEIGHT * CANVAS_WIDTH)
        dense[self.pixel[part]] = self.value[part]
        if self.single[row]:
            dense = dense.astype(np.float32)
        return dense.reshape(CANVAS_HEIGHT, CANVAS_WIDTH)

    @cached_property
    def rows_of_frame(self) -> dict[int, NDArray[np.int64]]:
        """Rows of each frame that has any, in file order."""
        order = np.argsort(self.frame, kind="stable")
        frames, starts = np.unique(self.frame[order], return_index=True)
        ends = [*starts, len(order)][1:]
        return {int(f): order[a:b] for f, a, b in zip(frames, starts, ends, strict=True)}


Drawing = tuple[NDArray[np.uint16], Canvas]
"""Pixels that are not zero, as row-major canvas indices, and their values."""
Drawings = dict[tuple[bytes, ...], Drawing]
"""Masks drawn so far, by their points; shared between calls, each mask is drawn once."""


def render_masks(masks: Iterable[EnergyMask], drawings: Drawings | None = None) -> RenderedMasks:
    """Draw the masks of one recording.

    Parameters
    ----------
    masks
        In file order. Category ids outside 0-12 are counted and left out, as by the official
        scorer.
    drawings
        Where masks that several systems share are kept, so that each is drawn once.
    """
    frame, class_id, score, distance, strongest = [], [], [], [], []
    position, ignored = [], []
    parts: list[Drawing] = []
    groups: dict[tuple[int, int], None] = {}
    # Interpolation solves many 2 x 2 systems, where threads of BLAS only wait for one another.
    with _thread_pools().limit(limits=1, user_api="blas"):
        for index, mask in enumerate(masks):
            groups[mask.frame, mask.class_id] = None
            if not 0 <= mask.class_id < NUM_CLASSES:
                ignored.append(mask.class_id)
                continue
            position.append(index)
            frame.append(mask.frame)
            class_id.append(mask.class_id)
            score.append(np.nan if mask.score is None else mask.score)
            distance.append(np.nan if mask.distance_cm is None else mask.distance_cm)
            strongest.append(_strongest_point(mask))
            parts.append(_drawing(mask, drawings))
    azimuth, elevation = angles_of_pixel(*np.array(strongest, float).reshape(-1, 2).T)
    return RenderedMasks(
        frame=np.array(frame, np.int64),
        class_id=np.array(class_id, np.int64),
        score=np.array(score, float),
        distance_cm=np.array(distance, float),
        azimuth=azimuth,
        elevation=elevation,
        offset=np.cumsum([0, *(len(pixel) for pixel, _ in parts)], dtype=np.int64),
        pixel=np.concatenate([np.zeros(0, np.uint16), *(pixel for pixel, _ in parts)]),
        value=np.concatenate([np.zeros(0), *(value for _, value in parts)]),
        single=np.array([value.dtype == np.float32 for _, value in parts], bool),
        position=np.array(position, np.int64),
        group=np.array([*groups], np.int64).reshape(-1, 2),
        ignored_class_id=np.array(ignored, np.int64),
    )


@cache
def _thread_pools() -> ThreadpoolController:
    return ThreadpoolController()  # which takes longer to look around than a small file to draw


def _strongest_point(mask: EnergyMask) -> tuple[float, float]:
    """Return x and y of a mask's strongest point, the first of equals; NaN if it has none."""
    best = (-np.inf, np.nan, np.nan)
    for blob in mask.segmentation:
        if len(blob):
            x, y, energy = blob[blob[:, 2].argmax()].tolist()
            best = max(best, (energy, x, y), key=itemgetter(0))
    return best[1:]


def _drawing(mask: EnergyMask, drawings: Drawings | None) -> Drawing:
    if drawings is None:
        return _without_zeros(render(mask.segmentation))
    key = tuple(blob.tobytes() for blob in mask.segmentation)
    if key not in drawings:
        drawings[key] = _without_zeros(render(mask.segmentation))
    return drawings[key]


def _without_zeros(canvas: Canvas) -> Drawing:
    flat = canvas.reshape(-1)
    pixel = np.flatnonzero(flat).astype(np.uint16)
    return pixel, flat[pixel]
