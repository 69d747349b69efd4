"""``saiseld label``: official label JSON from 32-channel recordings and their events."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def label(
    audio: Annotated[Path, typer.Option(help="32-channel recording, or a folder of them.")],
    events: Annotated[
        Path, typer.Option(help="STARSS23 CSV of the recording, or a folder of <recording>.csv.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the labels.")],
    jobs: Annotated[int, typer.Option(min=1, help="Recordings at a time.")] = 1,
) -> None:
    """Make energy-mask labels (<recording>_raw.json, <recording>_std.json) as STAIRS26 has them.

    Recordings that have their labels are left as they are: after a stop, the same command goes on.

        saiseld label --audio eigen/ --events metadata/ -o labels
    """
    from saiseld.labels.make import label_tasks, make_labels
    from saiseld.runtime.parallel import run_all

    tasks = label_tasks(audio, events, output)
    left = {name: (task,) for name, task in tasks.items() if not task.standardised.exists()}
    run_all(make_labels, left, jobs=jobs, title="labelling")
    typer.echo(f"{len(left)} recordings labelled, {len(tasks) - len(left)} there before: {output}")
