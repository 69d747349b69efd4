from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.reference import evaluation as reference

from saiseld.conventions.taxonomy import CLASS_NAMES
from saiseld.evaluation import evaluate, match_systems, score
from saiseld.evaluation.average_precision import average_precision
from saiseld.formats.annotation import EnergyMask


@pytest.fixture(scope="module")
def matched(golden_case):
    predictions, labels = golden_case
    return match_systems({"golden": predictions}, labels)["golden"]


@pytest.mark.parametrize("metric", ["2026-06-30", "2026-05-28"])
def test_soft_iou_metrics_equal_golden(golden, matched, metric):
    expected = golden[f"v{metric.replace('-', '_')}"]
    scores = matched.score(metric)
    near = lambda value: pytest.approx(value, abs=1e-6, nan_ok=True)  # noqa: E731
    assert scores.macro_mAP == near(expected["macro_mAP"])
    assert scores.macro_ap == near(tuple(expected["macro_AP"]))
    assert scores.macro_pearson_r == near(expected["macro_pearson"])
    assert scores.micro_mAP == near(expected["micro_mAP"])
    assert scores.micro_pearson_r == near(expected["micro_pearson"])
    for class_id, ours in enumerate(scores.per_class):
        theirs = expected["per_class"][str(class_id)]
        assert (ours.n_gt, ours.n_det) == (theirs["n_gt"], theirs["n_det"])
        assert ours.ap == near(tuple(np.nan if ap is None else ap for ap in theirs["ap"]))
        assert ours.mAP == near(np.nan if theirs["map"] is None else theirs["map"])
        assert ours.pearson_r == near(np.nan if theirs["pearson"] is None else theirs["pearson"])


def test_2026_04_02_equals_golden(golden, golden_case):
    report = dict(
        line.rsplit(":", 1) for line in golden["v2026_04_02"].splitlines() if line.count(" : ")
    )
    report = {name.strip(): value.split()[0] for name, value in report.items()}
    scores = evaluate(*golden_case, "2026-04-02")
    assert scores.mask_mAP == pytest.approx(float(report["Mask mAP  (IoU 0.50:0.95)"]), abs=1e-6)
    assert scores.mask_AP50 == pytest.approx(float(report["Mask AP50 (IoU = 0.50)"]), abs=1e-6)
    assert scores.pearson_r == pytest.approx(float(report["Pearson r (alignment)"]), abs=1e-6)
    assert scores.distance_error_percent == pytest.approx(
        float(report["Distance MAPE (Relative)"]), abs=1e-6
    )
    per_class = list(report.values())[-13:]
    for ours, theirs in zip(scores.per_class, per_class, strict=True):
        assert ours["mAP"] == pytest.approx(float(theirs), abs=1e-6)


def assert_equal_to_the_last_digit(fast, slow):
    assert list(fast.macro_ap) == slow["macro_ap"]
    assert fast.macro_mAP == slow["macro_mAP"]
    assert fast.macro_pearson_r == slow["macro_r"]
    assert (list(fast.micro.ap), fast.micro.pearson_r) == (slow["micro"]["ap"], slow["micro"]["r"])
    for class_id, theirs in slow["per_class"].items():
        ours = fast.per_class[class_id]
        assert (list(ours.ap), ours.n_gt, ours.n_det) == (
            theirs["ap"],
            theirs["n_gt"],
            theirs["n_det"],
        )
        assert ours.pearson_n == 0 or ours.pearson_r == theirs["r"]


def test_every_number_equals_the_slow_loop(small_case):
    predictions, labels = small_case
    assert_equal_to_the_last_digit(
        evaluate(predictions, labels), reference.evaluate(predictions, labels)
    )


def test_equal_scores_come_in_the_official_order_and_are_said(small_case):
    predictions, labels = small_case
    # Several guesses a truth, in five steps of score: most are ties, many of right and wrong.
    rng = np.random.default_rng(0)
    tied = {
        name: [
            replace(mask, class_id=0, score=float(rng.integers(5)))
            for mask in [*predictions[name], *labels[name]]
        ]
        for name in labels
    }
    labels = {name: [replace(mask, class_id=0) for mask in masks] for name, masks in labels.items()}
    scores = evaluate(tied, labels)
    assert_equal_to_the_last_digit(scores, reference.evaluate(tied, labels))
    low, high = scores.ties.macro_mAP
    assert low < scores.macro_mAP < high
    assert scores.ties.count == scores.ties.detections == sum(map(len, tied.values()))
    (note,) = scores.notes
    assert f"macro mAP between {low:.6f} and {high:.6f}" in note
    assert scores.as_dict()["ties"]["macro_mAP"] == (low, high)
    untied = {
        name: [replace(mask, score=rng.random()) for mask in masks] for name, masks in tied.items()
    }
    assert evaluate(untied, labels).ties is None


def test_the_names_of_the_json(small_case, matched):
    scores = matched.score().as_dict()
    assert {
        "metric",
        "macro_mAP",
        "macro_AP50",
        "macro_AP75",
        "macro_pearson_r",
        "micro_mAP",
        "micro_AP50",
        "micro_pearson_r",
        "per_class",
    } <= set(scores)
    assert tuple(scores["per_class"]) == CLASS_NAMES
    assert {"n_gt", "n_det", "mAP", "AP50", "AP75", "pearson_r", "pearson_n"} <= set(
        scores["per_class"]["Bell"]
    )
    assert scores["per_class"]["Bell"]["pearson_r"] is None
    old = evaluate(*small_case, "2026-04-02").as_dict()
    assert {"mask_mAP", "mask_AP50", "pearson_r", "distance_error_percent", "per_class"} <= set(old)


def test_other_thresholds(matched):
    official = matched.score()
    one = matched.score(thresholds=(0.5,))
    assert one.macro_mAP == official.macro_ap[1]
    assert "macro_AP75" not in one.as_dict()
    fine = matched.score(thresholds=tuple(np.linspace(0.05, 0.95, 19)))
    assert list(fine.macro_ap) == sorted(fine.macro_ap, reverse=True)
    for impossible in ((), (0.0,), (0.5, 1.5)):
        with pytest.raises(ValueError, match="soft IoUs in"):
            matched.score(thresholds=impossible)


# --- properties ---------------------------------------------------------------------------------


def as_predictions(labels, score=lambda mask: 0.5):
    return {
        recording: [replace(mask, score=score(mask)) for mask in masks]
        for recording, masks in labels.items()
    }


@pytest.mark.parametrize("metric", ["2026-06-30", "2026-05-28", "2026-05-18", "2026-04-02"])
def test_the_truth_itself_scores_one(small_case, metric):
    _, labels = small_case
    headline = evaluate(as_predictions(labels), labels, metric).headline()
    headline["distance"] = 1 + headline.pop("distance_error_percent", 0)
    assert headline == pytest.approx(dict.fromkeys(headline, 1.0), abs=1e-8)


@pytest.mark.parametrize("metric", ["2026-06-30", "2026-05-28", "2026-05-18", "2026-04-02"])
def test_no_detections_at_all_is_defined(small_case, metric):
    _, labels = small_case
    headline = evaluate({name: [] for name in labels}, labels, metric).headline()
    for name, value in headline.items():
        if "pearson" in name or metric != "2026-06-30":
            assert np.isnan(value), name
        else:
            assert value == 0, name


def test_nothing_at_all_is_defined():
    scores = score([])
    assert all(np.isnan(value) for value in scores.headline().values())
    assert scores.as_dict()["macro_mAP"] is None


def _rotated(masks, degrees):
    turned = []
    for mask in masks:
        blobs = [np.array(blob) for blob in mask.segmentation]
        for blob in blobs:
            blob[:, 0] = (blob[:, 0] + degrees) % 360
        turned.append(replace(mask, segmentation=tuple(blobs)))
    return turned


def _clouds(seed):
    """Return (predictions, labels) of points in general position: one triangulation, no other."""
    rng = np.random.default_rng(seed)
    predictions, labels = [], []
    for frame in range(15):
        centre = rng.uniform([0, 40], [360, 140])
        for instance, offset in enumerate(([0, 0], rng.uniform(-12, 12, 2), [25, 5])):
            points = centre + offset + rng.uniform(-18, 18, (12, 2))
            blob = np.column_stack([points[:, 0] % 360, points[:, 1], rng.uniform(0.1, 1, 12)])
            mask = EnergyMask(frame, instance, frame % 3, (blob,), distance_cm=100.0 + instance)
            if instance == 0:
                labels.append(mask)
            predictions.append(replace(mask, score=rng.random()))
    return {"a": predictions}, {"a": labels}


@pytest.mark.parametrize("columns", [1, 17, 50, 83])
def test_rotation_by_whole_canvas_columns_changes_no_score(columns):
    # Where the metric is invariant: points in general position, sampled at the same places. On a
    # lattice float32 rounding decides between triangulations that are equally good.
    case = _clouds(columns)
    turned = [{"a": _rotated(side["a"], 3.6 * columns)} for side in case]
    before, after = evaluate(*case).headline(), evaluate(*turned).headline()
    assert 0 < before["macro_mAP"] < 1
    assert after == pytest.approx(before, abs=1e-5)


@pytest.mark.parametrize("degrees", [1, 77, 180, 301])
def test_rotation_by_whole_degrees_leaves_the_2026_04_02_precision_alone(degrees):
    # Its correlation is not invariant: the region it looks at does not wrap.
    case = _clouds(5)
    turned = [{"a": _rotated(side["a"], degrees)} for side in case]
    before, after = evaluate(*case, "2026-04-02"), evaluate(*turned, "2026-04-02")
    assert 0 < before.mask_mAP < 1
    assert after.mask_mAP == pytest.approx(before.mask_mAP, abs=1e-12)
    assert after.distance_error_percent == pytest.approx(before.distance_error_percent, abs=1e-9)


def test_permuting_the_classes_permutes_the_scores(small_case):
    permutation = np.random.default_rng(0).permutation(13)
    renamed = [
        {
            name: [replace(m, class_id=int(permutation[m.class_id])) for m in masks]
            for name, masks in side.items()
        }
        for side in small_case
    ]
    before, after = evaluate(*small_case), evaluate(*renamed)
    assert after.headline() == pytest.approx(before.headline(), abs=1e-12)
    for class_id, scores in enumerate(before.per_class):
        assert after.per_class[permutation[class_id]] == scores


def test_duplicate_predictions_only_hurt(small_case):
    # True where a frame has one ground truth of a class. Of two that overlap the same prediction,
    # a copy of it may serve the second: the official matching allows that.
    predictions, labels = small_case
    labels = {
        name: list({(m.frame, m.class_id): m for m in masks}.values())
        for name, masks in labels.items()
    }
    before = evaluate(predictions, labels)
    for below in (0.0, 1e-6):
        doubled = {
            name: masks + [replace(m, score=m.score - below) for m in masks]
            for name, masks in predictions.items()
        }
        after = evaluate(doubled, labels)
        for ours, theirs in zip(after.per_class, before.per_class, strict=True):
            assert not np.any(np.array(ours.ap) > np.array(theirs.ap) + 1e-12)
        assert after.macro_mAP < before.macro_mAP


def test_any_order_of_recordings_and_annotations_gives_the_same_scores(small_case):
    rng = np.random.default_rng(1)
    predictions, labels = (
        {name: [side[name][i] for i in rng.permutation(len(side[name]))] for name in [*side][::-1]}
        for side in small_case
    )
    assert evaluate(predictions, labels).headline() == pytest.approx(
        evaluate(*small_case).headline(), abs=1e-12
    )


def test_only_the_order_of_the_scores_counts(small_case):
    predictions, labels = small_case
    matched = match_systems({"small": predictions}, labels)["small"]
    cubed = [m.rescored(m.score**3) for m in matched.recordings.values()]
    assert score(cubed) == matched.score()
    turned = [m.rescored(-m.score) for m in matched.recordings.values()]
    redrawn = evaluate(
        {name: [replace(m, score=-m.score) for m in masks] for name, masks in predictions.items()},
        labels,
    )
    assert score(turned) == redrawn
    assert score(turned).macro_mAP != matched.score().macro_mAP


def test_systems_that_share_their_masks_score_as_each_alone(small_case):
    predictions, labels = small_case
    rng = np.random.default_rng(0)
    reranked = {
        name: [replace(m, score=rng.random()) for m in masks] for name, masks in predictions.items()
    }
    together = match_systems({"a": predictions, "b": reranked}, labels)
    assert together["a"].score() == evaluate(predictions, labels)
    assert together["b"].score() == evaluate(reranked, labels)
    assert together["a"].score() != together["b"].score()


def test_other_scores_must_fit(matched):
    (first, *_) = matched.recordings.values()
    with pytest.raises(ValueError, match="numbers"):
        first.rescored(np.full(len(first.score), np.nan))
    with pytest.raises(ValueError, match=r"not \(1,\)"):
        first.rescored(np.ones(1))


def test_categories_outside_the_13_are_ignored_and_said(small_case):
    predictions, labels = small_case
    name = next(iter(predictions))
    strange = {
        **predictions,
        name: [replace(predictions[name][0], class_id=c) for c in (13, -1)] + predictions[name],
    }
    scores = evaluate(strange, labels)
    assert scores.headline() == evaluate(predictions, labels).headline()
    assert scores.notes == (
        "2 annotations with category ids outside 0-12 (-1, 13) ignored, as by the official scorer",
    )


def test_average_precision_by_hand():
    # Found, wrong, found of two: precision 1 up to recall 1/2, then 2/3.
    by_hand = (51 * 1.0 + 50 * 2 / 3) / 101
    assert average_precision(np.array([True, False, True]), 2) == pytest.approx(by_hand)
    assert average_precision(np.zeros(0, bool), 2) == 0


def test_recalls_are_single_precision_against_levels_of_double():
    # Nothing wrong, 28 or 29 found of 100: 0.28 is rounded up and reaches the level 0.28, 0.29 is
    # rounded down and does not reach the level 0.29.
    expected = np.float32(29) / np.float32(101)
    assert average_precision(np.ones(28, bool), 100) == expected
    assert average_precision(np.ones(29, bool), 100) == expected


@pytest.mark.parametrize("metric", ["2026-06-30", "2026-05-18"])
def test_labels_without_points_lower_what_is_possible_and_are_said(small_case, metric):
    _, labels = small_case
    bare = {
        name: [
            replace(mask, segmentation=() if n % 4 == 0 else mask.segmentation)
            for n, mask in enumerate(masks)
        ]
        for name, masks in labels.items()
    }
    scores = evaluate(as_predictions(bare), bare, metric)
    blank = sum(not mask.segmentation for masks in bare.values() for mask in masks)
    (said,) = (note for note in scores.notes if "nothing can match" in note)
    assert said.startswith(f"{blank} label") and scores.macro_mAP < 1
    # Without the bare predictions, which are false positives, the copy reaches what is said.
    sounding = {name: [m for m in masks if m.segmentation] for name, masks in bare.items()}
    best = evaluate(as_predictions(sounding), bare, metric)
    assert f"macro mAP is {best.macro_mAP:.4f}, micro mAP {best.micro_mAP:.4f}" in said
