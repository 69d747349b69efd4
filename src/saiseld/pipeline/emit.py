"""Candidate tables to official prediction files, of one system or several."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from saiseld.decision.matchability import Matchability
from saiseld.decision.systems import System, decide, system_named
from saiseld.formats.annotation import MAX_PREDICTION_BYTES, EnergyMask, write_annotations
from saiseld.formats.candidates import Candidates, candidate_files, read_candidates
from saiseld.pipeline.defaults import DEFAULT_SYSTEM
from saiseld.runtime.parallel import run_all


def emit(
    candidates: Candidates, system: System | str = DEFAULT_SYSTEM, *, threshold: float = 0.0
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

    Returns
    -------
    Bytes written, by system.

    Raises
    ------
    OutputError
        If a file would exceed the challenge's limit.
    """
    table = read_candidates(candidates)
    if model is not None:
        table = model.calibrate(table)
    return {
        system.name: write_annotations(
            folder / f"{table.recording}.json",
            decide(table, system, threshold=threshold),
            max_bytes=MAX_PREDICTION_BYTES,
        )
        for system, folder in folders.items()
    }


def emit_recordings(
    candidates: Path,
    folders: Mapping[System, Path],
    *,
    model: Path | None = None,
    threshold: float = 0.0,
    jobs: int = 1,
) -> dict[str, dict[str, int]]:
    """Write the predictions of a candidate file or a folder of them, ``jobs`` at a time.

    Parameters
    ----------
    candidates
        A candidate table's file, or a folder of them.
    folders, threshold
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
    tasks = {name: (path, folders, learned, threshold) for name, path in files.items()}
    return run_all(emit_recording, tasks, jobs=jobs, title="emitting")
