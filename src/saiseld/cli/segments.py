"""``saiseld segments``: a WAV for each sound event, and a page to confirm their classes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saiseld.cli.options import Array, Channels, layout_of


def segments(
    folder: Annotated[Path, typer.Argument(help="Folder of results of `saiseld image`.")],
    recordings: Annotated[
        list[Path] | None,
        typer.Argument(help="The recordings, if they were moved after imaging."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder for the segments. Default: segments/ in the folder of results.",
        ),
    ] = None,
    channels: Channels = "auto",
    array: Array = None,
) -> None:
    """Cut out each sound event by a beam that follows it, to listen and to correct the labels.

    The page of the segments saves labels as DCASE CSV. Existing segments are left alone.

        saiseld segments out
    """
    from saiseld.pipeline.segments import Segments, write_segments
    from saiseld.runtime.text import counted

    def report(name: str, made: Segments) -> None:
        there = "" if made.is_new else ", there before"
        typer.echo(f"{name}: {counted(made.count, 'segment')}{there}", err=True)

    page = write_segments(
        folder, output, recordings or (), layout_of(channels, array), on_done=report
    )
    typer.echo(f"Look at {page}")
