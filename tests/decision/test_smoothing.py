import numpy as np
from sklearn.metrics import roc_auc_score
from tests.reference.perturbed_labels import perturbed

from saiseld.decision.smoothing import REACH, cross_fit_smoother, evidence, fit_smoother
from saiseld.decision.tracking import track_lengths, tracks


def slow_evidence(probability, frame, track):
    rows = []
    for row in range(len(frame)):
        near = [
            probability[other]
            for other in range(len(frame))
            if track[other] == track[row] and 0 < abs(int(frame[other]) - int(frame[row])) <= REACH
        ]
        rows.append([sum(near) / (2 * REACH), len(near) / (2 * REACH)])
    return np.array(rows)


def test_evidence_equals_looking_row_by_row():
    rng = np.random.default_rng(0)
    table, _ = perturbed(0, "fold4_room1_mix001", frames=20)
    probability, track = rng.random(len(table)), tracks(table)
    found = evidence(probability, table.frame, track)
    np.testing.assert_allclose(found[:, 1:], slow_evidence(probability, table.frame, track))
    np.testing.assert_allclose(1 / (1 + np.exp(-found[:, 0])), probability, atol=1e-4)


def test_no_detections_no_evidence():
    nothing = np.zeros(0, int)
    assert evidence(np.zeros(0), nothing, nothing).shape == (0, 3)


def scene(rng, frames=60, persistent=True):
    """Detections half of which are right; right ones keep their track if ``persistent``."""
    right = np.repeat([True, False], frames)
    frame = np.tile(np.arange(frames), 2)
    track = np.where(right & persistent, 0, 1 + np.arange(2 * frames))
    probability = np.clip(0.5 + 0.1 * (2 * right - 1) + rng.normal(0, 0.2, 2 * frames), 0.02, 0.98)
    return evidence(probability, frame, track), probability, right


def test_persistence_is_believed_where_it_tells():
    rng = np.random.default_rng(0)
    for persistent in (True, False):
        parts = [scene(rng, persistent=persistent) for _ in range(4)]
        known, probability, right = (np.concatenate(column) for column in zip(*parts, strict=True))
        room = np.repeat([f"room{k}" for k in range(4)], 120)
        before = roc_auc_score(right, probability)
        after = roc_auc_score(right, cross_fit_smoother(known, right, room))
        if persistent:
            assert after > before + 0.15
        else:
            assert abs(after - before) < 0.02


def test_smoother_keeps_what_it_learnt():
    known, _, right = scene(np.random.default_rng(1))
    smoother = fit_smoother(known, right)
    assert smoother.weights[2] > 0
    assert ((smoother.apply(known) > 0.5) == right).mean() > 0.9


def test_tracks_link_over_the_seam_and_gaps_but_not_classes():
    table, _ = perturbed(3, "fold4_room1_mix001", frames=30)
    track = tracks(table)
    assert len(track) == len(table)
    for t in np.unique(track):
        assert len(np.unique(table.class_id[track == t])) == 1
        frames = table.frame[track == t]
        assert (np.diff(frames) >= 1).all() and np.diff(frames, append=frames[-1] + 1).max() <= 6
    np.testing.assert_array_equal(track_lengths(table), [(track == t).sum() for t in track])
