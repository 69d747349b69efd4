"""Likeness of two drawn masks: soft IoU and Pearson's r (official scorer, 2026-05-28 and later).

Canvases are (50, 100), non-negative, peak 1; float64, or float32 where `saiseld.evaluation.render`
leaves them so. Two float32 canvases are compared in single precision, as by the official scorer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Canvas = NDArray[np.float64] | NDArray[np.float32]

_EMPTY_UNION = 1e-8
_CONSTANT = 1e-12


def soft_iou(canvas_a: Canvas, canvas_b: Canvas) -> float:
    """Return sum of minima over sum of maxima, in [0, 1]; 0 where the union is below 1e-8."""
    union = np.maximum(canvas_a, canvas_b).sum()
    return float(np.minimum(canvas_a, canvas_b).sum() / union) if union >= _EMPTY_UNION else 0.0


def pearson(ground_truth: Canvas, prediction: Canvas) -> float:
    """Return Pearson's r over the pixels where the ground truth is positive.

    NaN where it is undefined: fewer than two such pixels, or either side constant on them
    (standard deviation below 1e-12).
    """
    inside = ground_truth > 0
    if np.count_nonzero(inside) < 2:
        return np.nan
    truth, predicted = (
        side[inside].astype(np.float64, copy=False) for side in (ground_truth, prediction)
    )
    truth, predicted = truth - truth.mean(), predicted - predicted.mean()
    spread = np.sqrt(np.mean(truth * truth)), np.sqrt(np.mean(predicted * predicted))
    if min(spread) < _CONSTANT:
        return np.nan
    return float(np.mean((truth / spread[0]) * (predicted / spread[1])))
