"""Systems against labels: find the files, draw and match each recording once, then score.

Drawing and matching cost seconds to minutes and do not depend on scores; scoring costs
milliseconds. `match_systems` is the first half, `saiseld.evaluation.scores.score` the second,
`evaluate_systems` both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args, overload

import numpy as np

from saiseld.evaluation.coco_2026_04_02 import (
    FieldScores,
    MatchedFields,
    match_fields,
    score_fields,
)
from saiseld.evaluation.corpus import (
    Corpus,
    Masks,
    find_labels,
    find_predictions,
    listed,
    paired,
)
from saiseld.evaluation.drawn_labels import draw_labels
from saiseld.evaluation.matched import MatchedRecording, match_recording
from saiseld.evaluation.official_reading import OfficialReader, Reading
from saiseld.evaluation.rendering import Drawings, RenderedMasks, render_masks
from saiseld.evaluation.scores import Scores, SoftIouMetric, score
from saiseld.formats.annotation import MAX_PREDICTION_BYTES, EnergyMask, read_annotations
from saiseld.runtime.errors import AnnotationError, DataError
from saiseld.runtime.parallel import Workers, run_all
from saiseld.runtime.text import counted

Metric = Literal["2026-06-30", "2026-05-28", "2026-05-18", "2026-04-02"]
METRICS: tuple[Metric, ...] = get_args(Metric)
"""Versions of the official scorer, current one first."""


@dataclass(frozen=True, slots=True, eq=False)
class MatchedSystem:
    """A system's recordings, matched, sorted by name; ``notes`` says what was left out."""

    recordings: Mapping[str, MatchedRecording]
    notes: tuple[str, ...] = ()

    def score(
        self, metric: SoftIouMetric = "2026-06-30", thresholds: Sequence[float] | None = None
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
    jobs: Workers = 1,
    allow_missing: bool = False,
    reading: Reading = "strict",
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
        Recordings at a time, or the cluster that they are spread over.
    allow_missing
        Leave out recordings without a partner instead of raising.
    reading
        ``"official"`` scores whatever the official scorer accepts, and says what it read how.
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
    tasks = {name: (*files, folder, reading) for name, files in plan.recordings.items()}
    done = run_all(_match, tasks, jobs=jobs, title="scoring" if progress else "")
    matched = {}
    for system in systems:
        by_recording = {name: result[system] for name, result in done.items() if system in result}
        notes = _notes(
            {name: (len(m.truths), found) for name, (m, found) in by_recording.items()}, reading
        )
        recordings = {name: m for name, (m, _) in by_recording.items()}
        matched[system] = MatchedSystem(recordings, plan.notes[system] + notes)
    return matched


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
    labels: Masks, systems: Mapping[str, Masks], cache: Path | None, reading: Reading
) -> dict[str, tuple[MatchedRecording, Counter[str]]]:
    """Return each system's matches, and how often files departed from the format."""
    truth, departures = _true_masks(labels, cache, reading)
    drawings: Drawings = {}
    alike: dict[bytes, MatchedRecording] = {}
    matched = {}
    for system, masks in systems.items():
        guesses, found = _predictions(masks, reading)
        drawn = render_masks(guesses, drawings)
        key = drawn.without_scores()
        # Systems that differ in their ranking alone are matched once.
        alike[key] = (
            alike[key].rescored(drawn.score[np.searchsorted(drawn.position, alike[key].position)])
            if key in alike and not np.isnan(drawn.score).any()
            else match_recording(drawn, truth)
        )
        matched[system] = alike[key], departures + found
    return matched


def _true_masks(
    labels: Masks, cache: Path | None, reading: Reading
) -> tuple[RenderedMasks, Counter[str]]:
    if not isinstance(labels, Path):
        return render_masks(labels), Counter()
    if reading == "strict":
        return draw_labels(labels, cache), Counter()
    try:
        return draw_labels(labels, cache), Counter()
    except AnnotationError:
        reader = OfficialReader(predictions=False)
        return render_masks(reader.read(labels)), _of_labels(reader.departures)


def _predictions(
    masks: Masks, reading: Reading, *, anywhere: bool = False
) -> tuple[Sequence[EnergyMask], Counter[str]]:
    if not isinstance(masks, Path):
        return masks, Counter()
    if reading == "strict":
        return read_annotations(masks, predictions=True, max_bytes=MAX_PREDICTION_BYTES), Counter()
    reader = OfficialReader(predictions=True, anywhere=anywhere)
    return reader.read(masks), reader.departures


def _of_labels(departures: Counter[str]) -> Counter[str]:
    return Counter({f"of the labels: {what}": count for what, count in departures.items()})


def _notes(found: Mapping[str, tuple[int, Counter[str]]], reading: Reading) -> tuple[str, ...]:
    """Return remarks on recordings without ground truth, and on files that depart from the format.

    Parameters
    ----------
    found
        Ground-truth instances and departures of each recording.
    """
    empty = [recording for recording, (truths, _) in found.items() if not truths]
    if len(empty) == len(found) and reading == "strict":
        raise DataError(
            "labels", expected="at least one annotation of the 13 classes", found="none"
        )
    departures = sum((by_recording for _, by_recording in found.values()), Counter[str]())
    without_truth = f"{counted(len(empty), 'recording')} without ground truth: {listed(empty)}"
    return ((without_truth,) if empty else ()) + tuple(
        f"read as by the official scorer, {what}: {count}" for what, count in departures.items()
    )


def evaluate_systems(
    systems: Mapping[str, Corpus],
    labels: Corpus,
    *,
    metric: SoftIouMetric = "2026-06-30",
    thresholds: Sequence[float] | None = None,
    jobs: Workers = 1,
    allow_missing: bool = False,
    reading: Reading = "strict",
    cache: str | Path | None = None,
    progress: bool = False,
) -> dict[str, Scores]:
    """Return the scores of several systems, measured in one pass; see `match_systems`.

    ``thresholds`` are soft IoUs in (0, 1], those of the version if None.
    """
    matched = match_systems(
        systems,
        labels,
        jobs=jobs,
        allow_missing=allow_missing,
        reading=reading,
        cache=cache,
        progress=progress,
    )
    return {name: system.score(metric, thresholds) for name, system in matched.items()}


def evaluate_systems_2026_04_02(
    systems: Mapping[str, Corpus],
    labels: Corpus,
    *,
    jobs: Workers = 1,
    allow_missing: bool = False,
    reading: Reading = "strict",
    progress: bool = False,
) -> dict[str, FieldScores]:
    """Return the scores of several systems under the metric of 2026-04-02; see `match_systems`."""
    plan = _plan(systems, labels, allow_missing)
    tasks = {name: (*files, reading) for name, files in plan.recordings.items()}
    done = run_all(_match_fields, tasks, jobs=jobs, title="scoring" if progress else "")
    scores = {}
    for system in systems:
        by_recording = {name: result[system] for name, result in done.items() if system in result}
        notes = _notes(
            {name: (m.truths, found) for name, (m, found) in by_recording.items()}, reading
        )
        found = score_fields(matched for matched, _ in by_recording.values())
        scores[system] = replace(found, notes=plan.notes[system] + notes + found.notes)
    return scores


def _match_fields(
    labels: Masks, systems: Mapping[str, Masks], reading: Reading
) -> dict[str, tuple[MatchedFields, Counter[str]]]:
    truth: Sequence[EnergyMask]
    departures: Counter[str] = Counter()
    if not isinstance(labels, Path):
        truth = labels
    elif reading == "strict":
        truth = read_annotations(labels)
    else:
        reader = OfficialReader(predictions=False, anywhere=True)
        truth, departures = reader.read(labels), _of_labels(reader.departures)
    read = {name: _predictions(masks, reading, anywhere=True) for name, masks in systems.items()}
    matched = match_fields({name: masks for name, (masks, _) in read.items()}, truth)
    return {name: (matched[name], departures + found) for name, (_, found) in read.items()}


@overload
def evaluate(
    predictions: Corpus,
    labels: Corpus,
    metric: SoftIouMetric = ...,
    *,
    thresholds: Sequence[float] | None = ...,
    jobs: Workers = ...,
    allow_missing: bool = ...,
    reading: Reading = ...,
    cache: str | Path | None = ...,
    progress: bool = ...,
) -> Scores: ...


@overload
def evaluate(
    predictions: Corpus,
    labels: Corpus,
    metric: Literal["2026-04-02"],
    *,
    jobs: Workers = ...,
    allow_missing: bool = ...,
    reading: Reading = ...,
    progress: bool = ...,
) -> FieldScores: ...


def evaluate(
    predictions: Corpus,
    labels: Corpus,
    metric: Metric = "2026-06-30",
    *,
    thresholds: Sequence[float] | None = None,
    jobs: Workers = 1,
    allow_missing: bool = False,
    reading: Reading = "strict",
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
            reading=reading,
            progress=progress,
        )["predictions"]
    return evaluate_systems(
        {"predictions": predictions},
        labels,
        metric=metric,
        thresholds=thresholds,
        jobs=jobs,
        allow_missing=allow_missing,
        reading=reading,
        cache=cache,
        progress=progress,
    )["predictions"]
