"""``saiseld responses``: responses of simulated rooms, to mix training sounds with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def responses(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the rooms; a stopped run continues.")
    ],
    rooms: Annotated[int, typer.Option(min=1, max=1000, help="Rooms for training.")] = 150,
    valid_rooms: Annotated[int, typer.Option(min=1, max=1000, help="Rooms for selection.")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same rooms.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Rooms that are simulated at a time.")] = 1,
) -> None:
    """Simulate room responses of four capsules to standing and walking sources, for `train seld`.

    Finished rooms are left alone, so a stopped command continues.

        saiseld responses -o responses --rooms 150
    """
    from saiseld.simulation.rooms.responses import write_responses

    made, found = write_responses(
        output, train=rooms, valid=valid_rooms, seed=seed, jobs=jobs, title="room responses"
    )
    typer.echo(f"{made} rooms made, {found} there before: {output}")
