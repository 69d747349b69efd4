"""Why a score is what it is: where precision is lost, what was confused, what was out of reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.sphere import great_circle
from saiseld.conventions.taxonomy import CLASS_NAMES, NUM_CLASSES
from saiseld.evaluation.average_precision import average_precision, ranking
from saiseld.evaluation.matched import MatchedRecording
from saiseld.evaluation.matching import assign
from saiseld.evaluation.scores import json_values

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

MATCH_DEGREES = 20.0
"""Detections and ground truth this near each other are taken for the same event."""
CEILING_IOUS = (0.1, 0.25, 0.5)
ERROR_KINDS = ("wrong class", "poor localisation", "both", "duplicate", "background", "missed")
"""Kinds of error, in the manner of TIDE; "both" is wrong class and poor localisation at once."""

_BACKGROUND_IOU = 0.1


@dataclass(frozen=True, slots=True)
class LostPrecision:
    """What one IoU threshold's macro AP would gain if one kind of error were mended.

    Parameters
    ----------
    threshold
        Soft IoU from which a match counts.
    macro_ap
        Macro AP as it is.
    count, gain
        Number of errors of each kind, and the macro AP gained without them.
    """

    threshold: float
    macro_ap: float
    count: dict[str, int]
    gain: dict[str, float]


@dataclass(frozen=True, eq=False)
class _Errors:
    """All detections of a data set with the kind of their error; truths numbered throughout."""

    score: FloatArray
    class_id: IntArray
    right: NDArray[np.bool_]
    kind: NDArray[np.str_]
    meant: IntArray  # the truth that a mended detection would find, -1 for none
    truth_class: IntArray
    served: NDArray[np.bool_]


def lost_precision(recordings: Sequence[MatchedRecording], threshold: float = 0.5) -> LostPrecision:
    """Decompose the AP lost at an IoU threshold by what-if: mend one kind of error, score again.

    A false positive is, in this order: *poor localisation* (a truth of its class overlaps by 0.1
    or more, but less than the threshold), *wrong class* (a truth of another class overlaps by the
    threshold), *duplicate* (its truth is already found), *background* (no truth overlaps by 0.1),
    else *both*. Mending makes the best-ranked detection of a truth not yet found correct and drops
    the rest; duplicates, background and both are dropped; truths *missed* by all of these are taken
    from the ground truth.

    Source: TIDE2020.
    """
    errors = _errors(recordings, threshold)
    truths = np.bincount(errors.truth_class, minlength=NUM_CLASSES)
    whole = _macro_ap(errors.class_id, errors.score, errors.right, truths)
    count, gain = {}, {}
    reachable = errors.served.copy()
    for kind in ERROR_KINDS[:-1]:
        wrong = errors.kind == kind
        mended = _first_of_each(errors, wrong)
        reachable[errors.meant[mended]] = True
        class_id, right = errors.class_id.copy(), errors.right.copy()
        class_id[mended] = errors.truth_class[errors.meant[mended]]
        right[mended] = True
        counted = ~wrong | right
        count[kind] = int(wrong.sum())
        gain[kind] = (
            _macro_ap(class_id[counted], errors.score[counted], right[counted], truths) - whole
        )
    missed = ~reachable
    left = truths - np.bincount(errors.truth_class[missed], minlength=NUM_CLASSES)
    count["missed"] = int(missed.sum())
    gain["missed"] = _macro_ap(errors.class_id, errors.score, errors.right, left) - whole
    return LostPrecision(threshold, whole, count, gain)


def _errors(recordings: Sequence[MatchedRecording], threshold: float) -> _Errors:
    first = np.cumsum([0, *(len(r.truths) for r in recordings)])

    def joined(name: str) -> NDArray[Any]:
        return np.concatenate([np.zeros(0), *(getattr(r, name) for r in recordings)])

    def truth_of(name: str) -> IntArray:
        parts = [
            np.where(getattr(r, name) >= 0, getattr(r, name) + start, -1)
            for r, start in zip(recordings, first, strict=False)
        ]
        return np.concatenate([np.zeros(0, np.int64), *parts])

    right = joined("iou") >= threshold
    served = np.zeros(first[-1], bool)
    served[truth_of("partner")[right]] = True
    same, other = joined("same_class_iou"), joined("other_class_iou")
    same_truth, other_truth = truth_of("same_class_truth"), truth_of("other_class_truth")
    found = np.zeros(len(right), bool)
    found[same_truth >= 0] = served[same_truth[same_truth >= 0]]
    kind = np.select(
        [
            right,
            # A detection on a truth that nobody serves lost it in the assignment, to a better sum.
            (same >= _BACKGROUND_IOU) & ((same < threshold) | ~found),
            other >= threshold,
            same >= threshold,
            np.maximum(same, other) < _BACKGROUND_IOU,
        ],
        ["", "poor localisation", "wrong class", "duplicate", "background"],
        default="both",
    )
    meant = np.select(
        [kind == "poor localisation", kind == "wrong class"], [same_truth, other_truth], default=-1
    )
    return _Errors(
        score=joined("score"),
        class_id=np.concatenate(
            [np.zeros(0, np.int64), *(r.detections.class_id for r in recordings)]
        ),
        right=right,
        kind=kind,
        meant=meant,
        truth_class=np.concatenate(
            [np.zeros(0, np.int64), *(r.truths.class_id for r in recordings)]
        ),
        served=served,
    )


def _first_of_each(errors: _Errors, wrong: NDArray[np.bool_]) -> IntArray:
    """Return the best-ranked of the wrong detections of each truth that nobody serves."""
    order = ranking(errors.score)
    order = order[wrong[order] & (errors.meant[order] >= 0)]
    order = order[~errors.served[errors.meant[order]]]
    _, best = np.unique(errors.meant[order], return_index=True)
    return order[best]


def _macro_ap(
    class_id: IntArray, score: FloatArray, right: NDArray[np.bool_], truths: IntArray
) -> float:
    order = ranking(score)
    class_id, right = class_id[order], right[order]
    aps = [
        average_precision(right[class_id == c], int(truths[c]))
        for c in range(NUM_CLASSES)
        if truths[c]
    ]
    return float(np.mean(aps)) if aps else np.nan


def confusion(recordings: Sequence[MatchedRecording]) -> IntArray:
    """Return the (14, 14) counts of truth class against detected class; index 13 is "none".

    Per frame, whatever their classes, as many pairs as possible lie within 20 degrees (strongest
    point to strongest point), nearest together; what is left over has no partner.
    """
    counts = np.zeros((NUM_CLASSES + 1, NUM_CLASSES + 1), np.int64)
    for recording in recordings:
        truths, detections = recording.truths, recording.detections
        for frame in np.union1d(truths.frame, detections.frame):
            rows = np.flatnonzero(truths.frame == frame)
            columns = np.flatnonzero(detections.frame == frame)
            angle = great_circle(
                truths.azimuth[rows][:, None],
                truths.elevation[rows][:, None],
                detections.azimuth[columns],
                detections.elevation[columns],
            )
            likeness = np.where(angle <= MATCH_DEGREES, 1000 - angle, 0)
            partner = np.full(len(columns), NUM_CLASSES)
            alone = np.ones(len(rows), bool)
            for i, j in zip(*assign(likeness), strict=True):
                if likeness[i, j] > 0:
                    partner[j] = truths.class_id[rows[i]]
                    alone[i] = False
            np.add.at(counts, (partner, detections.class_id[columns]), 1)
            counts[:, NUM_CLASSES] += np.bincount(
                truths.class_id[rows[alone]], minlength=NUM_CLASSES + 1
            )
    return counts


def localisation_errors(recordings: Sequence[MatchedRecording]) -> FloatArray:
    """Return degrees from strongest point to strongest point of all matched pairs with energy."""
    errors = [np.zeros(0)]
    for recording in recordings:
        matched = np.flatnonzero(recording.partner >= 0)
        partner = recording.partner[matched]
        errors.append(
            great_circle(
                recording.truths.azimuth[partner],
                recording.truths.elevation[partner],
                recording.detections.azimuth[matched],
                recording.detections.elevation[matched],
            )
        )
    joined = np.concatenate(errors)
    return joined[~np.isnan(joined)]


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """How far scores are probabilities of being a true positive.

    Parameters
    ----------
    mean_score, precision, count
        (bins,) of the detections whose score falls in each of ten equal bins of [0, 1]; NaN, NaN
        and 0 in an empty one.
    expected_calibration_error
        Mean of |precision - mean score| over detections.
    brier_score
        Mean squared difference of score and outcome.
    """

    mean_score: FloatArray
    precision: FloatArray
    count: IntArray
    expected_calibration_error: float
    brier_score: float


def reliability(
    score: FloatArray, true_positive: NDArray[np.bool_], bins: int = 10
) -> Reliability | None:
    """Return the reliability of scores; None without any, or if one lies outside [0, 1]."""
    if not len(score) or score.min() < 0 or score.max() > 1:
        return None
    bin_of = np.minimum((score * bins).astype(int), bins - 1)
    count = np.bincount(bin_of, minlength=bins)
    filled = np.where(count, count, np.nan)
    mean_score = np.bincount(bin_of, score, minlength=bins) / filled
    precision = np.bincount(bin_of, true_positive, minlength=bins) / filled
    gap = np.where(count, np.abs(precision - mean_score), 0)
    return Reliability(
        mean_score,
        precision,
        count,
        float((gap * count).sum() / len(score)),
        float(np.mean((score - true_positive) ** 2)),
    )


@dataclass(frozen=True, slots=True)
class RecallCeiling:
    """Recall if every candidate were accepted: what no decision can pass.

    Parameters
    ----------
    ious
        IoUs from which a truth counts as found.
    recall
        Of all truths, at each IoU; NaN without truths.
    per_class
        (13 entries) the same of each class.
    """

    ious: tuple[float, ...]
    recall: tuple[float, ...]
    per_class: tuple[tuple[float, ...], ...]

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values; what is undefined is None."""

        def named(recall: tuple[float, ...]) -> dict[str, float | None]:
            keys = (f"IoU{100 * iou:g}" for iou in self.ious)
            return json_values(dict(zip(keys, recall, strict=True)))

        per_class = zip(CLASS_NAMES, map(named, self.per_class), strict=True)
        return {**named(self.recall), "per_class": dict(per_class)}


def recall_ceiling(
    best_iou: FloatArray, class_id: IntArray, ious: Sequence[float] = CEILING_IOUS
) -> RecallCeiling:
    """Return the recall of (G,) truths from the best IoU that any candidate of their class reaches.

    The IoU is whatever the caller measured: of boxes, as in KIST2026, Sec. 3, or the soft IoU
    of emitted masks (`MatchedRecording.truth_iou`).
    """

    def recall(best: FloatArray) -> tuple[float, ...]:
        return tuple(float(np.mean(best >= iou)) if len(best) else np.nan for iou in ious)

    return RecallCeiling(
        tuple(ious),
        recall(best_iou),
        tuple(recall(best_iou[class_id == c]) for c in range(NUM_CLASSES)),
    )
