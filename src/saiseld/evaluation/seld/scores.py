"""Scores of counted recordings, macro and micro, by the formulas of each year's public code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.taxonomy import CLASS_NAMES
from saiseld.evaluation.scores import json_values
from saiseld.evaluation.seld.counting import Counts, SeldMetric

FloatArray = NDArray[np.float64]

SELD_METRICS: tuple[SeldMetric, ...] = get_args(SeldMetric)
"""The SELD metrics, oldest first."""

_EPSILON = np.finfo(float).eps
_NAMES: Mapping[SeldMetric, tuple[str, ...]] = {
    "seld-2022": ("ER20", "F20", "LE_CD", "LR_CD", "SELD"),
    "seld-2023": ("ER20", "F20", "LE_CD", "LR_CD", "SELD"),
    "seld-2024": ("ER20", "F20", "DOAE", "DE_m", "RDE", "LR", "SELD"),
}
"""What each metric has, in the order of the public code's results."""


@dataclass(frozen=True, slots=True)
class SeldScores:
    """SELD scores of a data set; NaN where undefined.

    ER20, F20, LR, RDE and SELD are ratios, LE_CD and DOAE degrees, DE_m metres.

    Parameters
    ----------
    metric
        Whose.
    macro, micro
        By name: mean over classes, and all classes pooled. ER20 is the same in both.
    per_class
        By name, one dictionary a class; ``references`` counts sources in segments (2022, 2023)
        or frames (2024).
    intervals
        (from, to) of each headline number, where wanted (`jackknife_intervals`).
    notes
        What a reader should know.
    """

    metric: SeldMetric
    macro: Mapping[str, float]
    micro: Mapping[str, float]
    per_class: tuple[Mapping[str, float], ...]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def headline(self) -> dict[str, float]:
        """Return the numbers of the whole data set, macro before micro."""
        return headline(self.macro, self.micro)

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values; what is undefined is None."""
        content: dict[str, Any] = {
            "metric": self.metric,
            **json_values(self.headline()),
            "per_class": {
                CLASS_NAMES[k] if k < len(CLASS_NAMES) else f"class {k}": json_values(scores)
                for k, scores in enumerate(self.per_class)
            },
            "notes": list(self.notes),
        }
        if self.intervals:
            content["intervals"] = {
                name: [None if np.isnan(end) else end for end in ends]
                for name, ends in self.intervals.items()
            }
        return content


def headline(macro: Mapping[str, float], micro: Mapping[str, float]) -> dict[str, float]:
    """Return macro and micro scores under one name each; ER20, which they share, once."""
    return {
        name if name == "ER20" else f"{name}_{average}": value
        for average, scores in (("macro", macro), ("micro", micro))
        for name, value in scores.items()
    }


def score_counts(recordings: Sequence[Counts], metric: SeldMetric) -> SeldScores:
    """Return the scores of counted recordings, pooled in the order given.

    The order can move a last digit: errors are added one after the other, as in the public code.
    """
    if metric not in SELD_METRICS:
        raise ValueError(f"metric must be one of {', '.join(SELD_METRICS)}, not {metric!r}")
    if not recordings:
        raise ValueError("no recordings to score")
    total = Total.of(recordings)
    names = _NAMES[metric]
    micro, macro, per_class = total.scores_2024() if metric == "seld-2024" else total.scores_2022()
    return SeldScores(
        metric=metric,
        macro=dict(zip(names, map(float, macro), strict=True)),
        micro=dict(zip(names, map(float, micro), strict=True)),
        per_class=tuple(
            {
                "references": int(total.references[k]),
                **{name: float(per_class[row, k]) for row, name in enumerate(names) if row},
            }
            for k in range(len(total.references))
        ),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Total:
    """Sums over recordings, (C,) each; C classes."""

    references: FloatArray
    matched: FloatArray
    wrong_place: FloatArray
    missed: FloatArray
    extra: FloatArray
    errors: float
    angle: FloatArray
    distance: FloatArray
    relative_distance: FloatArray

    @classmethod
    def of(cls, recordings: Sequence[Counts]) -> Total:
        """Return the sums of some recordings (at least one)."""
        classes = len(recordings[0].references)
        term_class = np.concatenate([r.term_class for r in recordings])

        def added(name: str) -> FloatArray:
            return np.asarray(np.sum([getattr(r, name) for r in recordings], axis=0), float)

        def terms(name: str) -> FloatArray:
            # bincount adds one after the other, as the public loop does.
            values = np.concatenate([getattr(r, name) for r in recordings])
            return np.bincount(term_class, values, classes).astype(np.float64)

        return cls(
            references=added("references"),
            matched=added("matched"),
            wrong_place=added("wrong_place"),
            missed=added("missed"),
            extra=added("extra"),
            errors=float(sum(r.substitutions + r.deletions + r.insertions for r in recordings)),
            angle=terms("angle_error"),
            distance=terms("distance_error"),
            relative_distance=terms("relative_distance_error"),
        )

    @property
    def _error_rate(self) -> float:
        return float(self.errors / (self.references.sum() + _EPSILON))

    @property
    def _found(self) -> FloatArray:
        return self.matched - self.wrong_place

    def _f_score(self) -> tuple[float, FloatArray]:
        found, wrong, extra, missed = self._found, self.wrong_place, self.extra, self.missed
        by_class = found / (_EPSILON + found + wrong + 0.5 * (extra + missed))
        pooled = found.sum() / (
            _EPSILON + found.sum() + wrong.sum() + 0.5 * (extra.sum() + missed.sum())
        )
        return float(pooled), by_class

    def _recall(self) -> tuple[float, FloatArray]:
        matched, missed = self.matched, self.missed
        pooled = matched.sum() / (_EPSILON + matched.sum() + missed.sum())
        return float(pooled), matched / (_EPSILON + matched + missed)

    def _mean_error(self, total: FloatArray, undefined: float) -> tuple[float, FloatArray]:
        by_class = np.where(self.matched == 0, undefined, total / (self.matched + _EPSILON))
        matched = self.matched.sum()
        return float(total.sum() / (matched + _EPSILON)) if matched else undefined, by_class

    def scores_2022(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return micro (5,), macro (5,) and by class (5, C): ER, F, LE, LR, SELD."""
        rate, (f, f_class), (recall, recall_class) = (
            self._error_rate,
            self._f_score(),
            self._recall(),
        )
        angle, angle_class = self._mean_error(self.angle, 180.0)
        micro = np.array(
            [rate, f, angle, recall, np.mean([rate, 1 - f, angle / 180, 1 - recall], 0)]
        )
        rates = np.repeat(rate, len(f_class))
        seld = np.mean([rates, 1 - f_class, angle_class / 180, 1 - recall_class], 0)
        per_class = np.array([rates, f_class, angle_class, recall_class, seld])
        macro = np.array([rate, *(row.mean() for row in per_class[1:])])
        return micro, macro, per_class

    def scores_2024(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return micro (7,), macro (7,) and by class (7, C): ER, F, DOAE, DE, RDE, LR, SELD."""
        rate, (f, f_class), (recall, recall_class) = (
            self._error_rate,
            self._f_score(),
            self._recall(),
        )
        (angle, angle_class), (distance, distance_class), (relative, relative_class) = (
            self._mean_error(total, np.nan)
            for total in (self.angle, self.distance, self.relative_distance)
        )
        seld = np.nanmean([1 - f, angle / 180, relative], 0)
        micro = np.array([rate, f, angle, distance, relative, recall, seld])
        rates = np.repeat(rate, len(f_class))
        seld_class = np.nanmean([1 - f_class, angle_class / 180, relative_class], 0)
        errors = (angle_class, distance_class, relative_class)
        per_class = np.array([rates, f_class, *errors, recall_class, seld_class])
        macro = np.array(
            [
                rate,
                f_class.mean(),
                *map(_mean_of_defined, errors),
                recall_class.mean(),
                seld_class.mean(),
            ]
        )
        return micro, macro, per_class


def _mean_of_defined(values: FloatArray) -> float:
    # nanmean, not the mean of what is defined: the order of its sum shows in the last digit.
    return float(np.nanmean(values)) if not np.isnan(values).all() else np.nan
