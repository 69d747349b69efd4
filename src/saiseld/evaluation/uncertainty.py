"""How sure a score is: bootstrap over recordings, of one system or of the difference of two.

Frames of a recording are anything but independent, so whole recordings are drawn; from fewer than
`FEWEST_RECORDINGS` nothing is, and what is not known is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saiseld.evaluation.scores import SoftIouMetric, pool, score_pool
from saiseld.evaluation.systems import MatchedSystem
from saiseld.runtime.errors import DataError

RESAMPLES = 1000
CONFIDENCE = 0.95
FEWEST_RECORDINGS = 5
"""With fewer, draws repeat each other, and their spread says little of other recordings."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A number and its bootstrap interval; NaN where no draw defines it, or recordings are few."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """A paired difference, its interval, and how often chance alone turns its sign.

    ``p_value`` is two-sided: twice the share of draws on the rarer side of zero, the data
    themselves counted as one draw, so that it is never 0. Few recordings make it too small.
    """

    interval: Interval
    p_value: float


def confidence_intervals(
    system: MatchedSystem,
    metric: SoftIouMetric = "2026-06-30",
    thresholds: Sequence[float] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return every headline number with its 95 % percentile interval.

    Parameters
    ----------
    resamples
        Draws with replacement of as many recordings as there are.
    seed
        Same seed, same draws.
    """
    values, draws = _drawn(system, metric, thresholds, resamples, seed)
    return {
        name: _interval(value, column)
        for (name, value), column in zip(values.items(), draws.T, strict=True)
    }


def compare(
    system: MatchedSystem,
    other: MatchedSystem,
    metric: SoftIouMetric = "2026-06-30",
    thresholds: Sequence[float] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Difference]:
    """Return, for every headline number, system minus other over the same draws of recordings.

    Raises
    ------
    DataError
        If the two were not scored on the same recordings.
    """
    if list(system.recordings) != list(other.recordings):
        raise DataError(
            "paired comparison",
            expected="two systems with the same recordings",
            found=f"{len(system.recordings)} and {len(other.recordings)} that differ",
        )
    ours, our_draws = _drawn(system, metric, thresholds, resamples, seed)
    theirs, their_draws = _drawn(other, metric, thresholds, resamples, seed)
    return {
        name: Difference(_interval(ours[name] - theirs[name], column), _p_value(column))
        for name, column in zip(ours, (our_draws - their_draws).T, strict=True)
    }


def _drawn(
    system: MatchedSystem,
    metric: SoftIouMetric,
    thresholds: Sequence[float] | None,
    resamples: int,
    seed: int,
) -> tuple[dict[str, float], NDArray[np.float64]]:
    """Return the headline and its (resamples, numbers) redraws."""
    detections = pool(list(system.recordings.values()))
    count = len(system.recordings)
    if count < FEWEST_RECORDINGS:
        resamples = 0
    weights = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), resamples)
    headline = score_pool(detections, metric, thresholds).headline()
    draws = [
        list(score_pool(detections, metric, thresholds, weight=weight).headline().values())
        for weight in weights
    ]
    return headline, np.array(draws).reshape(resamples, len(headline))


def _interval(value: float, draws: NDArray[np.float64]) -> Interval:
    defined = draws[~np.isnan(draws)]
    if not len(defined):
        return Interval(value, np.nan, np.nan)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Interval(value, float(low), float(high))


def _p_value(draws: NDArray[np.float64]) -> float:
    defined = draws[~np.isnan(draws)]
    if not len(defined):
        return np.nan
    rarer_side = min(np.count_nonzero(defined <= 0), np.count_nonzero(defined >= 0))
    return min(1.0, 2 * (rarer_side + 1) / (len(defined) + 1))
