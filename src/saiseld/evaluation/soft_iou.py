"""Likeness of two drawn masks: soft IoU and Pearson's r (official scorer, 2026-05-28 and later).

Canvases are (50, 100) float64, non-negative, peak 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_EMPTY_UNION = 1e-8
_CONSTANT = 1e-12


def soft_iou(canvas_a: FloatArray, canvas_b: FloatArray) -> float:
    """Return sum of minima over sum of maxima, in [0, 1]; 0 where the union is below 1e-8."""
    union = float(np.maximum(canvas_a, canvas_b).sum())
    return float(np.minimum(canvas_a, canvas_b).sum()) / union if union >= _EMPTY_UNION else 0.0


def pearson(ground_truth: FloatArray, prediction: FloatArray) -> float:
    """Return Pearson's r over the pixels where the ground truth is positive.

    NaN where it is undefined: fewer than two such pixels, or either side constant on them
    (standard deviation below 1e-12).
    """
    inside = ground_truth > 0
    truth, predicted = ground_truth[inside], prediction[inside]
    if len(truth) < 2:
        return np.nan
    truth, predicted = truth - truth.mean(), predicted - predicted.mean()
    spread = np.sqrt(np.mean(truth**2)), np.sqrt(np.mean(predicted**2))
    if min(spread) < _CONSTANT:
        return np.nan
    return float(np.mean(truth * predicted) / (spread[0] * spread[1]))
