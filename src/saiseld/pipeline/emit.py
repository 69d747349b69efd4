"""Candidate tables to official prediction files, of one system or several.

A table is read block by block and written mask by mask wherever a system decides frame by frame, so
that an hour takes no more memory than a minute. A system that looks at the whole recording first
drops, block by block, what it can never emit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from saiseld.decision.matchability import Matchability
from saiseld.decision.systems import System, decide, selected_in_frames, system_named
from saiseld.formats.annotation import EnergyMask, annotation_writer
from saiseld.formats.candidates import (
    CANDIDATES_SUFFIX,
    Candidates,
    candidate_files,
    iter_candidates,
    joined_candidates,
    read_candidates,
)
from saiseld.pipeline.defaults import EYE_SYSTEM
from saiseld.runtime.parallel import run_all


def emit(
    candidates: Candidates, system: System | str = EYE_SYSTEM, *, threshold: float = 0.0
) -> list[EnergyMask]:
    """Return the masks that a system submits for a recording.

    Parameters
    ----------
    candidates
        A recording's detections; calibrated if the system ranks by matchability.
    system
        What to do, or its name (`saiseld.decision.systems.SYSTEMS`).
    threshold
        Leave out masks whose submitted score is below this.

    Examples
    --------
    >>> from saiseld import emit, evaluate, read_candidates
    >>> table = read_candidates("meeting.candidates.parquet")  # doctest: +SKIP
    >>> scores = evaluate({"meeting": emit(table, "TASK3B_4")}, "labels")  # doctest: +SKIP
    """
    return decide(
        candidates, system_named(system) if isinstance(system, str) else system, threshold=threshold
    )


def emit_recording(
    candidates: Path,
    folders: Mapping[System, Path],
    model: Matchability | None = None,
    threshold: float = 0.0,
    max_bytes: int | None = None,
) -> dict[str, int]:
    """Write ``<recording>.json`` of several systems from one candidate file.

    Parameters
    ----------
    candidates
        A candidate table's file.
    folders
        Where each system is written.
    model
        Matchability model; None takes the matchability that the table holds.
    threshold
        As in `saiseld.decision.systems.decide`.
    max_bytes
        Refuse to write a larger file: the challenge's ``MAX_PREDICTION_BYTES``.

    Returns
    -------
    Bytes written, by system.

    Raises
    ------
    OutputError
        If a file would exceed the limit.
    """
    name = f"{candidates.name.removesuffix(CANDIDATES_SUFFIX)}.json"
    in_blocks = [system for system in folders if system.frame_by_frame]
    with ExitStack() as files:
        writers = {
            system: files.enter_context(annotation_writer(folder / name, max_bytes=max_bytes))
            for system, folder in folders.items()
        }
        if in_blocks:
            for block in _blocks(candidates, model):
                for system in in_blocks:
                    writers[system].append(decide(block, system, threshold=threshold))
        for system in folders.keys() - set(in_blocks):
            whole = _emittable(candidates, model, system)
            writers[system].append(decide(whole, system, threshold=threshold))
    return {system.name: writer.size for system, writer in writers.items()}


def _blocks(candidates: Path, model: Matchability | None) -> Iterator[Candidates]:
    """Yield some frames at a time, calibrated if there is a model."""
    if model is None:
        yield from iter_candidates(candidates)
    elif model.frame_by_frame:
        yield from map(model.calibrate, iter_candidates(candidates))
    else:
        yield model.calibrate(read_candidates(candidates))


def _emittable(candidates: Path, model: Matchability | None, system: System) -> Candidates:
    """Return what a system may emit of a recording, as one table."""
    blocks = _blocks(candidates, model)
    if system.cap is None:
        return joined_candidates(list(blocks))
    return joined_candidates([block.take(selected_in_frames(block, system)) for block in blocks])


def emit_recordings(
    candidates: Path,
    folders: Mapping[System, Path],
    *,
    model: Path | None = None,
    threshold: float = 0.0,
    max_bytes: int | None = None,
    jobs: int = 1,
) -> dict[str, dict[str, int]]:
    """Write the predictions of a candidate file or a folder of them, ``jobs`` at a time.

    Parameters
    ----------
    candidates
        A candidate table's file, or a folder of them.
    folders, threshold, max_bytes
        As in `emit_recording`.
    model
        A matchability model's file; None takes the matchability that the tables hold.
    jobs
        Recordings at a time.

    Returns
    -------
    Bytes written, by recording and system.
    """
    files = candidate_files(candidates)
    learned = None if model is None else Matchability.load(model)
    tasks = {name: (path, folders, learned, threshold, max_bytes) for name, path in files.items()}
    return run_all(emit_recording, tasks, jobs=jobs, title="emitting")
