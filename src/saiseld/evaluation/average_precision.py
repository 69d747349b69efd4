"""Average precision, 101-point and maximum-interpolated (official scorer, 2026-05-28 and later).

The official scorer counts in single precision, and with numpy 2 or later: so do we, to the last
digit. Where the number of truths divides 100 nearly or wholly, that rounding decides whether a
recall still reaches a level, which moves an AP by up to some thousandths.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
SingleArray = NDArray[np.float32]

RECALL_LEVELS = np.linspace(0, 1, 101)


def precision_recall(
    true_positive: NDArray[np.bool_], ground_truths: int
) -> tuple[SingleArray, SingleArray]:
    """Return (precision, recall) after each detection, best first (recall 0 without ground truth).

    Parameters
    ----------
    true_positive
        (D,) whether each detection is one, in order of falling score.
    ground_truths
        Number of ground-truth instances.
    """
    right = np.asarray(true_positive, np.float32)
    found, wrong = np.cumsum(right), np.cumsum(1 - right)
    return found / (found + wrong), found / np.float32(max(ground_truths, 1))


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
    best_from = np.append(np.maximum.accumulate(precision[::-1])[::-1], np.float32(0))
    # The recalls are widened to the levels, not the levels narrowed to the recalls.
    at_levels = best_from[np.searchsorted(recall.astype(float), RECALL_LEVELS, side="left")]
    # One after the other, as the official loop adds them: a plain sum adds in pairs.
    return float(np.cumsum(at_levels)[-1] / np.float32(101))


def ranking(score: FloatArray) -> NDArray[np.int64]:
    """Return the indices in order of falling score.

    Equal scores come in the order that numpy's sort leaves them in on this machine, as in the
    official scorer.
    """
    return np.argsort(-score)
