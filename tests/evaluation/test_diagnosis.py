from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.errors import raises

from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.evaluation import match_systems
from saiseld.evaluation.diagnosis import (
    ERROR_KINDS,
    confusion,
    localisation_errors,
    lost_precision,
    recall_ceiling,
    reliability,
)
from saiseld.evaluation.uncertainty import FEWEST_RECORDINGS, compare, confidence_intervals
from saiseld.formats.annotation import EnergyMask
from saiseld.runtime.errors import DataError

NONE = NUM_CLASSES


def blob(azimuth, *, class_id=0, frame=0, score=None, instance=0):
    """A round mask of 20 degrees at an azimuth, on the horizon."""
    angle = np.radians(np.arange(0, 360, 30))
    ring = np.column_stack([180 - azimuth + 10 * np.cos(angle), 90 + 10 * np.sin(angle)])
    points = np.vstack([[180 - azimuth, 90.0], ring])
    energy = np.r_[1.0, np.full(len(ring), 0.3)]
    return EnergyMask(frame, instance, class_id, (np.column_stack([points, energy]),), score=score)


def match(predictions, labels):
    return match_systems({"s": {"take": predictions}}, {"take": labels})["s"]


def decompose(predictions, labels):
    return lost_precision(list(match(predictions, labels).recordings.values()))


@pytest.mark.parametrize(
    ("kind", "predictions"),
    [
        ("wrong class", [blob(0, class_id=1, score=0.9)]),
        ("poor localisation", [blob(6, score=0.9)]),
        ("both", [blob(6, class_id=1, score=0.9)]),
        ("background", [blob(90, score=0.9), blob(0, score=0.5)]),
        ("duplicate", [blob(0.5, score=0.9), blob(0, score=0.5)]),
        ("missed", [blob(90, frame=1, class_id=2, score=0.9)]),
    ],
)
def test_each_kind_of_error_is_named_and_its_mending_pays(kind, predictions):
    labels = [blob(0), blob(0, frame=5, class_id=1), blob(0, frame=9, class_id=2)]
    found = [blob(0, frame=5, class_id=1, score=0.3), blob(0, frame=9, class_id=2, score=0.2)]
    losses = decompose(predictions + found, labels)
    expected = {kind: 1}
    if kind == "missed":
        expected = {"missed": 1, "background": 1}
    if kind == "both":
        expected = {"both": 1, "missed": 1}
    assert {k: n for k, n in losses.count.items() if n} == expected
    assert losses.gain[kind] > 0
    assert tuple(losses.gain) == ERROR_KINDS


def test_mending_never_costs(golden_case):
    predictions, labels = golden_case
    recordings = list(match_systems({"s": predictions}, labels)["s"].recordings.values())
    for threshold in (0.25, 0.5, 0.75):
        losses = lost_precision(recordings, threshold)
        assert min(losses.gain.values()) >= 0
        wrong = sum(int((r.iou < threshold).sum()) for r in recordings)
        assert sum(losses.count.values()) - losses.count["missed"] == wrong


def test_nothing_is_lost_by_the_truth():
    losses = decompose([blob(0, score=0.9)], [blob(0)])
    assert losses.macro_ap == pytest.approx(1)
    assert not any(losses.count.values())


def test_only_the_best_detection_of_a_truth_is_mended():
    losses = decompose([blob(6, score=0.9), blob(-6, score=0.8)], [blob(0)])
    assert losses.count["poor localisation"] == 2
    assert losses.gain["poor localisation"] == pytest.approx(1)


def test_confusion_pairs_whatever_is_within_20_degrees():
    labels = [blob(0), blob(100, class_id=4), blob(-100, class_id=5)]
    predictions = [
        blob(15, class_id=1, score=0.5),
        blob(104, class_id=4, score=0.5),
        blob(-121, class_id=5, score=0.5),
    ]
    counts = confusion(list(match(predictions, labels).recordings.values()))
    assert {(r, c) for r, c in zip(*np.nonzero(counts), strict=True)} == {
        (0, 1),
        (4, 4),
        (5, NONE),
        (NONE, 5),
    }


def test_confusion_prefers_more_pairs_to_nearer_ones():
    labels, predictions = [blob(0), blob(18)], [blob(17, score=0.5), blob(35, score=0.5)]
    counts = confusion(list(match(predictions, labels).recordings.values()))
    assert counts[0, 0] == 2


def test_confusion_counts_every_truth_and_detection_once(golden_case):
    predictions, labels = golden_case
    recordings = list(match_systems({"s": predictions}, labels)["s"].recordings.values())
    counts = confusion(recordings)
    for class_id in range(NUM_CLASSES):
        in_class = [
            sum(m.class_id == class_id for ms in s.values() for m in ms)
            for s in (labels, predictions)
        ]
        assert [counts[class_id].sum(), counts[:, class_id].sum()] == in_class


def test_localisation_errors_are_great_circle_degrees():
    matched = match([blob(7, score=0.5), blob(50, frame=3, score=0.5)], [blob(0)])
    assert localisation_errors(list(matched.recordings.values())) == pytest.approx([7])


def test_reliability_of_true_probabilities_and_of_confident_nonsense():
    rng = np.random.default_rng(0)
    score = rng.random(20000)
    honest = reliability(score, rng.random(20000) < score)
    assert honest.expected_calibration_error < 0.02
    assert honest.brier_score == pytest.approx(1 / 6, abs=0.01)
    nonsense = reliability(np.ones(100), np.zeros(100, bool))
    assert (nonsense.expected_calibration_error, nonsense.brier_score) == (1, 1)
    assert nonsense.count.tolist() == [0] * 9 + [100]
    assert reliability(np.array([1.5]), np.array([True])) is None
    assert reliability(np.zeros(0), np.zeros(0, bool)) is None


def test_recall_ceiling_by_hand():
    ceiling = recall_ceiling(np.array([0.05, 0.3, 0.6, 0.1]), np.array([0, 0, 3, 3]))
    assert ceiling.recall == (0.75, 0.5, 0.25)
    assert ceiling.per_class[3] == (1, 0.5, 0.5)
    assert ceiling.as_dict()["per_class"]["Bell"] == {"IoU10": None, "IoU25": None, "IoU50": None}


def test_recall_of_masks_bounds_every_selection_of_them(golden_case):
    predictions, labels = golden_case
    system = match_systems({"s": predictions}, labels)["s"]
    recordings = system.recordings.values()
    ceiling = recall_ceiling(
        np.concatenate([r.truth_iou for r in recordings]),
        np.concatenate([r.truths.class_id for r in recordings]),
        (0.25, 0.5, 0.75),
    )
    matched = np.concatenate([r.iou for r in recordings])
    for iou, recall in zip(ceiling.ious, ceiling.recall, strict=True):
        assert (matched >= iou).sum() / len(
            np.concatenate([r.truth_iou for r in recordings])
        ) <= recall


# --- uncertainty --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def system(golden_case):
    predictions, labels = golden_case
    return match_systems({"s": predictions}, labels)["s"]


def many(system):
    """Return the system on its three recordings, twice over under other names."""
    twice = {f"{name}{n}": r for name, r in system.recordings.items() for n in range(2)}
    return replace(system, recordings=twice)


def test_drawing_every_recording_once_is_the_score_itself(system):
    from saiseld.evaluation.scores import pool, score, score_pool

    recordings = list(system.recordings.values())
    assert score_pool(pool(recordings), weight=np.ones(3, int)) == score(recordings)
    doubled = score_pool(pool(recordings), weight=np.array([2, 0, 1]))
    assert doubled.headline() == pytest.approx(
        score([recordings[0], recordings[0], recordings[2]]).headline(), abs=1e-12
    )


def test_intervals_are_of_every_headline_number_and_repeatable(system):
    system = many(system)
    intervals = confidence_intervals(system, resamples=50)
    assert set(intervals) == set(system.score().headline())
    assert all(i.low <= i.high for i in intervals.values())
    assert intervals["macro_pearson_r"].low < intervals["macro_pearson_r"].value
    assert confidence_intervals(system, resamples=50) == intervals
    assert confidence_intervals(system, resamples=50, seed=1) != intervals


def test_five_times_the_same_recording_has_no_spread(system):
    recording = next(iter(system.recordings.values()))
    same = replace(system, recordings={f"{n}": recording for n in range(FEWEST_RECORDINGS)})
    interval = confidence_intervals(same, resamples=5)["macro_mAP"]
    assert interval.low == interval.high == pytest.approx(interval.value)


def test_few_recordings_have_scores_and_no_intervals(system):
    intervals = confidence_intervals(system)
    assert {name: i.value for name, i in intervals.items()} == system.score().headline()
    assert np.isnan([(i.low, i.high) for i in intervals.values()]).all()
    assert np.isnan(compare(system, system)["macro_mAP"].p_value)


def test_a_system_does_not_differ_from_itself_and_loses_to_the_truth(golden_case, system):
    _, labels = golden_case
    system = many(system)
    same = compare(system, system, resamples=20)["macro_mAP"]
    assert (same.interval.low, same.interval.high, same.p_value) == (0, 0, 1)
    truth = {name: [replace(m, score=0.5) for m in masks] for name, masks in labels.items()}
    perfect = many(match_systems({"s": truth}, labels)["s"])
    better = compare(perfect, system, resamples=20)["macro_mAP"]
    assert better.interval.low > 0.5
    assert better.p_value == pytest.approx(2 / 2**6)  # no exchange of six is as good


@pytest.mark.slow
def test_random_exchanges_take_over_from_the_exact_test(golden_case, system, monkeypatch):
    _, labels = golden_case
    truth = {name: [replace(m, score=0.5) for m in masks] for name, masks in labels.items()}
    perfect = many(match_systems({"s": truth}, labels)["s"])
    exact = compare(system_twice := many(system), perfect, resamples=1)["micro_mAP"].p_value
    monkeypatch.setattr("saiseld.evaluation.uncertainty.MOST_EXACT", 1)
    sampled = compare(system_twice, perfect, resamples=200)["micro_mAP"].p_value
    assert sampled == pytest.approx(exact, abs=0.04)


def test_only_the_same_recordings_compare(system):
    fewer = replace(system, recordings=dict(list(system.recordings.items())[:2]))
    with raises(DataError, expected="the same recordings"):
        compare(system, fewer)
