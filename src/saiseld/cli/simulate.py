"""``saiseld simulate``: recordings of simulated rooms in the layout of STAIRS26."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saiseld.cli.options import Jobs, OnCluster, RecipeChanges, workers


def simulate(
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Folder for the dataset; a stopped run continues."),
    ],
    recipe: Annotated[
        str, typer.Option(help="sim26, sim26_more, sim26_real, tiny, or a TOML file.")
    ] = "sim26",
    changes: RecipeChanges = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same files.")] = 0,
    sounds: Annotated[
        Path | None,
        typer.Option(
            help="Bank of real sounds, a folder for each class. Default: synthetic sounds."
        ),
    ] = None,
    panoramas: Annotated[
        Path | None, typer.Option(help="Equirectangular pictures of rooms. Default: drawn rooms.")
    ] = None,
    timelines: Annotated[
        Path | None,
        typer.Option(help="Events of real recordings to replay (CSVs like those of STARSS22)."),
    ] = None,
    jobs: Jobs = 1,
    cluster: OnCluster = None,
) -> None:
    """Simulate 32-channel recordings, panoramic video, events and labels.

    Finished recordings are left alone, so a stopped command continues.

        saiseld simulate -o sim26 --recipe sim26 --seed 0 --jobs 2
    """
    import logging

    from saiseld.runtime.text import counted
    from saiseld.simulation.dataset import simulate_dataset
    from saiseld.simulation.pictures.picture import read_panoramas
    from saiseld.simulation.recipes import read_recipe
    from saiseld.simulation.sounds.bank import read_bank
    from saiseld.simulation.timelines import read_timelines

    chosen = read_recipe(recipe, changes or ())
    replayed = read_timelines(timelines) if timelines else None
    sounding = (
        replayed.classes()
        if replayed
        else [class_id for class_id, weight in enumerate(chosen.event_weights) if weight > 0]
    )
    bank = read_bank(sounds, classes=sounding) if sounds else None
    for reason in bank.skipped if bank else ():
        logging.getLogger(__name__).warning("skipped: %s", reason)
    rooms = read_panoramas(panoramas) if panoramas else None
    with workers(jobs, cluster) as at_work:
        made, found = simulate_dataset(
            output, chosen, seed, bank=bank, panoramas=rooms, timelines=replayed, jobs=at_work
        )
    typer.echo(f"{counted(made, 'recording')} made, {found} there before: {output}")
