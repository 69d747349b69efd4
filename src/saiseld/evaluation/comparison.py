"""Several systems against the same labels: scores, intervals, differences, in one value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from saiseld.evaluation.coco_2026_04_02 import FieldScores
from saiseld.evaluation.corpus import Corpus
from saiseld.evaluation.diagnosis import RecallCeiling
from saiseld.evaluation.official_reading import Reading
from saiseld.evaluation.scores import Scores, SoftIouMetric, official_thresholds
from saiseld.evaluation.systems import (
    MatchedSystem,
    Metric,
    evaluate_systems_2026_04_02,
    match_systems,
)
from saiseld.evaluation.uncertainty import Difference, Interval, compare, confidence_intervals
from saiseld.runtime.errors import DataError
from saiseld.runtime.parallel import Workers


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Systems scored on the same labels; the first is the one that others are compared with.

    Parameters
    ----------
    scores
        By system.
    matched
        What was scored, by system; none under the metric of 2026-04-02.
    intervals
        Every headline number with its bootstrap interval, by system, where wanted.
    differences
        Of every system but the first: each headline number minus the first system's, where wanted.
    ceiling
        Recall of unfiltered candidates, if they were measured.
    """

    scores: Mapping[str, Scores] | Mapping[str, FieldScores]
    matched: Mapping[str, MatchedSystem] = field(default_factory=dict)
    intervals: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    differences: Mapping[str, Mapping[str, Difference]] = field(default_factory=dict)
    ceiling: RecallCeiling | None = None

    @property
    def first(self) -> str:
        """Name of the first system."""
        return next(iter(self.scores))

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values: those of the system, or, of several, by system."""
        content = {name: self._of_system(name) for name in self.scores}
        return content if len(content) > 1 else content[self.first]

    def _of_system(self, name: str) -> dict[str, Any]:
        content = self.scores[name].as_dict()
        if intervals := self.intervals.get(name):
            content["intervals"] = {row: [i.low, i.high] for row, i in intervals.items()}
        if differences := self.differences.get(name):
            content["difference"] = {"to": self.first} | {
                row: [d.interval.value, d.interval.low, d.interval.high, d.p_value]
                for row, d in differences.items()
            }
        if self.ceiling is not None:
            content["recall_ceiling"] = self.ceiling.as_dict()
        return content


def check_soft_iou(metric: str, requested: str) -> None:
    """Raise ``DataError`` if what is requested is not defined under a metric."""
    if metric not in get_args(SoftIouMetric):
        raise DataError(
            requested,
            expected="a metric of soft IoU (2026-06-30, 2026-05-28 or 2026-05-18)",
            found=metric,
        )


def named_folders(folders: Sequence[Path]) -> dict[str, Path]:
    """Return folders by the last part of their path, numbered where that is not unique."""
    named: dict[str, Path] = {}
    for folder in folders:
        name, number = folder.resolve().name, 2
        while name in named:
            name, number = f"{folder.resolve().name}-{number}", number + 1
        named[name] = folder
    return named


def compare_systems(
    systems: Mapping[str, Corpus],
    labels: Corpus,
    metric: Metric = "2026-06-30",
    *,
    thresholds: Sequence[float] | None = None,
    intervals: bool = False,
    ceiling: RecallCeiling | None = None,
    jobs: Workers = 1,
    allow_missing: bool = False,
    reading: Reading = "strict",
    cache: str | Path | None = None,
    progress: bool = False,
) -> Comparison:
    """Score systems in one pass; see `saiseld.evaluation.systems.match_systems`.

    Parameters
    ----------
    thresholds
        Soft IoUs in (0, 1]; the official ones if None.
    intervals
        Bootstrap over recordings, also of the differences to the first system.
    ceiling
        Recall of unfiltered candidates, to stand beside the scores.

    Raises
    ------
    DataError
        For thresholds or intervals under the metric of 2026-04-02.
    """
    if metric == "2026-04-02":
        if thresholds or intervals:
            check_soft_iou(metric, "thresholds, intervals")
        found = evaluate_systems_2026_04_02(
            systems,
            labels,
            jobs=jobs,
            allow_missing=allow_missing,
            reading=reading,
            progress=progress,
        )
        return Comparison(found, ceiling=ceiling)
    ious = tuple(sorted(set(thresholds or official_thresholds(metric))))
    matched = match_systems(
        systems,
        labels,
        jobs=jobs,
        allow_missing=allow_missing,
        reading=reading,
        cache=cache,
        progress=progress,
    )
    scores = {name: system.score(metric, ious) for name, system in matched.items()}
    if not intervals:
        return Comparison(scores, matched, ceiling=ceiling)
    of_systems = {name: confidence_intervals(s, metric, ious) for name, s in matched.items()}
    (first, *others) = matched
    differences = {name: compare(matched[name], matched[first], metric, ious) for name in others}
    return Comparison(scores, matched, of_systems, differences, ceiling)
