"""``saiseld submit``: the four systems of the challenge entry in one zip."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saiseld.cli.options import FusionWeights, Jobs, Model, Tables

UNNAMED = ("Author", "INST")
"""Author and institute where none is given."""


def submit(
    candidates: Tables,
    output: Annotated[Path, typer.Option("--output", "-o", help="The zip to write.")],
    system: Annotated[
        list[str] | None,
        typer.Option(
            "--system",
            help="One of four systems; give it four times, in order. Default: audiovisual, "
            "audiovisual-precise, audio and TASK3B_3.",
        ),
    ] = None,
    weights: FusionWeights = None,
    model: Model = None,
    author: Annotated[str, typer.Option(help="Family name of the corresponding author.")] = UNNAMED[
        0
    ],
    institute: Annotated[str, typer.Option(help="Abbreviation of the institute.")] = UNNAMED[1],
    jobs: Jobs = 1,
) -> None:
    """Write four systems, check every file against the official limits, and zip them.

    saiseld submit candidates/ --author Kwon --institute KIST -o submission.zip

    Four systems of your choice: `--system TASK3B_1 --system TASK3B_2` and two more.
    """
    from saiseld.pipeline.submit import SLOTS, Author, submit_recordings, submitted_systems
    from saiseld.runtime.text import counted

    systems = submitted_systems(system) if system else submitted_systems()
    count = submit_recordings(
        candidates,
        output,
        Author(author, institute),
        systems=systems,
        weights=weights,
        model=model,
        jobs=jobs,
    )
    names = ", ".join(one.name for one in systems)
    typer.echo(
        f"{count} prediction files of {counted(count // SLOTS, 'recording')}, read back: {output}"
    )
    typer.echo(f"systems 1 to {SLOTS}: {names}")
    if UNNAMED[0] == author or UNNAMED[1] == institute:
        typer.secho(
            f"not ready to submit: labels say {author}_{institute}; give --author and --institute",
            fg="yellow",
            err=True,
        )
    typer.echo("each meta.yaml has entries 'to be completed' by its author", err=True)
