"""What is drawn sits where the convention says: azimuth positive to the left, seam and all."""

import numpy as np
import pytest

from saiseld.conventions.sphere import pixel_of_angles
from saiseld.conventions.taxonomy import CLASS_COLOURS
from saiseld.formats.annotation import EnergyMask
from saiseld.viewing import panorama
from saiseld.viewing.panorama import Layout, draw_panorama, draw_yuv, enlarged
from saiseld.viewing.surface import Surface, yuv_of

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


def test_a_video_shows_what_a_picture_shows() -> None:
    across = np.linspace(40, 200, 360).astype(np.uint8)
    picture = np.broadcast_to(across[None, :, None], (180, 360, 3))
    masks = [
        EnergyMask(0, 0, 1, (blob(60, 0),), 150.0, 0.9),
        EnergyMask(0, 1, 8, (blob(180, 20),), None, 0.4),
        EnergyMask(0, 2, 3, (blob(-90, 60),), None, 0.6),
    ]
    for shown in (picture, None):
        drawn = draw_panorama(masks, shown, title="rec", clock="0.1 s")
        expected = Surface.yuv(yuv_of(drawn, (drawn.shape[1], drawn.shape[0]))).planes
        found = Surface.yuv(draw_yuv(masks, shown, title="rec", clock="0.1 s")).planes
        for plane, other in zip(found, expected, strict=True):
            difference = np.abs(plane.astype(int) - other)
            assert difference.mean() < 0.4 and (difference > 4).mean() < 0.01


@pytest.mark.parametrize(("azimuth", "elevation"), [(60, 0), (178, 20), (-40, 85)])
def test_a_mask_is_as_opaque_as_its_energy(azimuth: float, elevation: float) -> None:
    mask = EnergyMask(0, 0, 1, (blob(azimuth, elevation),), None, 1.0)
    energy = panorama.render(mask.segmentation)
    drawn, black = np.zeros((540, 1080, 3), np.uint8), Layout()
    black.left = black.top = 0
    panorama.paint_mask(Surface.rgb(drawn), mask, energy, black)
    share = enlarged(energy, 1080)
    inside = (share > 0.02) & (share < 0.48)
    expected = 0.8 * share[inside, None] * np.array(CLASS_COLOURS[1])
    np.testing.assert_allclose(drawn[inside], expected, atol=1)
    assert not drawn[share == 0].any()


def test_shapes_at_edges_are_cut_off() -> None:
    for picture in (np.zeros((8, 12, 3), np.uint8), np.zeros((12, 12), np.uint8)):
        make = Surface.rgb if picture.ndim == 3 else Surface.yuv
        full = np.ones((5, 5), np.float32)
        for place in ((-3, -3), (10, 6), (40, 0), (-9, 2)):
            make(picture).blend(*place, full, (255, 255, 255))
        first = make(picture).planes[0]
        expected = np.zeros((8, 12), bool)
        expected[:2, :2] = expected[6:, 10:] = True
        np.testing.assert_array_equal(first > 0, expected)
