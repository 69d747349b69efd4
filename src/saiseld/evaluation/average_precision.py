"""Average precision, 101-point and maximum-interpolated (official scorer, 2026-05-28 and later)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

RECALL_LEVELS = np.linspace(0, 1, 101)


def precision_recall(
    true_positive: NDArray[np.bool_], ground_truths: int
) -> tuple[FloatArray, FloatArray]:
    """Return (precision, recall) after each detection, best first (recall 0 without ground truth).

    Parameters
    ----------
    true_positive
        (D,) whether each detection is one, in order of falling score.
    ground_truths
        Number of ground-truth instances.
    """
    found = np.cumsum(true_positive, dtype=float)
    precision = found / (np.arange(1, len(found) + 1) + 1e-9)
    return precision, found / max(ground_truths, 1)


def average_precision(true_positive: NDArray[np.bool_], ground_truths: int) -> float:
    """Return the mean, over recalls 0, 0.01, ... 1, of the best precision at that recall or more.

    Parameters
    ----------
    true_positive
        (D,) whether each detection is one, in order of falling score.
    ground_truths
        Number of ground-truth instances.
    """
    precision, recall = precision_recall(true_positive, ground_truths)
    best_from = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return float(best_from[np.searchsorted(recall, RECALL_LEVELS, side="left")].mean())


def ranking(score: FloatArray) -> NDArray[np.int64]:
    """Return the indices in order of falling score; equal scores keep their order."""
    return np.argsort(-score, kind="stable")
