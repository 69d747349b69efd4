"""``saiseld doctor``: check that a recording or a dataset is what it should be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saiseld.cli.options import Array, Channels, layout_of


def doctor(
    path: Annotated[
        Path,
        typer.Argument(help="A recording (WAV, FLAC, ...) or a dataset in the layout of STAIRS26."),
    ],
    video: Annotated[
        Path | None, typer.Option(help="The recording's video or folder of frames.")
    ] = None,
    channels: Channels = "auto",
    array: Array = None,
    jobs: Annotated[
        int, typer.Option(min=1, help="Recordings of a dataset that are checked at a time.")
    ] = 1,
) -> None:
    """Check a recording or a dataset and say what to do; exit code 1 if something is wrong.

    saiseld doctor meeting.wav --video meeting.mp4
    """
    from rich.console import Console

    from saiseld.checks.recording import check_recording
    from saiseld.runtime.text import counted

    if path.is_dir():
        from saiseld.checks.dataset import check_dataset

        findings = check_dataset(path, jobs=jobs)
    else:
        findings = check_recording(path, video, layout_of(channels, array))
    console = Console(highlight=False)
    colours = {"error": "bold red", "warning": "yellow", "note": "dim"}
    for finding in findings:
        console.print(f"{finding.severity}:", style=colours[finding.severity], end=" ")
        console.print(f"{finding.path}: {finding.what}", markup=False, soft_wrap=True)
        if finding.advice:
            console.print(f"  → {finding.advice}", style="dim", markup=False, soft_wrap=True)
    errors = sum(finding.severity == "error" for finding in findings)
    warnings = sum(finding.severity == "warning" for finding in findings)
    summary = f"{path}: {counted(errors, 'error')}, {counted(warnings, 'warning')}"
    console.print(summary, markup=False, soft_wrap=True)
    if errors:
        raise typer.Exit(1)
