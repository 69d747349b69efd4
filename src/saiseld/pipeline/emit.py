"""Candidate tables to official prediction files, of one system or several.

A table is read block by block and written mask by mask wherever a system decides frame by frame, so
that an hour takes no more memory than a minute. A system that looks at the whole recording first
drops, block by block, what it can never emit.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from saiseld.decision.fusion import Fusion
from saiseld.decision.matchability import Matchability
from saiseld.decision.systems import (
    FROM_TABLE,
    DecisionModels,
    System,
    decide,
    masks_of,
    ranked,
    selected_in_frames,
    system_named,
)
from saiseld.formats.annotation import EnergyMask, annotation_writer
from saiseld.formats.candidates import (
    CANDIDATES_SUFFIX,
    Candidates,
    candidate_files,
    iter_candidates,
    joined,
    read_candidates,
    read_header,
    read_provenance,
)
from saiseld.pipeline.defaults import system_of
from saiseld.pipeline.weights import find_weights
from saiseld.runtime.parallel import run_all

_MOST_NAMED = 5
_log = logging.getLogger(__name__)


def emit(
    candidates: Candidates,
    system: System | str | None = None,
    models: DecisionModels = FROM_TABLE,
    *,
    threshold: float = 0.0,
) -> list[EnergyMask]:
    """Return the masks that a system submits for a recording.

    Parameters
    ----------
    candidates
        A recording's candidates, of the branches that the system takes.
    system
        What to do, or its name (`saiseld.decision.systems.SYSTEMS`); the one that the table was
        made with if None, or the default.
    models
        Fusion and matchability instead of those that the table holds.
    threshold
        Leave out masks whose submitted score is below this.

    Raises
    ------
    CandidateError
        If the table lacks a branch or a model that the system needs.
    RecipeError
        If there is no such system.

    Examples
    --------
    >>> from saiseld import detect
    >>> table = detect("meeting.wav", "meeting.mp4")
    >>> audiovisual, audio = emit(table), emit(table, "audio")
    >>> {mask.frame for mask in audio} <= set(range(table.frames))
    True
    """
    if system is None:
        system = system_of(candidates)
    elif isinstance(system, str):
        system = system_named(system)
    return decide(candidates, system, models, threshold=threshold)


def masks_of_table(
    candidates: Path, system: System | None = None, models: DecisionModels = FROM_TABLE
) -> list[EnergyMask]:
    """Return the masks of a candidate table's file, read some frames at a time; see `emit`."""
    system = system or system_of(read_header(candidates))
    if not models.frame_by_frame(system):
        return masks_of(_whole(candidates, system, models), system)
    blocks = iter_candidates(candidates)
    return [mask for block in blocks for mask in decide(block, system, models)]


def elevation_assumed(candidates: Path) -> bool:
    """Return whether a table's elevations are assumed: a planar array recorded its sound."""
    made_from = read_provenance(candidates).get("made_from")
    return bool(isinstance(made_from, dict) and made_from.get("elevation_assumed", False))


def emit_recording(
    candidates: Path,
    folders: Mapping[System, Path] | Mapping[System | None, Path],
    models: DecisionModels = FROM_TABLE,
    threshold: float = 0.0,
    max_bytes: int | None = None,
    emission: str | None = None,
) -> dict[str, int]:
    """Write ``<recording>.json`` of several systems from one candidate file.

    Parameters
    ----------
    candidates
        A candidate table's file.
    folders
        Where each system is written; None is the system that the table was made with.
    models, threshold
        As in `emit`.
    max_bytes
        Refuse to write a larger file: the challenge's ``MAX_PREDICTION_BYTES``.
    emission
        Points instead of the systems' own.

    Returns
    -------
    Bytes written, by system.

    Raises
    ------
    CandidateError
        As `emit`.
    OutputError
        If a file would exceed the limit.
    """
    name = f"{candidates.name.removesuffix(CANDIDATES_SUFFIX)}.json"
    systems = {
        system or system_of(read_header(candidates)): folder for system, folder in folders.items()
    }
    if emission is not None:
        systems = {replace(one, emission=emission): folder for one, folder in systems.items()}
    in_blocks = [system for system in systems if models.frame_by_frame(system)]
    with ExitStack() as files:
        writers = {
            system: files.enter_context(annotation_writer(folder / name, max_bytes=max_bytes))
            for system, folder in systems.items()
        }
        for block in iter_candidates(candidates) if in_blocks else ():
            for system in in_blocks:
                writers[system].append(decide(block, system, models, threshold=threshold))
        for system in systems.keys() - set(in_blocks):
            rows = _whole(candidates, system, models)
            writers[system].append(masks_of(rows, system, threshold=threshold))
    return {system.name: writer.size for system, writer in writers.items()}


def _whole(candidates: Path, system: System, models: DecisionModels) -> Candidates:
    """Return what a system may emit of a recording, as one table."""
    model = models.matchability if system.ranking == "matchability" else None
    if system.max_per_class is None or (model is not None and not model.frame_by_frame):
        return ranked(read_candidates(candidates), system, models)
    blocks = (ranked(block, system, models) for block in iter_candidates(candidates))
    return joined([block.take(selected_in_frames(block, system)) for block in blocks])


def decision_models(weights: Path | None, model: Path | None = None) -> DecisionModels:
    """Return the models to decide by: a weights folder's fusion, a file's matchability.

    What is None is taken from the tables.
    """
    return DecisionModels(
        None if weights is None else Fusion.load(find_weights(weights).fusion),
        None if model is None else Matchability.load(model),
    )


def emit_recordings(
    candidates: Path,
    folders: Mapping[System, Path] | Mapping[System | None, Path],
    *,
    weights: Path | None = None,
    model: Path | None = None,
    threshold: float = 0.0,
    max_bytes: int | None = None,
    emission: str | None = None,
    jobs: int = 1,
) -> dict[str, dict[str, int]]:
    """Write the predictions of a candidate file or a folder of them, ``jobs`` at a time.

    Parameters
    ----------
    candidates
        A candidate table's file, or a folder of them.
    folders, threshold, max_bytes, emission
        As in `emit_recording`.
    weights
        A weights folder whose fusion model is taken; None takes the one that the tables hold.
    model
        A matchability model's file; None takes the matchability that the tables hold.
    jobs
        Recordings at a time.

    Returns
    -------
    Bytes written, by recording and system.
    """
    files = candidate_files(candidates)
    if planar := [name for name, path in files.items() if elevation_assumed(path)]:
        _log.warning(
            "%s: elevations of %s are assumed, for a planar array measures none; masks cannot say "
            "it, `saiseld draw` of the candidate table does",
            candidates,
            ", ".join(planar[:_MOST_NAMED]) + (", ..." if len(planar) > _MOST_NAMED else ""),
        )
    models = decision_models(weights, model)
    tasks = {
        name: (path, folders, models, threshold, max_bytes, emission)
        for name, path in files.items()
    }
    return run_all(emit_recording, tasks, jobs=jobs, title="emitting")
