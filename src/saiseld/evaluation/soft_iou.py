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
    return pearson_of_values(ground_truth[inside], prediction[inside])


def pearson_of_values(truth: Canvas, predicted: Canvas) -> float:
    """Return Pearson's r of two (n,) arrays, NaN where `pearson` says."""
    count = len(truth)
    if count < 2:
        return np.nan
    # `np.add.reduce` is what `np.mean` and `np.std` call, without what they do around it.
    total = np.add.reduce
    a, b = (side.astype(np.float64, copy=False) for side in (truth, predicted))
    a, b = a - total(a) / count, b - total(b) / count
    std_a, std_b = np.sqrt(total(a * a) / count), np.sqrt(total(b * b) / count)
    if min(std_a, std_b) < _CONSTANT:
        return np.nan
    return float(total((a / std_a) * (b / std_b)) / count)
