"""``saiseld submit``: the four systems of the challenge entry in one zip."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saiseld.cli.options import Jobs, Model, Tables


def submit(
    candidates: Tables,
    output: Annotated[Path, typer.Option("--output", "-o", help="The zip to write.")],
    model: Model = None,
    author: Annotated[
        str, typer.Option(help="Family name of the corresponding author.")
    ] = "Author",
    institute: Annotated[str, typer.Option(help="Abbreviation of the institute.")] = "INST",
    jobs: Jobs = 1,
) -> None:
    """Write TASK3B_1 to TASK3B_4, check every file against the official limits, and zip them.

    saiseld submit candidates/ --model matchability.skops -o submission.zip
    """
    from saiseld.decision.systems import SUBMITTED
    from saiseld.pipeline.submit import submit_recordings

    count = submit_recordings(
        candidates, output, author=author, institute=institute, model=model, jobs=jobs
    )
    recordings = count // len(SUBMITTED)
    typer.echo(f"{count} prediction files of {recordings} recordings, read back: {output}")
