"""How a detection becomes points: grids, sparse peaks and blobs from its box and energy map.

Points are ``x, y, energy`` rows on the 360 x 180 canvas; the official scorer draws them by linear
interpolation over their triangulation (docs/metrics.md), so what is emitted between the points is
what it draws. Boxes may reach past the seam; points never do. Source: KIST2026, Sec. 2.5.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from math import isnan
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from saiseld.conventions.label_law import LABEL_EXTENT_DEG, LABEL_SIGMA_DEG
from saiseld.conventions.sphere import HEIGHT, WIDTH, angles_of_pixel, pixel_of_angles
from saiseld.formats.annotation import EnergyMask
from saiseld.formats.candidates import MAP_SIZE, Candidates
from saiseld.runtime.errors import CandidateError, RecipeError

Placement = Literal["edge", "centre"]
Points = NDArray[np.float64]

SURFACE_DECIMALS = (1, 1, 3)
"""Decimals of x, y and energy where points span a surface: 0.1 is 1/36 of a scorer's pixel."""

SPARSE_DECIMALS = (4, 4, 6)
SPARSE_POINTS = 20
SPARSE_MINIMUM = 0.10


def grid_points(
    box: ArrayLike, energy_map: ArrayLike, size: int, placement: Placement = "edge"
) -> Points:
    """Sample energy maps on ``size`` x ``size`` grids inside their boxes.

    Parameters
    ----------
    box, energy_map
        (N, 4) boxes and (N, 28, 28) maps.
    size
        Points a side, 2 or more.
    placement
        ``"edge"`` puts the outer points on the box edge, ``"centre"`` at the centres of
        ``size`` x ``size`` equal cells.

    Returns
    -------
    (N, size * size, 3) points, energies bilinear in the map and min-max normalised per instance
    (1 throughout where the map is flat).
    """
    box, energy_map = np.asarray(box, float), np.asarray(energy_map, float)
    along = np.linspace(0, 1, size) if placement == "edge" else (np.arange(size) + 0.5) / size
    weights = _bilinear_weights(along)
    energy = (weights @ energy_map @ weights.T).reshape(len(box), size * size)
    x = box[:, :1] + along * (box[:, 2:3] - box[:, :1])
    y = box[:, 1:2] + along * (box[:, 3:4] - box[:, 1:2])
    points = np.empty((len(box), size * size, 3))
    points[..., 0] = np.tile(x, (1, size))
    points[..., 1] = np.repeat(y, size, axis=1)
    points[..., 2] = _normalised(energy)
    return _on_canvas(points, SURFACE_DECIMALS)


def sparse_points(box: ArrayLike, energy_map: ArrayLike) -> list[Points]:
    """Return each instance's 20 strongest map cells of energy 0.10 or more, strongest first.

    The single peak where none passes. Energies are the map's own. (The public baseline's emission.)
    """
    box = np.asarray(box, float)
    flat = np.asarray(energy_map).reshape(len(box), MAP_SIZE**2)
    # Which cells are the strongest and how equals are ordered is for this very call to say.
    strongest = np.argpartition(flat, -SPARSE_POINTS, axis=1)[:, -SPARSE_POINTS:]
    energy = np.take_along_axis(flat, strongest, axis=1).astype(float)
    row, column = np.divmod(strongest, MAP_SIZE)
    x = box[:, :1] + (column + 0.5) / MAP_SIZE * (box[:, 2:3] - box[:, :1])
    y = box[:, 1:2] + (row + 0.5) / MAP_SIZE * (box[:, 3:4] - box[:, 1:2])
    points = _on_canvas(np.stack([x, y, energy], axis=2), SPARSE_DECIMALS)
    chosen = []
    for cells, enough in zip(points, energy >= SPARSE_MINIMUM, strict=True):
        selected = cells[enough] if enough.any() else cells[[cells[:, 2].argmax()]]
        chosen.append(selected[np.argsort(-selected[:, 2], kind="stable")])
    return chosen


SPOT_SIGMA, SPOT_RADIUS = 12.0, 17.0
"""Degrees: what overlaps best with labels round a direction that is not known well. Round one that
is, the label method's own Gaussian (`LABEL_SIGMA_DEG`) does (docs/decision.md#fusion)."""


def blob_points(
    azimuth: ArrayLike,
    elevation: ArrayLike,
    sigma: ArrayLike = LABEL_SIGMA_DEG,
    cut: ArrayLike = LABEL_EXTENT_DEG,
) -> Points:
    """Draw the label method's Gaussian at a direction, ignoring the energy map.

    Parameters
    ----------
    azimuth, elevation
        (N,) directions in degrees.
    sigma, cut
        Width of the Gaussian and where it ends, in degrees; a number, or one each.

    Returns
    -------
    (N, 25, 3) points: the centre and rings of 12 at half and at all of that, energy 1 at the
    centre.
    """
    azimuth = np.asarray(azimuth, float)
    sigma, cut = (np.broadcast_to(np.asarray(a, float), azimuth.shape) for a in (sigma, cut))
    radius = np.concatenate([[0.0], np.repeat([0.5, 1.0], 12)]) * cut[:, None]
    angle = np.concatenate([[0.0], np.tile(np.arange(12) * np.pi / 6, 2)])
    # The label method measures azimuth by cos(elevation), so a ring is wider towards the poles.
    widening = 1 / np.maximum(np.cos(np.radians(elevation)), cut / 90)[:, None]
    x, y = pixel_of_angles(azimuth, elevation)
    points = np.zeros((*radius.shape, 3))
    points[..., 0] = x[:, None] + widening * radius * np.cos(angle)
    points[..., 1] = y[:, None] + radius * np.sin(angle)
    points[..., 2] = np.exp(-(radius**2) / (2 * sigma[:, None] ** 2))
    return _on_canvas(points, SURFACE_DECIMALS)


def emission_points(table: Candidates, emission: str) -> Sequence[Points]:
    """Return the points of every row of a table under a named emission.

    Parameters
    ----------
    table
        Rows that have a map.
    emission
        ``"sparse"``, ``"blob"`` (where the energy map balances), ``"spot"`` (in the row's own
        direction, as far as its box is high), ``"grid<N>"`` (points on the box edge) or
        ``"grid<N>-centre"``.

    Raises
    ------
    RecipeError
        If there is no such emission.
    CandidateError
        If a row has no energy map.
    """
    if not table.has_map.all():
        row = int(np.argmin(table.has_map))
        raise CandidateError(
            table.recording,
            place=f"frame {table.frame[row]}, score {table.score[row]:.3f}",
            expected="an energy map",
            found="none",
            advice="Run `saiseld detect` again: it maps every detection a system may emit",
        )
    if emission == "sparse":
        return sparse_points(table.box, table.energy_map)
    if emission == "blob":
        return list(blob_points(*centroid_directions(table.box, table.energy_map)))
    if emission == "spot":
        reach = extents(table)
        return list(blob_points(table.azimuth, table.elevation, _spot_sigma(reach), reach))
    grid = re.fullmatch(r"grid([2-9]|[12]\d)(-centre)?", emission)
    if grid is None:
        raise RecipeError(
            "emission",
            expected="sparse, blob, spot, adaptive, grid<N>, grid<N>-centre (N 2 to 29)",
            found=emission,
        )
    placement: Placement = "centre" if grid[2] else "edge"
    return list(grid_points(table.box, table.energy_map, int(grid[1]), placement))


def extents(table: Candidates) -> Points:
    """Return (N,) degrees from each direction up or down to the further edge of its box."""
    y = 90 - table.elevation
    return np.asarray(np.maximum(y - table.box[:, 1], table.box[:, 3] - y), float)


def _spot_sigma(reach: Points) -> Points:
    """Return (N,) widths of spots, which are of two kinds, by how far they reach."""
    return np.where(reach > (SPOT_RADIUS + LABEL_EXTENT_DEG) / 2, LABEL_SIGMA_DEG, SPOT_SIGMA)


def spots(
    azimuth: ArrayLike, elevation: ArrayLike, reach: ArrayLike
) -> tuple[NDArray[np.float32], NDArray[np.float16]]:
    """Return the boxes (N, 4) and energy maps (N, 28, 28) of what ``"spot"`` draws.

    Parameters
    ----------
    azimuth, elevation
        (N,) directions in degrees.
    reach
        (N,) degrees from there to where the energy ends: `LABEL_EXTENT_DEG` where the direction is
        precise, else `SPOT_RADIUS`.
    """
    reach = np.asarray(reach, float)
    azimuth, elevation = np.asarray(azimuth, float), np.asarray(elevation, float)
    x, y = pixel_of_angles(azimuth, elevation)
    wide = reach / np.maximum(np.cos(np.radians(elevation)), reach / 90)
    top, bottom = np.maximum(y - reach, 0), np.minimum(y + reach, HEIGHT)
    box = np.stack([x - wide, top, x + wide, bottom], axis=1)
    across = (2 * np.arange(MAP_SIZE) + 1) / MAP_SIZE - 1
    apart = np.hypot(across, across[:, None]) * reach[:, None, None]
    sigma = _spot_sigma(reach)[:, None, None]
    energy = np.exp(-(apart**2) / (2 * sigma**2)) * (apart <= reach[:, None, None])
    return box.astype(np.float32), energy.astype(np.float16)


def centroid_directions(box: ArrayLike, energy_map: ArrayLike) -> tuple[Points, Points]:
    """Return (azimuth, elevation) in degrees, (N,) each, where each instance's map balances.

    Steadier than its peak; the middle of the box where a map is empty.
    """
    box, energy = np.asarray(box, float), np.asarray(energy_map, float).clip(0)
    cell = (np.arange(MAP_SIZE) + 0.5) / MAP_SIZE
    total = energy.sum(axis=(1, 2))
    across, down = (
        np.divide(energy.sum(axis=axis) @ cell, total, out=0 * total + 0.5, where=total > 0)
        for axis in (1, 2)
    )
    return angles_of_pixel(
        box[:, 0] + across * (box[:, 2] - box[:, 0]), box[:, 1] + down * (box[:, 3] - box[:, 1])
    )


def energy_masks(
    frame: ArrayLike,
    instance_id: ArrayLike,
    class_id: ArrayLike,
    points: Iterable[Points],
    distance_cm: ArrayLike,
    score: ArrayLike,
) -> list[EnergyMask]:
    """Return one mask per row of the given columns; a distance of NaN is unknown."""
    rows = zip(
        np.asarray(frame).tolist(),
        np.asarray(instance_id).tolist(),
        np.asarray(class_id).tolist(),
        points,
        np.asarray(distance_cm, float).tolist(),
        np.asarray(score, float).tolist(),
        strict=True,
    )
    return [
        EnergyMask(at, instance, label, (blob,), None if isnan(far) else far, value)
        for at, instance, label, blob, far, value in rows
    ]


def _bilinear_weights(along: Points) -> Points:
    """Return the (len(along), 28) weights that sample a row of cells at fractions of its length."""
    cell = np.clip(along * MAP_SIZE - 0.5, 0, MAP_SIZE - 1)
    return np.asarray(np.maximum(1 - np.abs(cell[:, None] - np.arange(MAP_SIZE)), 0.0))


def _normalised(energy: Points) -> Points:
    low, high = energy.min(axis=1, keepdims=True), energy.max(axis=1, keepdims=True)
    span = high - low
    return np.asarray(np.divide(energy - low, span, out=np.ones_like(energy), where=span > 0))


def _on_canvas(points: Points, decimals: tuple[int, int, int]) -> Points:
    """Wrap and clip points, and round them as they are written.

    A scorer must see the very numbers that were measured here, since the triangulation of a grid
    turns on the last digit.
    """
    x, y, energy = np.moveaxis(points, -1, 0)
    # A point on either edge stays there: modulo alone would move x = 360 across the picture.
    x = np.where((x < 0) | (x > WIDTH), np.mod(x, WIDTH), x)
    columns = zip((x, np.clip(y, 0, HEIGHT), energy), decimals, strict=True)
    return np.stack([np.round(value, places) for value, places in columns], axis=-1)
