from __future__ import annotations

import numpy as np
import pytest
from tests.reference import evaluation as reference

from saiseld.evaluation.coco_2026_04_02 import Group, energy_field, match_fields, score_fields
from saiseld.formats.annotation import EnergyMask


def _lattice(x0, y0, width, height):
    x, y = np.meshgrid(np.arange(x0, x0 + width) % 360, np.arange(y0, y0 + height))
    rng = np.random.default_rng(0)
    return np.column_stack([x.ravel(), y.ravel(), rng.random(x.size)]).astype(float)


@pytest.mark.parametrize(
    "blob",
    [
        _lattice(100, 80, 9, 7),
        _lattice(355, 30, 12, 5),
        _lattice(0, 0, 5, 4),
        _lattice(200, 176, 6, 5),
        np.array([[359.7, 90.2, 1.0], [0.4, 12.5, 0.5], [360.0, 180.0, 0.3], [180.5, 0.0, 0.2]]),
        np.array([[90.0, 4.0, 1.0], [200.0, 178.0, 0.5]]),
        np.array([[179.5, 2.0, 1.0]]),
    ],
    ids=["middle", "seam", "upper pole", "lower pole", "scattered", "twice", "gone round"],
)
def test_the_field_is_the_sum_of_its_points(blob):
    assert energy_field([blob]) == pytest.approx(reference.energy_field([blob]), abs=1e-4)


def test_the_field_adds_its_blobs_and_is_zero_without():
    a, b = _lattice(10, 90, 3, 3), _lattice(20, 95, 2, 2)
    assert energy_field([a, b]) == pytest.approx(energy_field([a]) + energy_field([b]), abs=1e-5)
    assert not energy_field([np.zeros((0, 3))]).any()


def _mask(frame, class_id, x, y, **others):
    square = np.array(
        [[x + i, y + j, 1.0 - 0.01 * (abs(i) + abs(j))] for i in (-1, 0, 1) for j in (-1, 0, 1)]
    )
    return EnergyMask(frame, 0, class_id, (square,), **others)


def test_pairs_are_as_many_as_lie_within_20_degrees_and_then_the_nearest():
    # Nearest first would pair the two that are 1 degree apart and leave the others 27 apart.
    truth = [_mask(0, 3, 100, 90, distance_cm=100.0), _mask(0, 3, 113, 90, distance_cm=200.0)]
    found = [
        _mask(0, 3, 112, 90, distance_cm=100.0, score=0.5),
        _mask(0, 3, 126, 90, distance_cm=200.0, score=0.5),
        _mask(0, 4, 100, 90, distance_cm=1.0, score=0.5),
    ]
    matched = match_fields({"a": found}, truth)["a"]
    assert matched.distance_error_percent.tolist() == [0.0, 0.0]


def test_a_missing_distance_counts_as_0_and_a_truth_without_any_has_no_error():
    truth = [_mask(0, 3, 100, 90, distance_cm=50.0), _mask(1, 3, 100, 90, distance_cm=0.001)]
    found = [_mask(0, 3, 100, 90, score=0.5), _mask(1, 3, 100, 90, score=0.5, distance_cm=9.0)]
    matched = match_fields({"a": found}, truth)["a"]
    assert matched.distance_error_percent == pytest.approx([100.0, np.nan], nan_ok=True)
    assert len(matched.pearson_r) == 2


def test_without_detections_nothing_is_defined():
    truth = [_mask(0, 3, 100, 90)]
    scores = score_fields([match_fields({"a": []}, truth)["a"]])
    assert np.isnan([*scores.headline().values()]).all()
    assert scores.per_class[3]["n_gt"] == 1


def test_a_detection_takes_the_truth_it_overlaps_most_and_leaves_the_rest():
    group = Group(0, np.array([0.2, 0.9]), np.array([[0.6, 0.8], [0.55, 0.97]]))
    score, found = group.true_positives()
    assert score.tolist() == [0.9, 0.2]
    assert found[0].tolist() == [True, True]  # at 0.50 both, the second with what is left
    assert found[2].tolist() == [True, True]  # at 0.60
    assert found[3].tolist() == [True, False]  # at 0.65


def test_only_a_hundred_detections_of_a_frame_and_class_count():
    group = Group(0, np.arange(150.0), np.zeros((150, 0)))
    score, found = group.true_positives()
    assert score.tolist() == list(np.arange(149.0, 49.0, -1))
    assert found.shape == (10, 100)
