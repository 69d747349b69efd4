from dataclasses import replace

import numpy as np
import pytest
from mapie.risk_control import MultiLabelClassificationController, control_fwer
from mapie.risk_control.methods import compute_hoeffding_bentkus_p_value
from tests.errors import raises

from saiseld.decision.risk import (
    THRESHOLDS,
    Goal,
    hoeffding_bentkus,
    losses,
    operating_point,
    right_masks,
    safe_thresholds,
)
from saiseld.evaluation.matched import MatchedRecording, Side
from saiseld.runtime.errors import DataError, RecipeError


def recording(score, iou, truth, truths):
    """A matched recording with only what risk reads of it."""
    count = len(score)
    nowhere = np.zeros(count), np.full(count, -1)
    side = [
        Side(*(np.zeros(n, int) for _ in range(2)), *(np.zeros(n) for _ in range(2)))
        for n in (count, truths)
    ]
    return MatchedRecording(
        detections=side[0],
        truths=side[1],
        score=np.asarray(score, float),
        position=np.arange(count),
        partner=np.full(count, -1),
        iou=np.full(count, -1.0),
        pearson_r=np.full(count, np.nan),
        same_class_iou=np.asarray(iou, float),
        same_class_truth=np.asarray(truth, int),
        other_class_iou=nowhere[0],
        other_class_truth=nowhere[1],
        truth_iou=np.zeros(truths),
        blank_truth=np.zeros(truths, bool),
        ignored_class_id=np.zeros(0, int),
    )


def chance_recording(rng, masks=40, truths=20):
    """Masks that are right with the probability of their score; recordings differ in quality."""
    quality = rng.uniform(0.7, 1.3)
    score = rng.random(masks)
    right = (rng.random(masks) < np.clip(quality * score, 0, 1)) & (np.arange(masks) < truths)
    return recording(score, np.where(right, 0.6, 0.1), np.arange(masks) % truths, truths)


def test_best_scored_mask_of_a_truth_is_right_and_its_duplicates_are_wrong():
    found = recording([0.9, 0.8, 0.7, 0.6, 0.5], [0.3, 0.9, 0.2, 0.25, 0.9], [0, 0, 1, 2, 0], 4)
    assert right_masks(found).tolist() == [True, False, False, True, False]


def test_losses_count_what_is_kept():
    found = recording([0.9, 0.8, 0.7, 0.6, 0.5], [0.3, 0.9, 0.2, 0.25, 0.9], [0, 0, 1, 2, 0], 4)
    at = np.array([0.55, 0.85, 0.95])
    np.testing.assert_allclose(losses([found], "fdr", at), [[2 / 4, 0, 0]])
    np.testing.assert_allclose(losses([found], "miss", at), [[1 - 2 / 4, 1 - 1 / 4, 1]])


def test_recording_without_masks_or_truth_costs_nothing():
    silent = recording([], [], [], 0)
    assert losses([silent], "fdr").max() == losses([silent], "miss").max() == 0


@pytest.mark.parametrize("count", [5, 24, 168])
@pytest.mark.parametrize("alpha", [0.05, 0.2, 0.6])
def test_p_values_equal_mapie(count, alpha):
    mean = np.linspace(0, 1, 57)
    ours = hoeffding_bentkus(mean, count, alpha)
    theirs = compute_hoeffding_bentkus_p_value(mean, count, np.array([alpha]))[:, 0]
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_whole_procedure_equals_mapie_where_both_can_do_it():
    """As many masks in every recording and one mask always kept: a multi-label problem."""
    rng = np.random.default_rng(0)
    labels = 12
    score = np.column_stack([np.full(60, 0.999), rng.random((60, labels - 1))])
    right = rng.random(score.shape) < score
    thresholds = THRESHOLDS[THRESHOLDS < 0.999]
    controller = MultiLabelClassificationController(
        predict_function=lambda rows: score[np.asarray(rows)[:, 0].astype(int)],
        risk="precision",
        method="ltt",
        target_level=0.7,
        confidence_level=0.9,
        predict_params=thresholds,
    )
    controller.compute_risks(np.arange(60)[:, None], right.astype(int))
    found = [
        recording(s, np.where(r, 0.5, 0), np.arange(labels), labels)
        for s, r in zip(score, right, strict=True)
    ]
    loss = losses(found, "fdr", thresholds)
    np.testing.assert_allclose(loss, controller._risks, atol=1e-12)
    p_values = compute_hoeffding_bentkus_p_value(loss.mean(axis=0), 60, np.array([0.3]))[:, 0]
    safest_first = control_fwer(p_values[::-1], 0.1, "fixed_sequence")
    ours = safe_thresholds(loss, Goal("fdr", 0.3))
    assert 0 < len(ours) < len(thresholds)
    np.testing.assert_array_equal(ours, len(thresholds) - 1 - safest_first)


@pytest.mark.parametrize("goal", [Goal("fdr", 0.3), Goal("miss", 0.75)])
def test_guarantee_holds_over_random_splits(goal):
    """The risk on the rest exceeds alpha in no more than delta of the splits, give or take."""
    rng = np.random.default_rng(0)
    loss = losses([chance_recording(rng) for _ in range(3000)], goal.risk)
    exceeded = []
    for _ in range(400):
        order = rng.permutation(len(loss))
        safe = safe_thresholds(loss[order[:40]], goal)
        if len(safe):
            exceeded.append(loss[order[40:], safe[-1]].mean() > goal.alpha)
    assert len(exceeded) > 300
    assert np.mean(exceeded) <= goal.delta + 3 * np.sqrt(goal.delta * (1 - goal.delta) / 400)


def test_operating_point_keeps_what_the_goal_allows():
    rng = np.random.default_rng(1)
    recordings = [chance_recording(rng) for _ in range(100)]
    strict, loose = (operating_point(recordings, Goal("fdr", alpha)) for alpha in (0.35, 0.5))
    assert strict.threshold > loose.threshold
    assert strict.observed < 0.35 and strict.retained < loose.retained
    many, few = (operating_point(recordings, Goal("miss", alpha)) for alpha in (0.65, 0.8))
    assert many.threshold < few.threshold and many.observed < 0.65


def test_goal_out_of_reach_says_what_is_in_reach():
    rng = np.random.default_rng(2)
    recordings = [chance_recording(rng) for _ in range(40)]
    wrong = [replace(r, same_class_iou=0 * r.score, score=0 * r.score + 1) for r in recordings]
    with raises(DataError, "miss=0.3", expected="a threshold that keeps", advice="lowest level"):
        operating_point(recordings, Goal("miss", 0.3))
    with raises(DataError, "fdr=0.2", advice="No level below 1"):
        operating_point(wrong, Goal("fdr", 0.2))


def test_too_few_recordings_say_how_many_it_takes():
    rng = np.random.default_rng(3)
    with raises(DataError, advice="Even without one error this level takes 45 recordings"):
        operating_point([chance_recording(rng) for _ in range(10)], Goal("fdr", 0.05))


@pytest.mark.parametrize("text", ["fdr", "fdr=0", "fdr=1.2", "recall=0.3", "fdr=much"])
def test_unknown_goal_is_refused(text):
    with raises(RecipeError, expected="fdr=<level> or miss=<level>", found=text):
        Goal.parse(text)
    assert Goal.parse("miss=0.4", delta=0.05) == Goal("miss", 0.4, 0.05)
