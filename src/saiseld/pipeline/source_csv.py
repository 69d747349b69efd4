"""Candidate tables to DCASE CSVs, and the class thresholds that those need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saiseld.decision.class_thresholds import ClassThresholds, choose_class_thresholds
from saiseld.decision.linking import Linker, Track
from saiseld.decision.systems import FROM_TABLE, DecisionModels, System
from saiseld.evaluation.corpus import paired
from saiseld.evaluation.seld import SeldMetric
from saiseld.evaluation.seld.sources import (
    SourceReading,
    find_sources,
    has_direction,
    read_sources,
    sources_of_masks,
)
from saiseld.formats.annotation import EnergyMask
from saiseld.formats.candidates import candidate_files, read_candidates
from saiseld.formats.dcase_csv import SourceRows, write_dcase_csv
from saiseld.pipeline.defaults import system_of
from saiseld.pipeline.emit import emit
from saiseld.runtime.errors import CandidateError
from saiseld.runtime.parallel import run_all


def emit_csvs(
    candidates: Path,
    folder: Path,
    system: System,
    thresholds: ClassThresholds,
    models: DecisionModels = FROM_TABLE,
    *,
    jobs: int = 1,
) -> dict[str, int]:
    """Write ``<recording>.csv`` of a candidate file or a folder of them; return the rows of each.

    ``frame,class,source,azimuth,elevation,distance`` with distances in metres, as the public
    code of 2024 reads systems; sources keep their number from frame to frame.

    Parameters
    ----------
    candidates
        A candidate table's file, or a folder of them.
    folder
        Where the CSVs go.
    system
        What is kept and how it is ranked.
    thresholds
        Which score a source of each class needs.
    models
        Fusion and matchability instead of those that the tables hold.
    jobs
        Recordings at a time.

    Raises
    ------
    CandidateError
        If a table cannot be read, or lacks what the system needs.
    """
    tasks = {
        name: (path, folder / f"{name}.csv", system, thresholds, models)
        for name, path in candidate_files(candidates).items()
    }
    return run_all(_emit_csv, tasks, jobs=jobs, title="emitting")


def _emit_csv(
    candidates: Path,
    output: Path,
    system: System,
    thresholds: ClassThresholds,
    models: DecisionModels,
) -> int:
    masks = [
        mask
        for mask in _directed(candidates, system, models)
        if (mask.score or 0.0) >= thresholds.of_class(mask.class_id)
    ]
    rows = sources_of_masks(with_source_numbers(masks))
    write_dcase_csv(output, rows)
    return len(rows)


def with_source_numbers(masks: Sequence[EnergyMask]) -> list[EnergyMask]:
    """Return masks, sorted by frame, whose ``instance_id`` numbers the sources of their class.

    A source goes on as events do (`saiseld.decision.linking`).
    """
    by_frame: dict[int, list[EnergyMask]] = {}
    for mask in masks:
        by_frame.setdefault(mask.frame, []).append(mask)
    linker = Linker()
    numbers: dict[int, int] = {}
    tracks: list[Track] = []  # kept, so that no id is given twice
    counted: dict[int, int] = {}
    numbered = []
    for frame in sorted(by_frame):
        linker.follow(frame, by_frame[frame])
        for track in linker.live:
            if track.last != frame:
                continue
            if id(track) not in numbers:
                tracks.append(track)
                numbers[id(track)] = counted.get(track.class_id, 0)
                counted[track.class_id] = numbers[id(track)] + 1
            numbered.append(replace(track.masks[-1], instance_id=numbers[id(track)]))
    return sorted(numbered, key=lambda mask: (mask.frame, mask.class_id, mask.instance_id))


def calibrate_classes(
    candidates: Path,
    labels: Path,
    system: System | None,
    metric: SeldMetric,
    models: DecisionModels = FROM_TABLE,
    *,
    jobs: int = 1,
) -> ClassThresholds:
    """Return the thresholds that give each class its best F20 on some recordings.

    Parameters
    ----------
    candidates
        A candidate table's file, or a folder of them: the calibration recordings.
    labels
        Folder of DCASE CSVs or masks; those of further recordings are left alone.
    system
        Whose masks are thresholded; if None, the system that all tables were made with.
    metric
        Whose F20 counts.
    models
        Fusion and matchability instead of those that the tables hold.

    Raises
    ------
    DataError
        If a recording has no labels.
    CandidateError
        If a table cannot be read or lacks what the system needs, or tables of several systems are
        given without naming one.
    """
    files = candidate_files(candidates)
    if system is None:
        system = _common_system(candidates, files)
    truth, _ = find_sources(labels, "labels")
    paired("candidates", files, truth.keys() & files.keys(), allow_missing=False)
    tasks = {name: (path, system, models) for name, path in files.items()}
    estimates: Mapping[str, tuple[SourceRows, NDArray[np.float64]]] = run_all(
        _scored_sources, tasks, jobs=jobs, title="deciding"
    )
    reading = SourceReading("labels")
    references = {name: read_sources(truth[name], reading)[0] for name in files}
    return choose_class_thresholds(estimates, references, metric, system.name)


def _common_system(place: Path, files: Mapping[str, Path]) -> System:
    """Return the system that all candidate tables were made with."""
    systems = {system.name: system for system in map(_system_of_file, files.values())}
    if len(systems) > 1:
        raise CandidateError(
            place,
            place="system",
            expected="one for all tables",
            found=", ".join(sorted(systems)),
            advice="Name the system whose thresholds are to be chosen",
        )
    return next(iter(systems.values()))


def _system_of_file(candidates: Path) -> System:
    return system_of(read_candidates(candidates))


def _scored_sources(
    candidates: Path, system: System, models: DecisionModels
) -> tuple[SourceRows, NDArray[np.float64]]:
    masks = _directed(candidates, system, models)
    return sources_of_masks(masks), np.array([mask.score or 0.0 for mask in masks])


def _directed(candidates: Path, system: System, models: DecisionModels) -> list[EnergyMask]:
    masks = emit(read_candidates(candidates), system, models)
    return [mask for mask in masks if has_direction(mask)]
