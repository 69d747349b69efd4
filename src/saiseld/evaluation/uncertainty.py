"""How sure a score is: bootstrap over recordings, of one system or of the difference of two.

A difference also has the p value of a sign-flip test, which exchanges the systems by recording.

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
MOST_EXACT = 10
"""Up to so many recordings, every exchange of two systems is tried."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A number and its bootstrap interval; NaN where no draw defines it, or recordings are few."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """A paired difference, its bootstrap interval, and how often chance alone makes it as large.

    ``p_value`` is two-sided, of the sign-flip test: exact up to `MOST_EXACT` recordings, so never
    below what so few can show (0.0625 of five); of random exchanges beyond. NaN of too few.
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
    values = {name: ours[name] - theirs[name] for name in ours}
    p_values = _sign_flip_p_values(system, other, metric, thresholds, resamples, seed)
    return {
        name: Difference(_interval(value, column), float(p))
        for (name, value), column, p in zip(
            values.items(), (our_draws - their_draws).T, p_values, strict=True
        )
    }


def _sign_flip_p_values(
    system: MatchedSystem,
    other: MatchedSystem,
    metric: SoftIouMetric,
    thresholds: Sequence[float] | None,
    flips: int,
    seed: int,
) -> NDArray[np.float64]:
    """Return the p value of each headline number; NaN of too few recordings.

    If both systems were alike, either could have made the predictions of any recording. Each way
    to exchange them gives a difference; p is the share of those at least as large as the one
    found, which is among them.
    """
    ours, theirs = list(system.recordings.values()), list(other.recordings.values())
    count = len(ours)
    detections = pool([*ours, *theirs])
    if count < FEWEST_RECORDINGS:
        return np.full(len(score_pool(detections, metric, thresholds).headline()), np.nan)
    if count <= MOST_EXACT:
        # An exchange and its opposite differ in the sign alone: the half with the first unchanged.
        signs = np.arange(2 ** (count - 1))[:, None] >> np.arange(count) & 1 == 0
    else:
        signs = np.random.default_rng(seed).random((flips, count)) < 0.5
        signs = np.concatenate([np.ones((1, count), bool), signs])

    def scored(weight: NDArray[np.bool_]) -> list[float]:
        scores = score_pool(detections, metric, thresholds, weight=weight.astype(np.int64))
        return list(scores.headline().values())

    first, second = (
        np.array([scored(np.append(sign, ~sign)) for sign in side]) for side in (signs, ~signs)
    )
    differences = first - second
    found = np.abs(differences[0])
    # What is undefined under an exchange counts as large.
    large = ~(np.abs(differences) < found - 1e-12)
    return np.where(np.isnan(found), np.nan, large.mean(axis=0))


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
