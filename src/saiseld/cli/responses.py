"""``saiseld responses``: responses of simulated rooms, to mix training sounds with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def responses(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder: new or begun.")],
    rooms: Annotated[int, typer.Option(min=1, max=1000, help="Rooms to train in.")] = 150,
    valid_rooms: Annotated[int, typer.Option(min=1, max=1000, help="Rooms to select in.")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same rooms.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Rooms at a time.")] = 1,
) -> None:
    """Make room responses for the hearing network: standing and walking sources, four capsules.

    Rooms that are finished are left as they are: after a stop, the same command goes on.

        saiseld responses -o responses --rooms 150
    """
    from saiseld.simulation.rooms.responses import write_responses

    made, found = write_responses(
        output, train=rooms, valid=valid_rooms, seed=seed, jobs=jobs, title="room responses"
    )
    typer.echo(f"{made} rooms made, {found} there before: {output}")
