from dataclasses import replace

import numpy as np
import pytest
from tests.errors import raises
from tests.reference.perturbed_labels import perturbed

from saiseld.decision.emission import (
    blob_points,
    centroid_directions,
    emission_points,
    grid_points,
    sparse_points,
)
from saiseld.runtime.errors import CandidateError, RecipeError

BOX = [[100.0, 40.0, 128.0, 96.0]]


def ramp():
    """A map that grows from left to right and from top to bottom, linear in both."""
    axis = np.arange(28) + 0.5
    return (axis[None, :] + 2 * axis[:, None])[None]


def test_edge_grid_touches_the_box_and_centre_grid_does_not():
    edge, centre = (grid_points(BOX, ramp(), 3, p)[0] for p in ("edge", "centre"))
    assert np.unique(edge[:, 0]).tolist() == [100, 114, 128]
    assert np.unique(edge[:, 1]).tolist() == [40, 68, 96]
    np.testing.assert_allclose(
        np.unique(centre[:, 0]), 100 + 28 * np.array([1, 3, 5]) / 6, atol=0.051
    )


def test_grid_energies_are_the_map_at_the_points_min_max_normalised():
    points = grid_points(BOX, ramp(), 3, "centre")[0]
    expected = (np.arange(3) + 2 * np.arange(3)[:, None]).ravel() / 6
    np.testing.assert_allclose(points[:, 2], expected, atol=5e-4)


def test_full_grid_is_the_map_itself():
    energy_map = np.random.default_rng(0).random((1, 28, 28))
    points = grid_points(BOX, energy_map, 28, "centre")[0]
    expected = (energy_map - energy_map.min()) / np.ptp(energy_map)
    np.testing.assert_allclose(points[:, 2], expected.ravel(), atol=5e-4)


def test_flat_map_is_emitted_at_full_energy():
    assert (grid_points(BOX, np.full((1, 28, 28), 0.2), 3)[0, :, 2] == 1).all()


@pytest.mark.parametrize("box", [[-20, -1, 30, 40], [340, 150, 371, 180], [0, 0, 360, 180]])
def test_points_stay_on_the_canvas_and_wrap(box):
    points = grid_points([box], ramp(), 5)[0]
    assert (points[:, 0] >= 0).all() and (points[:, 0] <= 360).all()
    assert (points[:, 1] >= 0).all() and (points[:, 1] <= 180).all()
    expected = np.linspace(box[0], box[2], 5)
    turns = (points[:5, 0] - expected) / 360
    np.testing.assert_allclose(turns, np.round(turns), atol=0.051 / 360)


def test_sparse_keeps_the_strongest_cells_and_never_nothing():
    energy_map = np.zeros((2, 28, 28))
    energy_map[0, 3, 5:30] = np.linspace(0.9, 0.05, 23)
    energy_map[1, 9, 7] = 0.01
    strong, faint = sparse_points(np.repeat(BOX, 2, axis=0), energy_map)
    assert len(strong) == 20
    assert (np.diff(strong[:, 2]) <= 0).all()
    np.testing.assert_allclose(strong[0], [105.5, 47.0, 0.9])
    np.testing.assert_allclose(faint, [[107.5, 59.0, 0.01]])


def test_blob_is_a_gaussian_of_the_angle_from_its_direction():
    points = blob_points([30.0], [20.0])[0]
    azimuth, elevation = 180 - points[:, 0], 90 - points[:, 1]
    squared = (elevation - 20) ** 2 + (np.cos(np.radians(20)) * (azimuth - 30)) ** 2
    np.testing.assert_allclose(points[:, 2], np.exp(-squared / 200), atol=5e-3)
    assert points[0].tolist() == [150, 70, 1]


def test_blob_at_the_pole_and_the_seam_stays_on_the_canvas():
    points = blob_points([180.0, 0.0], [0.0, 89.0])
    assert (points[..., 0] >= 0).all() and (points[..., 0] <= 360).all()
    assert (points[..., 1] >= 0).all() and (points[..., 1] <= 180).all()


@pytest.mark.parametrize("emission", ["sparse", "blob", "grid3", "grid7-centre"])
def test_every_emission_has_points_for_every_row(emission):
    table, _ = perturbed(0, "fold4_room1_mix001", frames=2)
    points = emission_points(table, emission)
    assert len(points) == len(table)
    assert all(p.shape[1] == 3 and len(p) for p in points)


@pytest.mark.parametrize("name", ["grid", "grid1", "grid30", "dots"])
def test_unknown_emission_is_refused(name):
    table, _ = perturbed(0, "fold4_room1_mix001", frames=1)
    with raises(RecipeError, expected="sparse, blob", found=name):
        emission_points(table, name)


def test_row_without_a_map_cannot_be_emitted():
    table, _ = perturbed(0, "fold4_room1_mix001", frames=1)
    table = replace(table, has_map=np.arange(len(table)) != 4)
    with raises(CandidateError, "fold4_room1_mix001", place="frame 0", expected="an energy map"):
        emission_points(table, "grid3")


def test_blob_stands_where_the_map_balances():
    energy_map = np.zeros((2, 28, 28))
    energy_map[0, 7, 20:22] = 0.5
    azimuth, elevation = centroid_directions(np.repeat(BOX, 2, axis=0), energy_map)
    np.testing.assert_allclose(azimuth, [180 - 121, 180 - 114])
    np.testing.assert_allclose(elevation, [90 - 55, 90 - 68])
