"""Systems against labels: find the files, draw and match each recording once, then score.

Drawing and matching cost seconds to minutes and do not depend on scores; scoring costs
milliseconds. `match_systems` is the first half, `saiseld.evaluation.scores.score` the second,
`evaluate_systems` both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, overload

import numpy as np

from saiseld.evaluation.coco_2026_04_02 import (
    FieldScores,
    MatchedFields,
    match_fields,
    score_fields,
)
from saiseld.evaluation.corpus import Corpus, Masks, find_labels, find_predictions, listed, paired
from saiseld.evaluation.drawn_labels import draw_labels
from saiseld.evaluation.matched import MatchedRecording, match_recording
from saiseld.evaluation.rendering import Drawings, render_masks
from saiseld.evaluation.scores import THRESHOLDS, Scores, SoftIouMetric, score
from saiseld.formats.annotation import MAX_PREDICTION_BYTES, EnergyMask, read_annotations
from saiseld.runtime.errors import DataError
from saiseld.runtime.parallel import run_all

Metric = Literal["2026-06-30", "2026-05-28", "2026-04-02"]
METRICS: tuple[Metric, ...] = ("2026-06-30", "2026-05-28", "2026-04-02")
"""Versions of the official scorer, current one first."""


@dataclass(frozen=True, slots=True, eq=False)
class MatchedSystem:
    """A system's recordings, matched, sorted by name; ``notes`` says what was left out."""

    recordings: Mapping[str, MatchedRecording]
    notes: tuple[str, ...] = ()

    def score(
        self, metric: SoftIouMetric = "2026-06-30", thresholds: Sequence[float] = THRESHOLDS
    ) -> Scores:
        """Return the system's scores (`saiseld.evaluation.scores.score`) with its notes."""
        scores = score(self.recordings.values(), metric, thresholds)
        return replace(scores, notes=self.notes + scores.notes)


@dataclass(frozen=True, slots=True)
class _Plan:
    """The files of each recording: its labels, and its predictions by system."""

    recordings: Mapping[str, tuple[Masks, Mapping[str, Masks]]]
    notes: Mapping[str, tuple[str, ...]]


def match_systems(
    systems: Mapping[str, Corpus],
    labels: Corpus,
    *,
    jobs: int = 1,
    allow_missing: bool = False,
    cache: str | Path | None = None,
    progress: bool = False,
) -> dict[str, MatchedSystem]:
    """Draw and match the predictions of several systems; masks they share are drawn once.

    Parameters
    ----------
    systems
        Folder (or masks by recording) of each system's predictions, by the system's name.
    labels
        Folder (or masks by recording) of the ground truth.
    jobs
        Recordings at a time.
    allow_missing
        Leave out recordings without a partner instead of raising.
    cache
        Folder where drawn label files are kept; None keeps none.
    progress
        Show a progress line.

    Raises
    ------
    DataError, AnnotationError
        One clear error for whatever cannot be scored.
    """
    plan = _plan(systems, labels, allow_missing)
    folder = None if cache is None else Path(cache)
    tasks = {name: (*files, folder) for name, files in plan.recordings.items()}
    matched = run_all(_match, tasks, jobs=jobs, title="scoring" if progress else "")
    return {
        system: MatchedSystem(
            own := {name: result[system] for name, result in matched.items() if system in result},
            plan.notes[system] + _check_truth({n: len(m.truths) for n, m in own.items()}),
        )
        for system in systems
    }


def _plan(systems: Mapping[str, Corpus], labels: Corpus, allow_missing: bool) -> _Plan:
    truth = find_labels(labels)
    recordings: dict[str, tuple[Masks, dict[str, Masks]]] = {}
    notes = {}
    for system, source in systems.items():
        predictions, remarks = find_predictions(source)
        name = system if isinstance(source, Mapping) else str(source)
        common, left_out = paired(name, predictions, truth, allow_missing=allow_missing)
        for recording in common:
            _, files = recordings.setdefault(recording, (truth[recording], {}))
            files[system] = predictions[recording]
        notes[system] = remarks + left_out
    # As the official scorer sorts its files.
    return _Plan({name: recordings[name] for name in sorted(recordings, key=_file_name)}, notes)


def _file_name(recording: str) -> str:
    return f"{recording}.json"


def _match(
    labels: Masks, systems: Mapping[str, Masks], cache: Path | None
) -> dict[str, MatchedRecording]:
    truth = draw_labels(labels, cache) if isinstance(labels, Path) else render_masks(labels)
    drawings: Drawings = {}
    alike: dict[bytes, MatchedRecording] = {}
    matched = {}
    for system, masks in systems.items():
        drawn = render_masks(_predictions(masks), drawings)
        key = drawn.without_scores()
        # Systems that differ in their ranking alone are matched once.
        alike[key] = matched[system] = (
            alike[key].rescored(drawn.score[np.searchsorted(drawn.position, alike[key].position)])
            if key in alike and not np.isnan(drawn.score).any()
            else match_recording(drawn, truth)
        )
    return matched


def _predictions(masks: Masks) -> Sequence[EnergyMask]:
    if isinstance(masks, Path):
        return read_annotations(masks, predictions=True, max_bytes=MAX_PREDICTION_BYTES)
    return masks


def _check_truth(truths: Mapping[str, int]) -> tuple[str, ...]:
    """Return a remark on recordings without ground truth; raise if none has any."""
    empty = [recording for recording, count in truths.items() if not count]
    if len(empty) == len(truths):
        raise DataError(
            "labels", expected="at least one annotation of the 13 classes", found="none"
        )
    if not empty:
        return ()
    return (f"{len(empty)} recordings have no ground truth: {listed(empty)}",)


def evaluate_systems(
    systems: Mapping[str, Corpus],
    labels: Corpus,
    *,
    metric: SoftIouMetric = "2026-06-30",
    thresholds: Sequence[float] = THRESHOLDS,
    jobs: int = 1,
    allow_missing: bool = False,
    cache: str | Path | None = None,
    progress: bool = False,
) -> dict[str, Scores]:
    """Return the scores of several systems, measured in one pass; see `match_systems`.

    ``thresholds`` are soft IoUs in (0, 1], the official ones by default.
    """
    matched = match_systems(
        systems,
        labels,
        jobs=jobs,
        allow_missing=allow_missing,
        cache=cache,
        progress=progress,
    )
    return {name: system.score(metric, thresholds) for name, system in matched.items()}


def evaluate_systems_2026_04_02(
    systems: Mapping[str, Corpus],
    labels: Corpus,
    *,
    jobs: int = 1,
    allow_missing: bool = False,
    progress: bool = False,
) -> dict[str, FieldScores]:
    """Return the scores of several systems under the metric of 2026-04-02; see `match_systems`."""
    plan = _plan(systems, labels, allow_missing)
    matched = run_all(
        _match_fields, plan.recordings, jobs=jobs, title="scoring" if progress else ""
    )
    scores = {}
    for system in systems:
        own = {name: result[system] for name, result in matched.items() if system in result}
        notes = plan.notes[system] + _check_truth({n: m.truths for n, m in own.items()})
        found = score_fields(own.values())
        scores[system] = replace(found, notes=notes + found.notes)
    return scores


def _match_fields(labels: Masks, systems: Mapping[str, Masks]) -> dict[str, MatchedFields]:
    truth = read_annotations(labels) if isinstance(labels, Path) else labels
    return match_fields({name: _predictions(masks) for name, masks in systems.items()}, truth)


@overload
def evaluate(
    predictions: Corpus,
    labels: Corpus,
    metric: SoftIouMetric = ...,
    *,
    thresholds: Sequence[float] = ...,
    jobs: int = ...,
    allow_missing: bool = ...,
    cache: str | Path | None = ...,
    progress: bool = ...,
) -> Scores: ...


@overload
def evaluate(
    predictions: Corpus,
    labels: Corpus,
    metric: Literal["2026-04-02"],
    *,
    jobs: int = ...,
    allow_missing: bool = ...,
    progress: bool = ...,
) -> FieldScores: ...


def evaluate(
    predictions: Corpus,
    labels: Corpus,
    metric: Metric = "2026-06-30",
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    jobs: int = 1,
    allow_missing: bool = False,
    cache: str | Path | None = None,
    progress: bool = False,
) -> Scores | FieldScores:
    """Return the official scores of one system; see `match_systems` for the parameters.

    Examples
    --------
    >>> import numpy as np
    >>> from saiseld.formats.annotation import EnergyMask
    >>> from saiseld.evaluation import evaluate
    >>> blob = np.array([[170.0, 80.0, 0.4], [190.0, 80.0, 1.0], [180.0, 100.0, 0.5]])
    >>> truth = EnergyMask(frame=0, instance_id=0, class_id=8, segmentation=(blob,))
    >>> guess = EnergyMask(frame=0, instance_id=0, class_id=8, segmentation=(blob,), score=0.9)
    >>> round(evaluate({"take1": [guess]}, {"take1": [truth]}).macro_mAP, 6)
    1.0
    """
    if metric == "2026-04-02":
        return evaluate_systems_2026_04_02(
            {"predictions": predictions},
            labels,
            jobs=jobs,
            allow_missing=allow_missing,
            progress=progress,
        )["predictions"]
    return evaluate_systems(
        {"predictions": predictions},
        labels,
        metric=metric,
        thresholds=thresholds,
        jobs=jobs,
        allow_missing=allow_missing,
        cache=cache,
        progress=progress,
    )["predictions"]
