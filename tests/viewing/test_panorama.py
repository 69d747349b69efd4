"""What is drawn sits where the convention says: azimuth positive to the left, seam and all."""

import numpy as np
import pytest

from saiseld.conventions.sphere import pixel_of_angles
from saiseld.conventions.taxonomy import CLASS_COLOURS
from saiseld.formats.annotation import EnergyMask
from saiseld.viewing import panorama
from saiseld.viewing.panorama import Layout, draw_panorama

LAYOUT = Layout()


def blob(azimuth: float, elevation: float, radius: float = 15) -> np.ndarray:
    x, y = pixel_of_angles(azimuth, elevation)
    steps = np.linspace(-radius, radius, 7)
    dx, dy = np.meshgrid(steps, steps)
    energy = np.exp(-(dx**2 + dy**2) / 100)
    return np.stack([np.mod(x + dx, 360), y + dy, energy], axis=-1).reshape(-1, 3)


def changed(masks: list[EnergyMask], class_id: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the canvas x and y (degrees) of the pixels painted in a class's colour."""
    drawn = draw_panorama(masks, np.full((180, 360, 3), 90, np.uint8)).astype(int)
    field = drawn[LAYOUT.top :, LAYOUT.left :][: LAYOUT.height, : LAYOUT.width]
    y, x = np.nonzero(np.abs(field - CLASS_COLOURS[class_id]).sum(axis=-1) == 0)
    return x / LAYOUT.scale, y / LAYOUT.scale


@pytest.mark.parametrize(("azimuth", "elevation"), [(90, 0), (-60, 30), (10, -40)])
def test_a_mask_is_drawn_at_its_direction(azimuth: float, elevation: float) -> None:
    x, y = changed([EnergyMask(0, 0, 1, (blob(azimuth, elevation),), None, 1.0)], 1)
    expected = pixel_of_angles(azimuth, elevation)
    assert abs((x.min() + x.max()) / 2 - expected[0]) < 1.5
    assert abs((y.min() + y.max()) / 2 - expected[1]) < 1.5


def test_a_mask_on_the_seam_is_drawn_on_both_edges_and_nowhere_else() -> None:
    x, _ = changed([EnergyMask(0, 0, 8, (blob(180, 20),))], 8)
    assert x.min() < 5 and x.max() > 355
    assert not ((x > 40) & (x < 320)).any()


def test_size_and_a_neutral_grid_without_picture() -> None:
    drawn = draw_panorama([], None, title="empty", clock="0.0 s")
    assert drawn.shape == (*LAYOUT.size[::-1], 3) and drawn.dtype == np.uint8


@pytest.mark.parametrize("width", [360, 641, 1080, 1920])
def test_sides_are_even_as_video_encoders_want(width: int) -> None:
    assert not any(side % 2 for side in Layout(width).size)
    assert draw_panorama([], None, width=width).shape == (*Layout(width).size[::-1], 3)


def test_a_weak_mask_is_fainter_than_a_strong_one() -> None:
    picture = np.full((180, 360, 3), 90, np.uint8)
    empty = draw_panorama([], picture).astype(int)

    def change(score: float) -> int:
        mask = EnergyMask(0, 0, 1, (blob(60, 0),), None, score)
        drawn = draw_panorama([mask], picture, classes=[]).astype(int)
        peak = LAYOUT.top + LAYOUT.height // 2 + 25, LAYOUT.left + LAYOUT.width // 3
        return int(np.abs(drawn[peak] - empty[peak]).sum())

    assert 0 < 2 * change(0.03) < change(0.88)


def test_names_never_cover_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = []
    find = panorama.free_place

    def spy(*arguments):
        boxes.append(find(*arguments))
        return boxes[-1]

    monkeypatch.setattr(panorama, "free_place", spy)
    crowd = [EnergyMask(0, k, k % 13, (blob(3 * k - 20, k % 5),), 150.0, 0.5) for k in range(14)]
    draw_panorama(crowd, None)
    assert len(boxes) == 14
    pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]
    assert not any(panorama.overlap(a, b) for a, b in pairs)


def test_a_name_with_letters_of_other_scripts_is_drawn() -> None:
    plain, named = (draw_panorama([], None, title=title) for title in ("", "Øvelse 会議 №1"))
    assert (plain != named).any()
