from dataclasses import replace

import numpy as np
from tests.reference.perturbed_labels import perturbed
from tests.reference.slow_features import slow_features

from saiseld.decision.detection_features import FEATURE_NAMES, detection_features


def small_table():
    table, _ = perturbed(0, "fold4_room1_mix001", frames=5, events=3)
    has_map = np.random.default_rng(0).random(len(table)) < 0.7
    return replace(table, has_map=has_map, energy_map=table.energy_map * has_map[:, None, None])


def test_features_equal_their_slow_form():
    table = small_table()
    found = detection_features(table)
    assert found.shape == (len(table), len(FEATURE_NAMES))
    np.testing.assert_allclose(found, slow_features(table), rtol=1e-4, atol=1e-5)


def test_dominance_sees_a_rival_across_the_seam_and_one_without_a_map():
    table, _ = perturbed(0, "fold4_room1_mix001", frames=1, events=1)
    pair = table.take(np.array([0, 1]))
    box = np.array([[350, 60, 380, 90], [-10, 60, 20, 90]], np.float32)
    pair = replace(
        pair,
        box=box,
        score=np.array([0.2, 0.8], np.float32),
        has_map=np.array([True, False]),
        class_id=np.array([4, 4], np.int8),
    )
    dominance = detection_features(pair)[:, FEATURE_NAMES.index("NMS dominance")]
    np.testing.assert_allclose(dominance, [0.25, 1])


def test_the_gates_are_not_read():
    table = replace(small_table(), closure=np.full(len(small_table()), 0.7, np.float32))
    assert (detection_features(table)[:, -2:] == 0).all()


def test_no_rows_no_features():
    assert detection_features(small_table().take(np.zeros(0, int))).shape == (0, 16)


def test_box_without_area_and_empty_map_have_finite_features():
    table = small_table()
    flat = replace(
        table,
        box=np.tile(np.float32([5, 5, 5, 5]), (len(table), 1)),
        energy_map=np.zeros_like(table.energy_map),
        score=np.zeros_like(table.score),
    )
    assert np.isfinite(detection_features(flat)).all()
