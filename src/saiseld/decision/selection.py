"""Which detections are kept: caps, frame budget, non-maximum suppression (KIST2026, Sec. 2.5).

Selection is always by raw score; calibrated scores move only the ranking. Ties keep table order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from saiseld.conventions.sphere import box_iou
from saiseld.conventions.taxonomy import NUM_CLASSES

FRAME_BUDGET = 6
"""Most detections kept in one frame."""

CAPS = (1, 3)
"""Detections kept per frame and class in the named systems."""

BASELINE_THRESHOLD = 0.35
"""Score below which the public baseline drops a detection."""


def select(
    score: ArrayLike, frame: ArrayLike, class_id: ArrayLike, cap: int, budget: int = FRAME_BUDGET
) -> NDArray[np.bool_]:
    """Return the (N,) mask of the top ``cap`` per frame and class, at most ``budget`` a frame.

    Examples
    --------
    >>> select([0.9, 0.8, 0.7], frame=[0, 0, 0], class_id=[1, 1, 2], cap=1).tolist()
    [True, False, True]
    """
    score, frame = np.asarray(score), np.asarray(frame, np.int64)
    selected = _rank(score, frame * NUM_CLASSES + np.asarray(class_id, np.int64)) < cap
    rows = np.flatnonzero(selected)
    selected[rows] = _rank(score[rows], frame[rows]) < budget
    return selected


def emittable(
    score: ArrayLike, class_id: ArrayLike, frame: ArrayLike | None = None
) -> NDArray[np.bool_]:
    """Return the (N,) mask of the detections that any system of this package may emit.

    The union of both caps' selections and of all the public baseline's threshold lets through: a
    detector need run its energy and distance heads on these alone. Without ``frame`` all are of
    one.
    """
    score = np.asarray(score)
    frame = np.zeros(len(score), np.int64) if frame is None else np.asarray(frame)
    chosen = score >= BASELINE_THRESHOLD
    for cap in CAPS:
        chosen |= select(score, frame, class_id, cap)
    return chosen


def suppress(box: ArrayLike, score: ArrayLike, iou: float) -> NDArray[np.int64]:
    """Return the rows that survive non-maximum suppression on the cylinder, best score first.

    A row falls to a better surviving one that it overlaps by more than ``iou``.
    """
    overlap = box_iou(box, box) > iou
    alive = np.ones(len(overlap), bool)
    selected = []
    for row in np.argsort(-np.asarray(score), kind="stable"):
        if alive[row]:
            selected.append(row)
            alive &= ~overlap[row]
    return np.array(selected, np.int64)


def _rank(score: NDArray[np.floating], group: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each row's place (0 first) in its group by descending score."""
    order = np.lexsort((-score, group))
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    lengths = np.diff(starts, append=len(order))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(starts, lengths)
    return rank
