"""``saiseld emit``: official prediction files of one system from candidates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from saiseld.cli.options import FusionWeights, Jobs, Model, SystemName, Tables


def emit(
    candidates: Tables,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for <recording>.json.")],
    system: SystemName = None,
    weights: FusionWeights = None,
    model: Model = None,
    emission: Annotated[
        str | None,
        typer.Option(
            help="Emission to use instead of the system's: sparse, blob, grid<N>, adaptive, ..."
        ),
    ] = None,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Leave out masks with a lower score.")
    ] = 0.0,
    form: Annotated[
        Literal["masks", "dcase-csv"],
        typer.Option(help="Official JSON, or DCASE CSVs of sources (needs --class-thresholds)."),
    ] = "masks",
    class_thresholds: Annotated[
        Path | None,
        typer.Option(help="Score thresholds of the classes, as `calibrate` writes them."),
    ] = None,
    limit: Annotated[
        bool,
        typer.Option(
            "--limit", help="Refuse to write files that are larger than the challenge accepts."
        ),
    ] = False,
    jobs: Jobs = 1,
) -> None:
    """Write prediction files from candidate tables, by the rules of a system.

    Without --system, the system that each table was made with, or the default.

        saiseld emit candidates/ --system TASK3B_3 -o predictions
    """
    from saiseld.cli.printing import emit_dcase_csvs
    from saiseld.decision.systems import system_named
    from saiseld.formats.annotation import MAX_PREDICTION_BYTES
    from saiseld.pipeline.emit import decision_models, emit_recordings
    from saiseld.runtime.files import output_folder
    from saiseld.runtime.text import counted

    chosen = None if system is None else system_named(system)
    if form == "dcase-csv":
        unused = {"--emission": emission, "--threshold": threshold, "--limit": limit}
        return emit_dcase_csvs(
            candidates,
            output,
            chosen,
            class_thresholds,
            decision_models(weights, model),
            unused=[name for name, value in unused.items() if value],
            jobs=jobs,
        )
    written = emit_recordings(
        candidates,
        {chosen: output_folder(output)},
        weights=weights,
        model=model,
        threshold=threshold,
        max_bytes=MAX_PREDICTION_BYTES if limit else None,
        emission=emission,
        jobs=jobs,
    )
    largest = max(size for sizes in written.values() for size in sizes.values())
    used = ", ".join(dict.fromkeys(name for sizes in written.values() for name in sizes))
    typer.echo(
        f"{used}: {counted(len(written), 'recording')}, the largest {largest:,} bytes: {output}"
    )
