"""``saiseld emit``: official prediction files of one system from candidates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def emit(
    candidates: Annotated[Path, typer.Argument(help="Candidate table, or a folder of them.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for <recording>.json.")],
    system: Annotated[
        str,
        typer.Option(help="Baseline, 'Sparse peaks', TASK3B_1 to TASK3B_4, dense or blob."),
    ] = "TASK3B_1",
    model: Annotated[
        Path | None, typer.Option(help="Matchability model, if the candidates are not calibrated.")
    ] = None,
    emission: Annotated[
        str | None,
        typer.Option(help="Points instead of the system's: sparse, blob, grid<N>, adaptive, ..."),
    ] = None,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Leave out masks scored below this.")
    ] = 0.0,
    jobs: Annotated[int, typer.Option(min=1, help="Recordings at a time.")] = 1,
) -> None:
    """Decide what is kept, how it is ranked and which points are written, and write it."""
    from dataclasses import replace

    from saiseld.decision.matchability import Matchability
    from saiseld.decision.systems import emit_recording, system_named
    from saiseld.formats.candidates import candidate_files
    from saiseld.runtime.files import output_folder
    from saiseld.runtime.parallel import run_all

    chosen = system_named(system)
    if emission is not None:
        chosen = replace(chosen, emission=emission)
    folders = {chosen: output_folder(output)}
    learned = None if model is None else Matchability.load(model)
    tasks = {
        name: (path, folders, learned, threshold)
        for name, path in candidate_files(candidates).items()
    }
    written = run_all(emit_recording, tasks, jobs=jobs, title="emitting")
    largest = max(size for sizes in written.values() for size in sizes.values())
    typer.echo(f"{system}: {len(written)} recordings, the largest {largest:,} bytes: {output}")
