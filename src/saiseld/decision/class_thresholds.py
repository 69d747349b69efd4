"""A score threshold for each class, chosen for the best F20 on calibration recordings.

SELD metrics count every source that a system writes, whatever its score; acoustic images are ranked
by theirs. So a system needs thresholds, and the best one differs from class to class. They are
chosen on recordings (rooms) that nothing is reported on.

A few seconds of a class say little of it: the best threshold for those may lie anywhere on a
plateau, or high enough to keep the surest source alone. So what all classes pooled say counts as
`POOLED` references more of each class, and of thresholds that are as good the middle one is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.taxonomy import CLASS_NAMES, NUM_CLASSES
from saiseld.evaluation.seld import Counts, SeldMetric, count
from saiseld.formats.dcase_csv import SourceRows
from saiseld.formats.json_fields import read_json_fields
from saiseld.runtime.errors import DataError
from saiseld.runtime.files import write_json

FloatArray = NDArray[np.float64]

GRID = 60
"""Thresholds that are tried: quantiles of the scores."""

POOLED = 100
"""References, in frames, that all classes pooled add to each (docs/research-log.md)."""

AS_GOOD = 0.01
"""Thresholds whose F20 differs by no more from the best are as good."""


@dataclass(frozen=True, slots=True)
class ClassThresholds:
    """Thresholds by class, and what they were chosen on.

    Parameters
    ----------
    metric
        Whose F20 they are best for.
    system
        Whose scores they belong to.
    thresholds
        13 scores in [0, 1] by class name: a source counts from its class's threshold on.
    f20
        F20 that each class had on the calibration recordings; None without references.
    recordings
        Names of the calibration recordings.
    """

    metric: SeldMetric
    system: str
    thresholds: Mapping[str, float]
    f20: Mapping[str, float | None]
    recordings: Sequence[str]

    def of_class(self, class_id: int) -> float:
        """Return the threshold of a class."""
        return self.thresholds[CLASS_NAMES[class_id]]

    def save(self, path: str | Path) -> None:
        """Write a JSON file, whole or not at all."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: str | Path) -> ClassThresholds:
        """Read a file of `save`.

        Raises
        ------
        DataError
            If it is none.
        """
        expected = "class thresholds, as `saiseld calibrate` writes them"
        found = read_json_fields(Path(path), ClassThresholds, DataError, expected)
        wrong = set(found.thresholds) ^ set(CLASS_NAMES)
        scores = [score for score in found.thresholds.values() if not 0 <= score <= 1]
        if wrong or scores:
            raise DataError(
                path,
                place="thresholds",
                expected=f"a score in [0, 1] of each of {NUM_CLASSES} classes",
                found=f"{scores[0]}" if scores else f"{sorted(wrong)[0]} missing or unknown",
            )
        return found


def choose_class_thresholds(
    estimates: Mapping[str, tuple[SourceRows, FloatArray]],
    references: Mapping[str, SourceRows],
    metric: SeldMetric,
    system: str,
) -> ClassThresholds:
    """Return the thresholds that give each class its best F20.

    Of equal ones, the highest.

    Parameters
    ----------
    estimates
        By recording: a system's sources and the (N,) score of each.
    references
        What sounds, of at least those recordings.

    Raises
    ------
    DataError
        If there is nothing to choose on.
    """
    scores = np.concatenate([np.zeros(0), *(score for _, score in estimates.values())])
    if not len(scores) or not any(len(references[name]) for name in estimates):
        raise DataError(
            "calibration recordings", expected="candidates and labels", found="none of them"
        )
    grid = np.unique(np.quantile(scores, np.linspace(0, 1, GRID)))
    found, wrong = _counted(
        [
            [
                count(references[name], rows.take(score >= threshold), metric)
                for name, (rows, score) in estimates.items()
            ]
            for threshold in grid
        ]
    )
    present = np.sum(
        [
            np.bincount(references[name].class_id, minlength=NUM_CLASSES)[:NUM_CLASSES]
            for name in estimates
        ],
        axis=0,
    )
    share = POOLED / present.sum()
    supported = _f_score(*(own + share * own.sum(axis=1, keepdims=True) for own in (found, wrong)))
    best = [_middle_of_best(scores) for scores in supported.T]
    by_class = _f_score(found, wrong)
    return ClassThresholds(
        metric=metric,
        system=system,
        # Rounded down, so that the source with this very score still counts.
        thresholds={
            n: float(np.floor(grid[b] * 1e9) / 1e9) for n, b in zip(CLASS_NAMES, best, strict=True)
        },
        f20={
            name: float(by_class[best[k], k]) if present[k] else None
            for k, name in enumerate(CLASS_NAMES)
        },
        recordings=sorted(estimates),
    )


def _counted(counted: Sequence[Sequence[Counts]]) -> tuple[FloatArray, FloatArray]:
    """Return the (thresholds, 13) right sources of each class, and errors, misses by halves."""
    found = [np.sum([c.true_positives for c in counts], axis=0) for counts in counted]
    wrong = [
        np.sum([c.wrong_place + 0.5 * (c.extra + c.missed) for c in counts], axis=0)
        for counts in counted
    ]
    return np.array(found, float), np.array(wrong, float)


def _f_score(found: FloatArray, wrong: FloatArray) -> FloatArray:
    return np.asarray(found / np.maximum(found + wrong, 1e-12))


def _middle_of_best(scores: FloatArray) -> int:
    return int(np.median(np.flatnonzero(scores >= scores.max() - AS_GOOD)))
