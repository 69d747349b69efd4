"""The sphere convention, against golden vectors and by its own inverse."""

import numpy as np
import pytest
from tests import GOLDEN

from saiseld.conventions import sphere


def test_azimuth_is_positive_to_the_left() -> None:
    x, y = sphere.pixel_of_angles([0, 90, -90, 180], [0, 0, 45, -90])
    assert x.tolist() == [180, 90, 270, 0]
    assert y.tolist() == [90, 90, 45, 180]


def test_pixel_and_vector_round_trips() -> None:
    rng = np.random.default_rng(0)
    azimuth, elevation = rng.uniform(-180, 180, 500), rng.uniform(-89, 89, 500)
    for back in (
        sphere.angles_of_pixel(*sphere.pixel_of_angles(azimuth, elevation)),
        sphere.angles_of_vector(3.7 * sphere.unit_vector(azimuth, elevation)),
    ):
        np.testing.assert_allclose(back[0], azimuth, atol=1e-9)
        np.testing.assert_allclose(back[1], elevation, atol=1e-9)


def test_great_circle_agrees_with_the_dot_product_and_wraps() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.uniform(-180, 180, (2, 300)), rng.uniform(-90, 90, (2, 300))
    dot = np.sum(sphere.unit_vector(a[0], b[0]) * sphere.unit_vector(a[1], b[1]), axis=-1)
    expected = np.degrees(np.arccos(np.clip(dot, -1, 1)))
    np.testing.assert_allclose(sphere.great_circle(a[0], b[0], a[1], b[1]), expected, atol=1e-5)
    assert sphere.great_circle(179, 0, -179, 0) == pytest.approx(2)


def test_fibonacci_grid_and_official_projection_are_golden() -> None:
    golden = np.load(GOLDEN / "geometry.npz")
    np.testing.assert_allclose(sphere.fibonacci_sphere(), golden["field_xyz"], atol=1e-12)
    flipped = golden["equirect_nn"].reshape(180, 360)[:, ::-1]
    np.testing.assert_array_equal(sphere.projection_table("official"), flipped)


def test_great_circle_projection_shows_the_nearest_direction_without_a_seam() -> None:
    table = sphere.projection_table("great_circle")
    x, y = np.meshgrid(np.arange(360) + 0.5, np.arange(180) + 0.5)
    azimuth, elevation = sphere.angles_of_pixel(x, y)
    grid_azimuth, grid_elevation = sphere.angles_of_vector(sphere.fibonacci_sphere().T)
    rng = np.random.default_rng(2)
    for row, column in zip(rng.integers(0, 180, 100), rng.integers(0, 360, 100), strict=True):
        angle = sphere.great_circle(
            azimuth[row, column], elevation[row, column], grid_azimuth, grid_elevation
        )
        assert angle[table[row, column]] <= angle.min() + 1e-9


def test_box_iou_wraps() -> None:
    iou = sphere.box_iou(
        [[350, 10, 370, 30]], [[-10, 10, 10, 30], [350, 10, 360, 30], [100, 0, 120, 9]]
    )
    np.testing.assert_allclose(iou, [[1.0, 0.5, 0.0]])
