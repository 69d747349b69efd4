from __future__ import annotations

import numpy as np
import pytest

from saiseld.conventions.sphere import great_circle, unit_vector
from saiseld.decision.emission import centroid_directions
from saiseld.formats.candidates import read_candidates, write_candidates
from saiseld.seld.decode import candidates, peaks, refined, shapes
from saiseld.seld.output import GRID, SeldOutput


def bump(*directions: np.ndarray, height: float = 4.0) -> np.ndarray:
    """Return (484,) logits of bumps of 9 degrees."""
    angle = np.min([np.degrees(np.arccos(np.clip(GRID.T @ d, -1, 1))) for d in directions], axis=0)
    return (height - 0.5 * (angle / 9) ** 2 * 2).astype(np.float32)


def test_peaks_between_the_points_of_the_grid() -> None:
    rng = np.random.default_rng(0)
    errors, coarse = [], []
    for _ in range(200):
        direction = unit_vector(rng.uniform(-180, 180), rng.uniform(-85, 85))
        maps = bump(direction)[None]
        point = peaks(maps, 1, 20.0).point[:, 0]
        found = refined(maps, point)[0]
        errors.append(np.degrees(np.arccos(np.clip(found @ direction, -1, 1))))
        coarse.append(np.degrees(np.arccos(np.clip(GRID[:, point[0]] @ direction, -1, 1))))
    assert np.median(errors) < 0.5 < 2.0 < np.median(coarse)
    assert np.max(errors) < 2.5


def test_two_sources_of_one_class_are_two_peaks() -> None:
    one, other = unit_vector(10, 0), unit_vector(50, -10)
    found = peaks(bump(one, other), 2, 25.0)
    angle = np.degrees(np.arccos(GRID[:, found.point].T @ np.stack([one, other], axis=1)))
    assert (angle.min(0) < 8).all()
    assert found.value[0] >= found.value[1] > 0


@pytest.mark.parametrize("angles", [(0, 0), (179.5, 10), (-179.5, -40), (30, 85), (60, -89)])
def test_boxes_and_maps_balance_at_the_direction(angles) -> None:
    direction = unit_vector(*angles)[None]
    shape = shapes(direction, bump(direction[0])[None])
    assert shape.energy_map.shape == (1, 28, 28)
    assert 0.9 < shape.energy_map.max() <= 1
    azimuth, elevation = centroid_directions(shape.box, shape.energy_map)
    if abs(angles[1]) < 60:  # boxes end at the poles, and so do the maps in them
        assert great_circle(azimuth, elevation, *angles)[0] < 2.5


def test_table_of_what_is_heard(tmp_path) -> None:
    direction = unit_vector(-170, -20)
    maps = np.full((3, 13, 484), -9, np.float32)
    maps[1, 4] = bump(direction)
    heard = SeldOutput(
        start=50,
        classes=np.zeros((3, 13), np.float32),
        maps=maps,
        activity=maps.max(1),
        distance_cm=np.full((3, 13), 150, np.float32),
        silent=np.array([False, False, True]),
    )
    (table,) = candidates("room1", 60, [heard], {"weights": "abc"})
    assert table.provenance == {"imager": "seld", "weights": "abc"}
    assert table.frame[0] == 51
    assert table.class_id[0] == 4
    found = unit_vector(table.azimuth[0], table.elevation[0])
    assert np.degrees(np.arccos(found @ direction)) < 2
    assert table.distance_cm[0] == 150
    write_candidates(tmp_path / "room1.candidates.parquet", table)
    assert len(read_candidates(tmp_path / "room1.candidates.parquet")) == len(table)
