"""Jackknife intervals of SELD scores, leaving out one recording at a time (DCASE2022 on)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from saiseld.evaluation.seld.counting import Counts, SeldMetric
from saiseld.evaluation.seld.scores import score_counts

CONFIDENCE = 0.95
FEWEST_RECORDINGS = 2
"""With one, nothing is left."""


def jackknife_intervals(
    recordings: Sequence[Counts], metric: SeldMetric
) -> dict[str, tuple[float, float]]:
    """Return (from, to) of every headline number; none of fewer than two recordings.

    The bias-corrected estimate plus and minus t times its standard error, with one degree of
    freedom less than recordings. NaN where leaving one out leaves a score undefined. An interval
    need not hold the score itself, nor keep to the range of the score.

    The public code prints beside the interval the score without the last recording instead of
    the score of all.
    """
    count = len(recordings)
    if count < FEWEST_RECORDINGS:
        return {}
    from scipy.stats import t  # a second to load, needed here alone

    whole = score_counts(recordings, metric).headline()
    partial = np.array(
        [
            list(score_counts([*recordings[:k], *recordings[k + 1 :]], metric).headline().values())
            for k in range(count)
        ]
    )
    factor = t.ppf(1 - (1 - CONFIDENCE) / 2, count - 1)
    intervals = {}
    for (name, value), estimates in zip(whole.items(), partial.T, strict=True):
        mean = np.mean(estimates)
        estimate = value - (count - 1) * (mean - value)
        error = np.sqrt((count - 1) * np.mean((estimates - mean) * (estimates - mean)))
        intervals[name] = (float(estimate - factor * error), float(estimate + factor * error))
    return intervals
