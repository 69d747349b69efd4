"""``saiseld emit``: official prediction files of one system from candidates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from saiseld.cli.options import Jobs, Model, Tables


def emit(
    candidates: Tables,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for <recording>.json.")],
    system: Annotated[
        str,
        typer.Option(help="Baseline, 'Sparse peaks', TASK3B_1 to TASK3B_4, dense, blob, together."),
    ] = "TASK3B_1",
    model: Model = None,
    emission: Annotated[
        str | None,
        typer.Option(help="Points instead of the system's: sparse, blob, grid<N>, adaptive, ..."),
    ] = None,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Leave out masks scored below this.")
    ] = 0.0,
    form: Annotated[
        Literal["masks", "dcase-csv"],
        typer.Option(help="Official JSON, or DCASE CSVs of sources (needs --class-thresholds)."),
    ] = "masks",
    class_thresholds: Annotated[
        Path | None,
        typer.Option(help="Score that a source of each class needs; `calibrate` makes the file."),
    ] = None,
    limit: Annotated[
        bool, typer.Option("--limit", help="Refuse to write more than the challenge takes.")
    ] = False,
    jobs: Jobs = 1,
) -> None:
    """Decide what is kept, how it is ranked and which points are written, and write it.

    saiseld emit candidates/ --system TASK3B_3 -o predictions
    """
    from dataclasses import replace

    from saiseld.cli.printing import emit_dcase_csvs
    from saiseld.decision.systems import system_named
    from saiseld.formats.annotation import MAX_PREDICTION_BYTES
    from saiseld.pipeline.emit import emit_recordings
    from saiseld.runtime.files import output_folder

    chosen = system_named(system)
    if emission is not None:
        chosen = replace(chosen, emission=emission)
    if form == "dcase-csv":
        return emit_dcase_csvs(candidates, output, chosen, class_thresholds, model, jobs)
    folders = {chosen: output_folder(output)}
    written = emit_recordings(
        candidates,
        folders,
        model=model,
        threshold=threshold,
        max_bytes=MAX_PREDICTION_BYTES if limit else None,
        jobs=jobs,
    )
    largest = max(size for sizes in written.values() for size in sizes.values())
    typer.echo(f"{system}: {len(written)} recordings, the largest {largest:,} bytes: {output}")
