"""Score thresholds with a guarantee: Learn then Test, calibrated by recording.

With confidence 1 - delta over the draw of the calibration recordings, the expected share of wrong
masks (``fdr``) or of missed events (``miss``) in a new recording is at most alpha. It holds for any
detector and any score, as long as recordings are exchangeable and none of them fitted the model.
The loss of a recording is a share in [0, 1], its frames being anything but independent, so the
recording is the unit: n is their number. Hypotheses "the risk at this threshold exceeds alpha" are
tested in a fixed order, safest threshold first, by the Hoeffding-Bentkus p-value, until one cannot
be rejected. Source: LTT2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom

from saiseld.evaluation.matched import MatchedRecording
from saiseld.runtime.errors import DataError, RecipeError

Risk = Literal["fdr", "miss"]

THRESHOLDS = np.linspace(0, 1, 201)
MATCH_IOU = 0.25
"""Soft IoU from which a mask is no longer wrong."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What is to be guaranteed: a risk of at most ``alpha`` with confidence 1 - ``delta``."""

    risk: Risk
    alpha: float
    delta: float = 0.1

    @classmethod
    def parse(cls, text: str, delta: float = 0.1) -> Goal:
        """Return the goal of a text such as ``fdr=0.2``.

        Raises
        ------
        RecipeError
            If it is not a risk and a level between 0 and 1.
        """
        name, _, level = text.partition("=")
        try:
            alpha = float(level)
        except ValueError:
            alpha = np.nan
        if name not in get_args(Risk) or not 0 < alpha < 1:
            raise RecipeError(
                "risk", expected="fdr=<level> or miss=<level>, level between 0 and 1", found=text
            )
        return cls(name, alpha, delta)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold and what is known of it.

    Parameters
    ----------
    goal
        What it guarantees.
    threshold
        Masks scored below are left out.
    observed
        Mean risk over the calibration recordings.
    recordings
        Their number.
    retained
        Share of the masks that pass.
    """

    goal: Goal
    threshold: float
    observed: float
    recordings: int
    retained: float


def losses(
    recordings: Sequence[MatchedRecording],
    risk: Risk,
    thresholds: NDArray[np.float64] = THRESHOLDS,
) -> NDArray[np.float64]:
    """Return the (recordings, thresholds) loss of each recording.

    A mask is right if it is the best scored of those whose best overlap with their class reaches a
    soft IoU of 0.25 on the same ground truth. ``fdr`` is the share of the kept masks that are not
    right, 0 where none is kept; ``miss`` the share of ground truth that no kept mask is right
    about, 0 where there is none.
    """
    return np.array([_loss(recording, risk, thresholds) for recording in recordings])


def _loss(
    recording: MatchedRecording, risk: Risk, thresholds: NDArray[np.float64]
) -> NDArray[np.float64]:
    score = np.sort(recording.score)
    right = np.sort(recording.score[right_masks(recording)])
    retained = len(score) - np.searchsorted(score, thresholds)
    retained_right = len(right) - np.searchsorted(right, thresholds)
    if risk == "fdr":
        return np.asarray((retained - retained_right) / np.maximum(retained, 1))
    truths = len(recording.truths)
    return np.asarray(1 - retained_right / truths) if truths else np.zeros(len(thresholds))


def right_masks(recording: MatchedRecording) -> NDArray[np.bool_]:
    """Return (D,) which masks are right (see `losses`), whatever the threshold."""
    right = np.zeros(len(recording.score), bool)
    able = np.flatnonzero(recording.same_class_iou >= MATCH_IOU)
    best_first = able[np.argsort(-recording.score[able], kind="stable")]
    _, first = np.unique(recording.same_class_truth[best_first], return_index=True)
    right[best_first[first]] = True
    return right


def hoeffding_bentkus(mean: ArrayLike, count: int, alpha: float) -> NDArray[np.float64]:
    """Return p-values of "the expected loss exceeds alpha" from mean losses in [0, 1].

    Parameters
    ----------
    mean
        Mean loss over ``count`` independent recordings, any shape.
    """
    mean = np.asarray(mean, float)
    low = np.minimum(mean, alpha)
    divergence = np.where(low > 0, low * np.log(np.where(low > 0, low, 1) / alpha), 0)
    divergence = divergence + (1 - low) * np.log((1 - low) / (1 - alpha))
    bentkus = np.e * binom.cdf(np.ceil(count * mean), count, alpha)
    return np.asarray(np.minimum(np.exp(-count * divergence), bentkus))


def safe_thresholds(loss: NDArray[np.float64], goal: Goal) -> NDArray[np.int64]:
    """Return the indices of the thresholds that pass, safest first; none may.

    Parameters
    ----------
    loss
        (recordings, thresholds), thresholds rising.
    """
    order = np.arange(loss.shape[1])
    if goal.risk == "fdr":
        order = order[::-1]
    passed = hoeffding_bentkus(loss.mean(axis=0)[order], len(loss), goal.alpha) <= goal.delta
    return order[: len(order) if passed.all() else int(np.argmin(passed))]


def operating_point(recordings: Sequence[MatchedRecording], goal: Goal) -> OperatingPoint:
    """Return the threshold that keeps most (``fdr``) or least (``miss``) and meets the goal.

    Raises
    ------
    DataError
        If the goal cannot be met with any mask left, saying what can be.
    """
    loss = losses(recordings, goal.risk)
    safe = safe_thresholds(loss, goal)
    score = np.sort(np.concatenate([np.zeros(0), *(r.score for r in recordings)]))
    retained = len(score) - np.searchsorted(score, THRESHOLDS)
    if not len(safe) or not retained[safe[-1]]:
        raise DataError(
            f"{goal.risk}={goal.alpha:g}",
            expected=f"a threshold that keeps masks, with confidence {1 - goal.delta:g}",
            found=f"none, calibrated on {len(recordings)} recordings",
            advice=_what_can_be_met(loss, retained, goal),
        )
    best = safe[-1]
    return OperatingPoint(
        goal,
        threshold=float(THRESHOLDS[best]),
        observed=float(loss[:, best].mean()),
        recordings=len(recordings),
        retained=float(retained[best] / len(score)),
    )


def _what_can_be_met(loss: NDArray[np.float64], retained: NDArray[np.int64], goal: Goal) -> str:
    """Return advice: the lowest level that these recordings can guarantee."""
    needed = int(np.ceil(np.log(goal.delta) / np.log(1 - goal.alpha)))
    if len(loss) < needed:
        return f"Even without one error this level takes {needed} recordings"
    for alpha in np.arange(np.ceil(100 * goal.alpha), 100) / 100:
        safe = safe_thresholds(loss, Goal(goal.risk, float(alpha), goal.delta))
        if len(safe) and retained[safe[-1]]:
            return f"The lowest level these recordings can guarantee is {goal.risk}={alpha:g}"
    return "No level below 1 can be met on these recordings"
