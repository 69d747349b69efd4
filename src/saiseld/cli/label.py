"""``saiseld label``: official label JSON from 32-channel recordings and their events."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer


def label(
    audio: Annotated[Path, typer.Option(help="32-channel recording, or a folder of them.")],
    events: Annotated[
        Path, typer.Option(help="STARSS23 CSV of the recording, or a folder of <recording>.csv.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the labels.")],
    to_convergence: Annotated[
        bool,
        typer.Option(
            help="Image to the exact minimum. Public labels stop early; these are not like them."
        ),
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Recordings at a time.")] = 1,
) -> None:
    """Make energy-mask labels (<recording>_raw.json, <recording>_std.json) as STAIRS26 has them.

    Recordings that have their labels are left as they are: after a stop, the same command goes on.
    """
    from saiseld.labels.make import claim_folder, label_tasks, make_labels
    from saiseld.runtime.parallel import run_all

    tasks = label_tasks(audio, events, output)
    claim_folder(output, to_convergence=to_convergence)
    left = {name: (task,) for name, task in tasks.items() if not task.standardised.exists()}
    run_all(partial(make_labels, to_convergence=to_convergence), left, jobs=jobs, title="labelling")
    typer.echo(f"{len(left)} recordings labelled, {len(tasks) - len(left)} there before: {output}")
