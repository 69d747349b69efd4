import numpy as np
import pytest

from saiseld.conventions.sphere import pixel_of_angles
from saiseld.decision.linking import GAP, SHORTEST, link
from saiseld.formats.annotation import EnergyMask


def mask(frame, class_id, azimuth, elevation=0.0, score=0.5, distance_cm=None, energy=1.0):
    x, y = pixel_of_angles(azimuth, elevation)
    points = np.array([[x + dx, y + dy, energy] for dx in (-3, 0, 3) for dy in (-3, 0, 3)])
    points[:, 0] %= 360
    return EnergyMask(frame, 0, class_id, (points,), distance_cm, score)


def test_a_walk_over_the_seam_is_one_event():
    walk = [mask(k, 6, 170 + 2 * k, -20, 0.3 + k / 100, 200 + k) for k in range(10)]
    events, steady = link(walk, threshold=0.1)
    (event,) = events
    assert (event.class_name, event.start_s, event.end_s) == ("Walk, footsteps", 0.0, 1.0)
    assert abs(abs(event.azimuth) - 180) < 2
    assert event.elevation == pytest.approx(-20, abs=0.5)
    assert event.distance_cm == pytest.approx(204.5)
    assert event.score == pytest.approx(0.39)
    assert [m.instance_id for m in steady] == [1] * 10


def test_masks_below_the_threshold_are_not_shown():
    weak = [mask(k, 0, 0, score=0.2) for k in range(10)]
    assert link(weak, threshold=0.3) == ([], [])
    assert len(link(weak, threshold=0.2)[0]) == 1


def test_short_gaps_are_bridged_and_long_ones_end_an_event():
    frames = [*range(5), *range(5 + GAP, 10 + GAP)]
    assert len(link([mask(k, 0, 0) for k in frames], threshold=0)[0]) == 1
    frames = [*range(5), *range(6 + GAP, 11 + GAP)]
    assert len(link([mask(k, 0, 0) for k in frames], threshold=0)[0]) == 2


def test_flashes_are_no_events():
    assert link([mask(k, 0, 0) for k in range(SHORTEST - 1)], threshold=0)[0] == []


def test_two_sources_of_a_class_are_two_events():
    both = [mask(k, 0, azimuth) for k in range(10) for azimuth in (30, -30)]
    events, _ = link(both, threshold=0)
    assert [(e.class_id, round(e.azimuth)) for e in events] == [(0, 30), (0, -30)]


def test_one_sound_guessed_as_two_classes_is_the_likelier_one():
    speech = [mask(k, 0, 40, score=0.6) for k in range(20)]
    also = [mask(k, 1, 44, score=0.3) for k in range(5, 15)]
    elsewhere = [mask(k, 1, -100, score=0.3) for k in range(5, 15)]
    events, _ = link([*speech, *also, *elsewhere], threshold=0)
    assert [(e.class_id, round(e.azimuth)) for e in events] == [(0, 40), (1, -100)]


def test_a_slip_of_class_inside_a_longer_sound_is_taken_for_it():
    speech = [mask(k, 0, 40) for k in range(30) if not 10 <= k < 13]
    slip = [mask(k, 4, 40) for k in range(10, 13)]
    assert [e.class_id for e in link([*speech, *slip], threshold=0)[0]] == [0]


def test_unknown_classes_and_empty_masks_are_left_out():
    unknown = [mask(k, 99, 0) for k in range(10)]
    empty = [mask(k, 0, 0, energy=0.0) for k in range(10)]
    assert link([*unknown, *empty], threshold=0) == ([], [])
