"""What a matchability model is worth: importances, reliability, and gain, all on unseen rooms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saiseld.decision.development import Measured, all_examples, per_recording
from saiseld.decision.features import FEATURE_NAMES
from saiseld.decision.matchability import importances
from saiseld.evaluation.scores import THRESHOLDS, score

BINS = 10


@dataclass(frozen=True, slots=True)
class Reliability:
    """How far probabilities can be taken at their word.

    Parameters
    ----------
    brier
        Mean squared difference from the outcome.
    calibration_error
        Mean difference between predicted and observed share over bins, weighted by their rows.
    predicted, observed, rows
        Of each of 10 equal bins of [0, 1] that has rows.
    """

    brier: float
    calibration_error: float
    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Assessment:
    """What `assess` finds.

    Parameters
    ----------
    importance
        By feature, the fall of average precision when it is shuffled, most important first.
    before, after
        Reliability of the raw score and of the cross-fitted matchability.
    macro_ap
        By soft-IoU threshold, macro AP of the cap-1 system ranked by raw score and by cross-fitted
        matchability.
    """

    importance: dict[str, float]
    before: Reliability
    after: Reliability
    macro_ap: dict[str, tuple[float, float]]

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def assess(
    recordings: Sequence[Measured], probability: NDArray[np.float64], system: str
) -> Assessment:
    """Assess cross-fitted probabilities of `all_examples`.

    Parameters
    ----------
    recordings
        Measured with ``system``.
    probability
        Cross-fitted matchability.
    system
        Name of the system whose ranking is compared.
    """
    known = all_examples(recordings)
    fall = importances(known)
    parts = zip(recordings, per_recording(recordings, probability), strict=True)
    raw = score([recording.matched[system] for recording in recordings])
    ranked = score([recording.ranked(system, part) for recording, part in parts])
    return Assessment(
        importance={FEATURE_NAMES[k]: float(fall[k]) for k in np.argsort(-fall)},
        before=reliability(known.features[:, 0], known.matched),
        after=reliability(probability, known.matched),
        macro_ap={
            f"{threshold:g}": (raw.macro_ap[k], ranked.macro_ap[k])
            for k, threshold in enumerate(THRESHOLDS)
        },
    )


def reliability(probability: NDArray[np.floating], matched: NDArray[np.bool_]) -> Reliability:
    """Return the reliability of (N,) probabilities against (N,) outcomes."""
    which = np.minimum((probability * BINS).astype(int), BINS - 1)
    rows = np.bincount(which, minlength=BINS)
    filled = rows > 0
    predicted, observed = (
        np.bincount(which, weights=values, minlength=BINS)[filled] / rows[filled]
        for values in (probability, matched)
    )
    return Reliability(
        brier=float(np.mean((probability - matched) ** 2)),
        calibration_error=float(np.average(np.abs(predicted - observed), weights=rows[filled])),
        predicted=tuple(predicted.tolist()),
        observed=tuple(observed.tolist()),
        rows=tuple(rows[filled].tolist()),
    )
