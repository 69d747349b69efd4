"""A recording after the costly part of scoring: drawn, compared and matched.

Matching ignores scores (official scorer), so everything here stays true when the same masks get
other scores: `MatchedRecording.rescored` re-ranks them without drawing a mask again, and pooling
recordings (`saiseld.evaluation.scores`) costs milliseconds, a thousand bootstrap draws seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from saiseld.evaluation.matching import assign
from saiseld.evaluation.rendering import RenderedMasks
from saiseld.evaluation.soft_iou import pearson_of_values, soft_iou
from saiseld.runtime.errors import DataError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """The predictions or the ground truth of a recording, without their pixels; N rows.

    Parameters
    ----------
    frame, class_id
        (N,) int64.
    azimuth, elevation
        (N,) float64 degrees of the strongest point, NaN for an empty mask.
    """

    frame: IntArray
    class_id: IntArray
    azimuth: FloatArray
    elevation: FloatArray

    def __len__(self) -> int:
        return len(self.frame)


@dataclass(frozen=True, slots=True, eq=False)
class MatchedRecording:
    """Predictions of a recording matched with its ground truth; D detections, G ground truths.

    Detections are in the order in which the official scorer records them, which decides what
    becomes of equal scores; ground truths are in file order.

    Parameters
    ----------
    detections, truths
        Where and what they are.
    score
        (D,) float64, larger is better.
    position
        (D,) int64: index of each detection in its file.
    partner
        (D,) int64: the ground truth matched with (same frame and class), -1 for none.
    iou, pearson_r
        (D,) float64 of the matched pair: -1 and NaN where there is none. r is also NaN where it
        is undefined. Every IoU is rounded to single precision, as by the official scorer.
    same_class_iou, same_class_truth, other_class_iou, other_class_truth
        (D,) largest soft IoU with any ground truth of the frame of the same (of another) class,
        matched or not, and which it is; 0 and -1 where the IoU is 0.
    truth_iou
        (G,) largest soft IoU with any detection of the frame and class.
    blank_truth
        (G,) bool: ground truth that draws nothing, so that its soft IoU with anything is 0.
    ignored_class_id
        (I,) int64: category ids outside 0-12 on either side, left out.
    """

    detections: Side
    truths: Side
    score: FloatArray
    position: IntArray
    partner: IntArray
    iou: FloatArray
    pearson_r: FloatArray
    same_class_iou: FloatArray
    same_class_truth: IntArray
    other_class_iou: FloatArray
    other_class_truth: IntArray
    truth_iou: FloatArray
    blank_truth: NDArray[np.bool_]
    ignored_class_id: IntArray

    def rescored(self, score: FloatArray) -> MatchedRecording:
        """Return the same matches ranked by other scores (D,), in the order of ``position``."""
        score = np.asarray(score, float)
        if score.shape != self.score.shape or np.isnan(score).any():
            raise ValueError(f"score must be {self.score.shape} numbers, not {score.shape}")
        return replace(self, score=score)


def match_recording(predictions: RenderedMasks, labels: RenderedMasks) -> MatchedRecording:
    """Match the drawn predictions of a recording with its drawn ground truth.

    Per frame and class, the assignment of largest total soft IoU; scores play no part.
    """
    count = len(predictions)
    if np.isnan(predictions.score).any():
        raise DataError(
            "predictions",
            place=f"mask {predictions.position[np.isnan(predictions.score)][0]}",
            expected="a finite score",
            found="none",
        )
    partner = np.full(count, -1, np.int64)
    iou, pearson_r = np.full(count, -1.0), np.full(count, np.nan)
    truth_iou = np.zeros(len(labels))
    best = {same: (np.zeros(count), np.full(count, -1, np.int64)) for same in (True, False)}
    for detected, truths in _shared_frames(predictions, labels):
        pairs = _overlaps(predictions, detected, labels, truths)
        same_class = predictions.class_id[detected][:, None] == labels.class_id[truths]
        for same, (best_iou, best_truth) in best.items():
            among = np.where(same_class == same, pairs, 0.0)
            best_iou[detected] = among.max(axis=1)
            found = truths[among.argmax(axis=1)]
            best_truth[detected] = np.where(best_iou[detected] > 0, found, -1)
        truth_iou[truths] = np.where(same_class, pairs, 0.0).max(axis=0)
        for class_id in np.unique(labels.class_id[truths]):
            rows = np.flatnonzero(predictions.class_id[detected] == class_id)
            columns = np.flatnonzero(labels.class_id[truths] == class_id)
            for row, column in zip(*assign(pairs[np.ix_(rows, columns)]), strict=True):
                i, j = rows[row], columns[column]
                partner[detected[i]] = truths[j]
                iou[detected[i]] = pairs[i, j]
                pearson_r[detected[i]] = _correlation(labels, truths[j], predictions, detected[i])
    order = _official_order(predictions, labels, partner)
    return MatchedRecording(
        detections=_side(predictions, order),
        truths=_side(labels, slice(None)),
        score=predictions.score[order],
        position=predictions.position[order],
        partner=partner[order],
        iou=iou[order],
        pearson_r=pearson_r[order],
        same_class_iou=best[True][0][order],
        same_class_truth=best[True][1][order],
        other_class_iou=best[False][0][order],
        other_class_truth=best[False][1][order],
        truth_iou=truth_iou,
        blank_truth=np.diff(labels.offset) == 0,
        ignored_class_id=np.concatenate([predictions.ignored_class_id, labels.ignored_class_id]),
    )


def _shared_frames(
    predictions: RenderedMasks, labels: RenderedMasks
) -> Iterator[tuple[IntArray, IntArray]]:
    for frame, detected in predictions.rows_of_frame.items():
        truths = labels.rows_of_frame.get(frame)
        if truths is not None:
            yield detected, truths


def _overlaps(
    predictions: RenderedMasks, detected: IntArray, labels: RenderedMasks, truths: IntArray
) -> NDArray[np.float32]:
    """Return the (detected, truths) soft IoU of every pair of a frame."""
    pairs = np.zeros((len(detected), len(truths)), np.float32)
    truth_canvases = [labels.canvas(row) for row in truths]
    # One detection at a time: the canvases of a frame with very many would not fit in memory.
    for i, row in enumerate(detected):
        pixels, canvas = predictions.pixels(row), predictions.canvas(row)
        for j, truth in enumerate(truth_canvases):
            if truth.take(pixels).any():
                pairs[i, j] = soft_iou(canvas, truth)
    if np.isnan(pairs).any():
        raise DataError(
            "masks",
            place=f"frame {predictions.frame[detected[0]]}",
            expected="energies that can be compared",
            found="one that is not finite in a list of points without triangulation",
        )
    return pairs


def _correlation(
    labels: RenderedMasks, truth: np.int64, predictions: RenderedMasks, detected: np.int64
) -> float:
    """Return `pearson` of a pair; a canvas is positive where it is not zero."""
    inside = labels.pixels(truth)
    return pearson_of_values(
        labels.canvas(truth).take(inside), predictions.canvas(detected).take(inside)
    )


def _official_order(
    predictions: RenderedMasks, labels: RenderedMasks, partner: IntArray
) -> IntArray:
    """Return the rows of the predictions in the order of the official scorer's records.

    Frames and classes come as Python iterates over the union of two sets of them, which are made
    here as the official scorer makes its own; in each, matched predictions come first.
    """
    predicted, true = (set(map(tuple, side.group.tolist())) for side in (predictions, labels))
    rank = {key: place for place, key in enumerate(predicted | true)}
    keys = zip(predictions.frame.tolist(), predictions.class_id.tolist(), strict=True)
    return np.lexsort((partner < 0, np.array([rank[key] for key in keys], np.int64)))


def _side(masks: RenderedMasks, rows: IntArray | slice) -> Side:
    return Side(masks.frame[rows], masks.class_id[rows], masks.azimuth[rows], masks.elevation[rows])
