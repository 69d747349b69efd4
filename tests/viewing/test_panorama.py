"""What is drawn sits where the convention says: azimuth positive to the left, seam and all."""

import numpy as np
import pytest

from saiseld.conventions.sphere import pixel_of_angles
from saiseld.conventions.taxonomy import CLASS_COLOURS
from saiseld.formats.annotation import EnergyMask
from saiseld.viewing.panorama import LEFT, PANORAMA, SCALE, SIZE, TOP, draw_panorama


def blob(azimuth: float, elevation: float, radius: float = 15) -> np.ndarray:
    x, y = pixel_of_angles(azimuth, elevation)
    steps = np.linspace(-radius, radius, 7)
    dx, dy = np.meshgrid(steps, steps)
    energy = np.exp(-(dx**2 + dy**2) / 100)
    return np.stack([np.mod(x + dx, 360), y + dy, energy], axis=-1).reshape(-1, 3)


def changed(masks: list[EnergyMask], class_id: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the canvas x and y (degrees) of the pixels painted in a class's colour."""
    drawn = draw_panorama(masks, np.full((180, 360, 3), 90, np.uint8)).astype(int)
    field = drawn[TOP : TOP + PANORAMA[1], LEFT : LEFT + PANORAMA[0]]
    y, x = np.nonzero(np.abs(field - CLASS_COLOURS[class_id]).sum(axis=-1) == 0)
    return x / SCALE, y / SCALE


@pytest.mark.parametrize(("azimuth", "elevation"), [(90, 0), (-60, 30), (10, -40)])
def test_a_mask_is_drawn_at_its_direction(azimuth: float, elevation: float) -> None:
    x, y = changed([EnergyMask(0, 0, 1, (blob(azimuth, elevation),), None, 0.9)], 1)
    expected = pixel_of_angles(azimuth, elevation)
    assert abs((x.min() + x.max()) / 2 - expected[0]) < 1.5
    assert abs((y.min() + y.max()) / 2 - expected[1]) < 1.5


def test_a_mask_on_the_seam_is_drawn_on_both_edges_and_nowhere_else() -> None:
    x, _ = changed([EnergyMask(0, 0, 8, (blob(180, 20),))], 8)
    assert x.min() < 5 and x.max() > 355
    assert not ((x > 40) & (x < 320)).any()


def test_size_and_a_neutral_grid_without_picture() -> None:
    drawn = draw_panorama([], None, title="empty", clock="0.0 s")
    assert drawn.shape == (SIZE[1], SIZE[0], 3) and drawn.dtype == np.uint8
    assert SIZE[0] % 2 == 0 and SIZE[1] % 2 == 0
