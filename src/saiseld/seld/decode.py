"""From maps to a candidate table: peaks on the sphere, several a class, with box and energy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import expit

from saiseld.conventions.label_law import BOX_EXTENT_DEG, LABEL_SIGMA_DEG
from saiseld.conventions.sphere import (
    HEIGHT,
    WIDTH,
    angles_of_pixel,
    angles_of_vector,
    pixel_of_angles,
    unit_vector,
)
from saiseld.formats.candidates import MAP_SIZE, Candidates
from saiseld.seld.output import GRID, SeldOutput

THRESHOLD = 0.02
"""Least score of a candidate."""
PEAKS = 2
"""Most candidates of one class in a frame."""
APART_DEG = 25.0
"""Two candidates of one class are at least this far apart."""
MOST = 12
"""Candidates of a frame."""

_CELL_DEG = 2
_NEAREST = 6
_BLUR_DEG = 6.0

FloatArray = NDArray[np.float64]


class Peaks(NamedTuple):
    """Of maps (..., P), K peaks each, the highest first.

    Parameters
    ----------
    point
        (..., K) index on the grid.
    value
        (..., K) the map there.
    """

    point: NDArray[np.intp]
    value: NDArray[np.floating]


def peaks(maps: NDArray[np.floating], count: int, apart_deg: float) -> Peaks:
    """Return the highest points of maps that are at least ``apart_deg`` apart.

    Parameters
    ----------
    maps
        (..., 484).
    """
    flat = np.array(maps, np.float32).reshape(-1, GRID.shape[1])
    near = _near(apart_deg)
    every = np.arange(len(flat))
    points, values = [], []
    for _ in range(count):
        best = flat.argmax(1)
        points.append(best)
        values.append(flat[every, best])
        flat[near[best]] = -np.inf
    shape = (*maps.shape[:-1], count)
    return Peaks(np.stack(points, -1).reshape(shape), np.stack(values, -1).reshape(shape))


@cache
def _near(apart_deg: float) -> NDArray[np.bool_]:
    """Return (484, 484) whether two directions of the grid are nearer than that."""
    return np.asarray(np.cos(np.radians(apart_deg)) < GRID.T @ GRID)


@cache
def _patches() -> tuple[NDArray[np.intp], FloatArray, FloatArray]:
    """Return each point's nearest 12 (itself first), two tangents, and the fit of a paraboloid."""
    cosine = GRID.T @ GRID
    nearest = np.argsort(-cosine, axis=1)[:, :12]
    up = np.where(np.abs(GRID[2]) < 0.9, 0, 1)
    pole = np.stack([up, np.zeros_like(up), 1 - up]).astype(float)
    east = np.cross(pole.T, GRID.T)
    east /= np.linalg.norm(east, axis=1, keepdims=True)
    north = np.cross(GRID.T, east)
    tangents = np.stack([east, north], axis=1)
    offset = np.einsum("pkx,pjx->pjk", tangents, GRID.T[nearest] - GRID.T[:, None])
    x, y = offset[..., 0], offset[..., 1]
    design = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    return nearest, tangents, np.linalg.pinv(design)


def refined(maps: NDArray[np.floating], point: NDArray[np.intp]) -> FloatArray:
    """Return (n, 3) unit vectors of peaks between the points of the grid.

    A paraboloid is laid through the logits round each peak, in the tangent plane.

    Parameters
    ----------
    maps
        (n, 484) logits.
    point
        (n,) the highest point of each.
    """
    nearest, tangents, fit = _patches()
    around = np.take_along_axis(maps, nearest[point], axis=1).astype(float)
    # A sharp peak is far from a paraboloid further out: what is much lower tells nothing.
    around = np.maximum(around, around[:, :1] - 6)
    coefficient = np.einsum("pcn,pn->pc", fit[point], around)
    _, bx, by, xx, xy, yy = coefficient.T
    determinant = 4 * xx * yy - xy * xy
    peaked = (determinant > 1e-9) & (xx < 0)
    safe = np.where(peaked, determinant, 1.0)
    x = np.where(peaked, (xy * by - 2 * yy * bx) / safe, 0)
    y = np.where(peaked, (xy * bx - 2 * xx * by) / safe, 0)
    reach = np.hypot(x, y)
    limit = np.radians(7.0)
    shrink = np.where(reach > limit, limit / np.maximum(reach, 1e-9), 1.0)
    step = np.stack([x * shrink, y * shrink], axis=-1)
    moved = GRID.T[point] + np.einsum("pk,pkx->px", step, tangents[point])
    return np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True))


class Shape(NamedTuple):
    """A box round each of n directions and the energy in it.

    Parameters
    ----------
    box
        (n, 4) canvas pixels, x before or beyond the seam where it lies on it.
    energy_map
        (n, 28, 28), 1 at most.
    """

    box: NDArray[np.float32]
    energy_map: NDArray[np.float16]


def shapes(direction: FloatArray, maps: NDArray[np.floating]) -> Shape:
    """Return boxes and energy maps of directions.

    The box holds what is nearer than `BOX_EXTENT_DEG`, as far as a canvas can; the energy is the
    label method's Gaussian times how likely the map finds the place, relative to its peak.

    Parameters
    ----------
    direction
        (n, 3) unit vectors.
    maps
        (n, 484) logits.
    """
    azimuth, elevation = angles_of_vector(direction)
    x, y = pixel_of_angles(azimuth, elevation)
    wide = np.minimum(BOX_EXTENT_DEG / np.maximum(np.cos(np.radians(elevation)), 0.2), 90.0)
    top, bottom = np.maximum(y - BOX_EXTENT_DEG, 0), np.minimum(y + BOX_EXTENT_DEG, HEIGHT)
    box = np.stack([x - wide, top, x + wide, bottom], axis=-1)
    cell = (np.arange(MAP_SIZE) + 0.5) / MAP_SIZE
    across = box[:, :1] + cell * (box[:, 2:3] - box[:, :1])
    down = box[:, 1:2] + cell * (box[:, 3:4] - box[:, 1:2])
    places = _directions(across[:, None, :], down[:, :, None])
    angle = np.degrees(np.arccos(np.clip(np.einsum("nrcx,nx->nrc", places, direction), -1, 1)))
    gaussian = np.exp(-0.5 * (angle / LABEL_SIGMA_DEG) ** 2)
    nearest, weight = _between()
    cell_x = (np.mod(across, WIDTH) / _CELL_DEG).astype(int)[:, None, :]
    cell_y = np.minimum(down / _CELL_DEG, HEIGHT // _CELL_DEG - 1).astype(int)[:, :, None]
    points, weights = nearest[cell_y, cell_x], weight[cell_y, cell_x]
    likely = expit(np.asarray(maps, float))
    rows = np.arange(len(likely))[:, None, None, None]
    energy = gaussian * (likely[rows, points] * weights).sum(-1)
    energy /= np.maximum(energy.max((1, 2), keepdims=True), 1e-9)
    return Shape(box.astype(np.float32), energy.astype(np.float16))


def _directions(x: NDArray[np.floating], y: NDArray[np.floating]) -> FloatArray:
    """Return the unit vectors of canvas coordinates, which are broadcast."""
    return unit_vector(*np.broadcast_arrays(*angles_of_pixel(x, y)))


@cache
def _between() -> tuple[NDArray[np.intp], FloatArray]:
    """Return, for cells of the canvas, the nearest points of the grid and their weights."""
    x = np.arange(WIDTH // _CELL_DEG) * _CELL_DEG + _CELL_DEG / 2
    y = np.arange(HEIGHT // _CELL_DEG) * _CELL_DEG + _CELL_DEG / 2
    places = _directions(x[None, :], y[:, None])
    chord, nearest = cKDTree(GRID.T).query(places, k=_NEAREST)
    weight = np.exp(-0.5 * (np.degrees(chord) / _BLUR_DEG) ** 2)
    return nearest, weight / weight.sum(-1, keepdims=True)


def candidates(
    recording: str,
    frames: int,
    outputs: Iterable[SeldOutput],
    provenance: Mapping[str, Any],
) -> Iterator[Candidates]:
    """Yield a recording's candidates, a table for each block of what is heard.

    Parameters
    ----------
    recording, frames
        Its name and length.
    outputs
        Blocks in order, of `saiseld.seld.audio_branch.AudioBranch.blocks`.
    provenance
        Added to what the table says of its making.
    """
    for block in outputs:
        yield _decoded(recording, frames, block, provenance)


def _decoded(
    recording: str, frames: int, output: SeldOutput, provenance: Mapping[str, Any]
) -> Candidates:
    found = peaks(output.maps, PEAKS, APART_DEG)
    score = expit(found.value.astype(float))
    score[output.silent] = 0
    ranked = np.sort(score.reshape(len(output), -1), axis=1)
    min_score = np.maximum(THRESHOLD, ranked[:, -MOST])[:, None, None]
    frame, class_id, rank = np.nonzero(score >= min_score)
    value = score[frame, class_id, rank]
    order = np.lexsort((-value, frame))
    frame, class_id, rank, value = (part[order] for part in (frame, class_id, rank, value))
    maps = output.maps[frame, class_id]
    direction = refined(maps, found.point[frame, class_id, rank])
    box, energy = shapes(direction, maps)
    azimuth, elevation = angles_of_vector(direction)
    nothing = np.zeros(len(frame), np.float32)
    return Candidates(
        recording=recording,
        frames=frames,
        frame=(frame + output.start).astype(np.int32),
        class_id=class_id.astype(np.int8),
        score=value.astype(np.float32),
        box=box,
        azimuth=azimuth.astype(np.float32),
        elevation=elevation.astype(np.float32),
        distance_cm=output.distance_cm[frame, class_id].astype(np.float32),
        has_map=np.ones(len(frame), bool),
        energy_map=energy,
        closure=nothing,
        diffuseness=nothing,
        matchability=np.full(len(frame), np.nan, np.float32),
        provenance={"imager": "seld", **provenance},
        branches=("audio",),
    )
