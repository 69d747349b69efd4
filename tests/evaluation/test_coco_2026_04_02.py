from __future__ import annotations

import numpy as np
import pytest
from tests.reference import evaluation as reference

from saiseld.evaluation.coco_2026_04_02 import Group, energy_field


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
    ],
    ids=["middle", "seam", "upper pole", "lower pole", "scattered"],
)
def test_the_field_is_the_sum_of_its_points(blob):
    assert energy_field([blob]) == pytest.approx(reference.energy_field([blob]), abs=1e-12)


def test_the_field_adds_its_blobs_and_is_zero_without():
    a, b = _lattice(10, 90, 3, 3), _lattice(20, 95, 2, 2)
    assert energy_field([a, b]) == pytest.approx(energy_field([a]) + energy_field([b]), abs=1e-12)
    assert not energy_field([np.zeros((0, 3))]).any()


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
