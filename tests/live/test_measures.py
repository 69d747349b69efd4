"""Heat, levels, spectrum and marks against what they must be of made-up sound and masks."""

from __future__ import annotations

import numpy as np
import pytest

from saiseld.conventions.sphere import pixel_of_angles
from saiseld.decision.emission import blob_points
from saiseld.formats.annotation import EnergyMask
from saiseld.live.measures import heat, levels, spectrum
from saiseld.live.tracks import Marker


def mask(azimuth=0.0, elevation=0.0, *, frame=0, class_id=3, score=1.0) -> EnergyMask:
    points = blob_points([azimuth], [elevation])[0]
    return EnergyMask(frame, 0, class_id, (points,), 150.0, score)


@pytest.mark.parametrize("azimuth", [90, -90, 0, 135, 180, -178])
@pytest.mark.parametrize("elevation", [-30, 0, 40])
def test_heat_is_where_the_source_is(azimuth, elevation) -> None:
    drawn = heat([mask(azimuth, elevation)])
    row, column = np.unravel_index(drawn.argmax(), drawn.shape)
    x, y = pixel_of_angles(azimuth, elevation)
    apart = abs((column + 0.5) * 4 - float(x))
    assert min(apart, 360 - apart) <= 4 and abs((row + 0.5) * 4 - float(y)) <= 4
    assert drawn.dtype == np.uint8 and 200 < drawn.max() <= 255
    # Column 0 is the left edge, and azimuth is positive to the left.
    if azimuth == 90:
        assert column < 45


def test_heat_scales_with_the_score_and_takes_the_largest() -> None:
    loud, soft = mask(60, score=0.8), mask(-60, score=0.2)
    both = heat([loud, soft])
    np.testing.assert_array_equal(both, np.maximum(heat([loud]), heat([soft])))
    assert both[:, :45].max() == pytest.approx(4 * both[:, 45:].max(), abs=4)
    assert not heat([]).any()


def test_levels_and_spectrum_of_a_tone() -> None:
    time = np.arange(2400) / 24_000
    sound = np.stack([a * np.sin(2 * np.pi * 1000 * time) for a in (1, 0.1, 0.01, 0)], axis=1)
    np.testing.assert_allclose(levels(sound), [-3.01, -23.01, -43.01, -120], atol=0.01)
    bands = spectrum(sound.astype(np.float32))
    assert bands.shape == (4, 32) and bands.dtype == np.float32
    np.testing.assert_allclose(bands[:3].max(1), [-3.01, -23.01, -43.01], atol=0.05)
    assert (bands[3] == -120).all()
    mel = 1127 * np.log1p(np.array([60, 1000, 11_000]) / 700)
    assert bands[0].argmax() == int(32 * (mel[1] - mel[0]) / (mel[2] - mel[0]))


def marks_of(frames: list[list[EnergyMask]]) -> list[list[tuple[int, int]]]:
    marker = Marker(0.2)
    return [
        [(mark.number, mark.class_id) for mark in marker.marks(number, masks)]
        for number, masks in enumerate(frames)
    ]


def test_a_sound_keeps_its_number_through_a_gap_and_while_it_moves() -> None:
    frames = [[mask(3 * k, frame=k)] if k not in (20, 21, 22) else [] for k in range(50)]
    found = marks_of(frames)
    assert found[:2] == [[], []]  # three make an event
    assert all(
        numbers == ([(1, 3)] if frames[k] else []) for k, numbers in enumerate(found) if k > 1
    )


def test_two_places_are_two_events_and_one_that_returns_is_another() -> None:
    frames = [[mask(frame=k), mask(120, frame=k)] for k in range(10)]
    frames += [[]] * 10 + [[mask(frame=20 + k)] for k in range(5)]
    found = marks_of(frames)
    assert [number for number, _ in found[5]] == [1, 2]
    assert [number for number, _ in found[-1]] == [3]


def test_of_two_classes_at_one_place_one_is_shown_and_the_heavier_takes_over() -> None:
    frames = [[mask(frame=k, class_id=4, score=0.3)] for k in range(6)]
    frames += [
        [mask(frame=6 + k, class_id=4, score=0.21), mask(5, frame=6 + k, class_id=9, score=0.9)]
        for k in range(20)
    ]
    found = marks_of(frames)
    assert all(len(marks) <= 1 for marks in found)
    assert found[5] == [(1, 4)] and found[-1] == [(2, 9)]


def test_weak_masks_are_no_marks() -> None:
    assert marks_of([[mask(frame=k, score=0.1)] for k in range(5)]) == [[]] * 5


def test_a_sound_that_never_ends_needs_no_more_memory() -> None:
    marker = Marker(0.2)
    for number in range(500):
        marker.marks(number, [mask(frame=number)])
    (track,) = marker.linker.live
    assert len(track.masks) == len(track.vectors) <= 30
