"""Matchability into candidate tables, and score thresholds with a guarantee."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from saiseld.decision.matchability import Matchability
from saiseld.decision.risk import Goal, OperatingPoint, operating_point
from saiseld.decision.systems import FROM_TABLE, DecisionModels, System, decide
from saiseld.evaluation.corpus import labels_of
from saiseld.evaluation.drawn_labels import draw_labels
from saiseld.evaluation.matched import MatchedRecording, match_recording
from saiseld.evaluation.rendering import render_masks
from saiseld.formats.candidates import (
    CANDIDATES_SUFFIX,
    candidate_files,
    read_candidates,
    write_candidates,
)
from saiseld.pipeline.weights import matchability_record
from saiseld.runtime.errors import DataError
from saiseld.runtime.files import output_folder, write_json
from saiseld.runtime.parallel import run_all

OPERATING_POINT = "operating_point.json"


def calibrate_recording(
    candidates: Path, model: Matchability, record: Mapping[str, Any], output: Path
) -> list[int]:
    """Write a calibrated candidate table; return its classes that the model was trained without.

    Parameters
    ----------
    candidates
        A candidate table's file.
    model
        What says how likely a detection matches.
    record
        What the table says of the model from then on (`saiseld.pipeline.weights.model_record`).
    output
        File of the calibrated table.
    """
    table = read_candidates(candidates)
    models = {**table.provenance.get("models", {}), **record}
    provenance = {**table.provenance, "models": models}
    write_candidates(output, replace(model.calibrate(table), provenance=provenance))
    return model.unseen_classes(table)


def calibrate_recordings(
    candidates: Path, model: Path, folder: Path | None = None, *, jobs: int = 1
) -> dict[str, list[int]]:
    """Calibrate a candidate file or a folder of them, ``jobs`` at a time.

    Parameters
    ----------
    candidates
        A candidate table's file, or a folder of them.
    model
        File of the model that says how likely a detection matches.
    folder
        Where the calibrated tables go; in place if None.
    jobs
        Recordings at a time.

    Returns
    -------
    The classes of each recording's detections that the model was trained without, by name.
    """
    folder = calibrated_folder(candidates, folder)
    learned, record = Matchability.load(model), matchability_record(model)
    tasks = {
        name: (path, learned, record, folder / f"{name}{CANDIDATES_SUFFIX}")
        for name, path in candidate_files(candidates).items()
    }
    return run_all(calibrate_recording, tasks, jobs=jobs, title="calibrating")


def calibrated_folder(candidates: Path, folder: Path | None = None) -> Path:
    """Return the folder of calibrated tables, made if absent: that of the candidates if None."""
    return output_folder(folder or (candidates if candidates.is_dir() else candidates.parent))


def labels_unseen(candidates: Path, labels: Path | None, model: Matchability) -> dict[str, Path]:
    """Return the label file of each recording, for a guarantee about new ones.

    Parameters
    ----------
    candidates
        A candidate table's file, or a folder of them.
    labels
        Folder with the labels.
    model
        What calibrates the candidates.

    Raises
    ------
    DataError
        If there are no labels, or the model was trained on any of the recordings.
    """
    if labels is None:
        raise DataError("--risk", expected="--labels to calibrate on", found="none")
    files = candidate_files(candidates)
    found = labels_of(files, labels)
    seen = sorted(files.keys() & set(model.training.recordings))
    if seen:
        raise DataError(
            candidates,
            expected="recordings that the model was not trained on",
            found=f"{len(seen)} that it was, such as {seen[0]}",
            advice="Scores of what a model has seen guarantee nothing about what it has not",
        )
    return found


def find_operating_point(
    folder: Path,
    labels: Mapping[str, Path],
    system: System,
    goal: Goal,
    cache: Path,
    models: DecisionModels = FROM_TABLE,
    *,
    jobs: int = 1,
) -> OperatingPoint:
    """Find the threshold that guarantees a goal; write ``operating_point.json`` by the tables.

    Parameters
    ----------
    folder
        With the calibrated table of each recording.
    labels
        Label file of each recording; see `labels_unseen`.
    system
        Whose masks it is about.
    goal
        What is to be guaranteed.
    cache
        Folder where drawn labels are kept.
    models
        Fusion and matchability instead of those that the tables hold.
    jobs
        Recordings at a time.
    """
    tables = {name: folder / f"{name}{CANDIDATES_SUFFIX}" for name in labels}
    point = operating_point(
        match_recordings(tables, labels, system, cache, models, jobs=jobs), goal
    )
    write_json(folder / OPERATING_POINT, asdict(point))
    return point


def match_recordings(
    candidates: Mapping[str, Path],
    labels: Mapping[str, Path],
    system: System,
    cache: Path,
    models: DecisionModels = FROM_TABLE,
    *,
    jobs: int = 1,
) -> list[MatchedRecording]:
    """Match what a system decides with the labels, ``jobs`` recordings at a time."""
    tasks = {name: (path, labels[name], system, cache, models) for name, path in candidates.items()}
    return list(run_all(_matched, tasks, jobs=jobs, title="matching").values())


def _matched(
    candidates: Path, labels: Path, system: System, cache: Path, models: DecisionModels
) -> MatchedRecording:
    masks = decide(read_candidates(candidates), system, models)
    return match_recording(render_masks(masks), draw_labels(labels, cache))
