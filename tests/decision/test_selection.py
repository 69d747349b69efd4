import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from saiseld.decision.selection import CAPS, emittable, select, suppress


def select_one_by_one(score, frame, class_id, cap, budget):
    kept = np.zeros(len(score), bool)
    for row in np.argsort(-np.asarray(score), kind="stable"):
        in_frame = kept & (frame == frame[row])
        if in_frame.sum() < budget and (in_frame & (class_id == class_id[row])).sum() < cap:
            kept[row] = True
    return kept


detections = st.lists(
    st.tuples(st.sampled_from([0.1, 0.2, 0.3, 0.5, 0.9]), st.integers(0, 3), st.integers(0, 4)),
    max_size=60,
)


@given(detections, st.integers(1, 3), st.integers(1, 6))
def test_select_equals_taking_one_by_one(rows, cap, budget):
    score, frame, class_id = np.array(rows).reshape(-1, 3).T
    found = select(score, frame, class_id, cap, budget)
    np.testing.assert_array_equal(found, select_one_by_one(score, frame, class_id, cap, budget))


def test_emittable_covers_every_system_and_the_baseline():
    rng = np.random.default_rng(0)
    score, class_id = rng.random(100) * 0.4, rng.integers(0, 13, 100)
    found = emittable(score, class_id)
    for cap in CAPS:
        assert found[select(score, np.zeros(100), class_id, cap)].all()
    assert found[score >= 0.35].all()
    assert found.sum() < 40


def test_empty_frame_selects_nothing():
    assert emittable([], []).shape == (0,)


def test_suppress_works_across_the_seam():
    box = [[350, 60, 380, 90], [-9, 60, 21, 90], [100, 60, 130, 90]]
    assert suppress(box, [0.5, 0.9, 0.1], iou=0.3).tolist() == [1, 2]
