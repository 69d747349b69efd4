"""``saiseld label``: official label JSON from 32-channel recordings and their events."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saiseld.cli.options import Jobs, OnCluster, workers


def label(
    audio: Annotated[Path, typer.Option(help="32-channel recording, or a folder of them.")],
    events: Annotated[
        Path, typer.Option(help="STARSS23 CSV of the recording, or a folder of <recording>.csv.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the labels.")],
    jobs: Jobs = 1,
    cluster: OnCluster = None,
) -> None:
    """Make energy-mask labels (<recording>_raw.json, <recording>_std.json) like those of STAIRS26.

    Recordings that have labels are left alone, so a stopped command continues.

        saiseld label --audio eigen/ --events metadata/ -o labels
    """
    from saiseld.labels.make import label_recordings
    from saiseld.runtime.text import counted

    with workers(jobs, cluster) as at_work:
        made = label_recordings(audio, events, output, jobs=at_work)
    labelled = sum(made.values())
    typer.echo(
        f"{counted(labelled, 'recording')} labelled, {len(made) - labelled} there before: {output}"
    )
