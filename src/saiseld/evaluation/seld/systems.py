"""Several systems against the same references, under one SELD metric."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from saiseld.evaluation.corpus import listed, paired
from saiseld.evaluation.official_reading import Reading
from saiseld.evaluation.seld.counting import Counts, SeldMetric, count
from saiseld.evaluation.seld.jackknife import FEWEST_RECORDINGS, jackknife_intervals
from saiseld.evaluation.seld.scores import SeldScores, score_counts
from saiseld.evaluation.seld.sources import (
    AS_PUBLISHED,
    SourceCorpus,
    SourceOptions,
    SourceReading,
    Sources,
    find_sources,
    read_sources,
    reading_of,
)
from saiseld.formats.dcase_csv import SourceRows
from saiseld.runtime.errors import DataError
from saiseld.runtime.files import write_json
from saiseld.runtime.parallel import Workers, run_all

_FARTHEST_M = 30.0
_EARLY_FRAMES = 100


def evaluate_seld(
    predictions: SourceCorpus,
    labels: SourceCorpus,
    metric: SeldMetric = "seld-2024",
    *,
    options: SourceOptions = AS_PUBLISHED,
    intervals: bool = False,
    jobs: Workers = 1,
    allow_missing: bool = False,
    reading: Reading = "strict",
) -> SeldScores:
    """Return the SELD scores of one system; see `evaluate_seld_systems`.

    Examples
    --------
    >>> from saiseld.evaluation.seld import evaluate_seld
    >>> from saiseld.formats.dcase_csv import SourceRows
    >>> truth = SourceRows.of([(k, 8, 0, 40.0, 10.0, 1.5) for k in range(20)])
    >>> scores = evaluate_seld({"take1": truth}, {"take1": truth}, "seld-2024")
    >>> scores.micro["F20"], scores.micro["RDE"]
    (1.0, 0.0)
    """
    systems = {"predictions": predictions}
    return evaluate_seld_systems(
        systems,
        labels,
        metric,
        options=options,
        intervals=intervals,
        jobs=jobs,
        allow_missing=allow_missing,
        reading=reading,
    )["predictions"]


def evaluate_seld_systems(
    systems: Mapping[str, SourceCorpus],
    labels: SourceCorpus,
    metric: SeldMetric = "seld-2024",
    *,
    options: SourceOptions = AS_PUBLISHED,
    intervals: bool = False,
    jobs: Workers = 1,
    allow_missing: bool = False,
    reading: Reading = "strict",
    progress: bool = False,
) -> dict[str, SeldScores]:
    """Return the SELD scores of several systems against the same references.

    Parameters
    ----------
    systems
        By name: a folder (`saiseld.evaluation.seld.sources.find_sources`), or sources by recording.
    labels
        The references, likewise; distances of their CSVs are centimetres.
    metric
        Of which year.
    options
        How the systems' files are read.
    intervals
        Jackknife over recordings as well.
    jobs
        Recordings at a time.
    allow_missing
        Leave out recordings without a partner instead of raising.
    reading
        ``"official"`` leaves out classes beyond the 13, as the public code does.
    progress
        Show a progress line.

    Raises
    ------
    DataError, AnnotationError
        For what cannot be read or has no partner, labels without one source, and sources without
        distance under ``seld-2024``.
    """
    truth, label_notes = find_sources(labels, "labels")
    of_labels, of_systems = (
        reading_of(side, options, lenient=reading == "official")
        for side in ("labels", "predictions")
    )
    tasks: dict[str, tuple[Sources, dict[str, Sources]]] = {}
    notes = {}
    for system, source in systems.items():
        found, remarks = find_sources(source, "predictions")
        name = system if isinstance(source, Mapping) else str(source)
        common, left_out = paired(name, found, truth, allow_missing=allow_missing)
        for recording in common:
            _, files = tasks.setdefault(recording, (truth[recording], {}))
            files[system] = found[recording]
        notes[system] = label_notes + remarks + left_out
    ordered = {name: tasks[name] for name in sorted(tasks, key=_file_name)}
    done = run_all(
        _count,
        {name: (*files, of_labels, of_systems, metric) for name, files in ordered.items()},
        jobs=jobs,
        title="scoring" if progress else "",
    )
    scores = {}
    for system in systems:
        by_recording = {name: result[system] for name, result in done.items() if system in result}
        counts = [counted for counted, _ in by_recording.values()]
        if reading == "strict" and not any(counted.references.any() for counted in counts):
            raise DataError("labels", expected="a source of the 13 classes", found="none")
        remarks = _noted({name: noted for name, (_, noted) in by_recording.items()})
        if intervals and len(counts) < FEWEST_RECORDINGS:
            remarks += (f"no intervals: they take {FEWEST_RECORDINGS} recordings or more",)
        scores[system] = replace(
            score_counts(counts, metric),
            intervals=jackknife_intervals(counts, metric) if intervals else {},
            notes=notes[system] + remarks,
        )
    return scores


def _file_name(recording: str) -> str:
    return f"{recording}.csv"


def _count(
    labels: Sources,
    systems: Mapping[str, Sources],
    of_labels: SourceReading,
    of_systems: SourceReading,
    metric: SeldMetric,
) -> dict[str, tuple[Counts, Counter[str]]]:
    truth, of_truth = read_sources(labels, of_labels)
    counted = {}
    for system, sources in systems.items():
        found, remarks = read_sources(sources, of_systems)
        if metric == "seld-2024":
            _check_distances(truth, labels, "labels")
            _check_distances(found, sources, system)
        counted[system] = (
            count(truth, found, metric),
            of_truth + remarks + _compared(truth, found),
        )
    return counted


def _check_distances(rows: SourceRows, sources: Sources, name: str) -> None:
    without = np.isnan(rows.distance_m)
    if without.any():
        raise DataError(
            sources if isinstance(sources, Path) else name,
            place="distance",
            expected="a distance of every source, which seld-2024 compares",
            found=f"{int(without.sum())} of {len(rows)} rows without",
            advice="--metric seld-2023 needs no distances",
        )


def _compared(truth: SourceRows, found: SourceRows) -> Counter[str]:
    """Return what looks wrong between the two sides of a recording, though it can be scored."""
    remarks: Counter[str] = Counter()
    if not len(truth):
        remarks["labels: no source at all; every prediction there is an error"] = 1
        return remarks
    end = int(truth.frame.max())
    if beyond := int((found.frame > end).sum()):
        remarks[
            "predictions: rows after the last labelled frame, which do not count; are both files "
            "of this recording and at 10 frames a second?"
        ] = beyond
    last = int(found.frame.max()) if len(found) else end
    if last < end / 2 and end - last > _EARLY_FRAMES:
        remarks[
            "predictions: nothing in the second half; does the file end early, or has it another "
            "frame rate?"
        ] = 1
    distances = found.distance_m[~np.isnan(found.distance_m)]
    median = np.median(distances) if len(distances) else 0.0
    if median > _FARTHEST_M:
        remarks[
            f"predictions: distances of {median:.0f} m and more; are they centimetres "
            "(--distance-unit cm)?"
        ] = 1
    return remarks


def _noted(remarks: Mapping[str, Counter[str]]) -> tuple[str, ...]:
    """Return one line for each remark: how often, and in which recordings."""
    total = sum(remarks.values(), Counter[str]())
    return tuple(
        f"{what} ({times} in {listed([name for name, noted in remarks.items() if what in noted])})"
        for what, times in total.items()
    )


def write_seld_scores(path: str | Path, scores: Mapping[str, SeldScores]) -> None:
    """Write the scores of a system as JSON, or of several, by system."""
    content = {name: found.as_dict() for name, found in scores.items()}
    write_json(path, content if len(content) > 1 else next(iter(content.values())))
