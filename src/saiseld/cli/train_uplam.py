"""``saiseld train uplam``: the acoustic front end, from simulated covariances."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saiseld.cli.options import Device, Steps
from saiseld.runtime.devices import device_of


def train_uplam(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the run; a stopped run continues.")
    ],
    lam_steps: Annotated[int, typer.Option(min=0, help="Training steps of LAM.")] = 400,
    uplam_steps: Annotated[
        int, typer.Option(min=0, help="Training steps of the upsampler.")
    ] = 1200,
    steps: Steps = None,
    batch: Annotated[int, typer.Option(min=1, help="Frames in a step.")] = 32,
    pointing: Annotated[
        float,
        typer.Option(min=0, help="Weight of the loss on source directions; 0 is self-supervised."),
    ] = 0.1,
    seed: Annotated[int, typer.Option(help="Seed of weights and covariances.")] = 0,
    rooms: Annotated[
        int,
        typer.Option(min=1, help="Rooms, unseen in training, in which directions are measured."),
    ] = 60,
    workers: Annotated[int, typer.Option(min=0, help="Processes that draw covariances.")] = 1,
    device: Device = "auto",
) -> None:
    """Train LAM and UpLAM on covariances drawn on the fly, and measure their directions.

    Writes uplam.safetensors, lam.safetensors, loss.png and directions.md.

        saiseld train uplam -o weights
    """
    from rich.console import Console
    from rich.progress import Progress

    from saiseld.runtime.files import output_folder, write_bytes
    from saiseld.training.uplam.directions import table, usual_methods
    from saiseld.training.uplam.run import UpLAMRecipe, loss_figure, save_models, train_uplam

    if steps is not None:
        lam_steps = uplam_steps = steps
    recipe = UpLAMRecipe(lam_steps, uplam_steps, batch, pointing=pointing, seed=seed)
    device_of(device)  # before there is a folder
    output_folder(output)
    with Progress(console=Console(stderr=True)) as line:
        task = line.add_task("", total=None)
        trained = train_uplam(
            recipe,
            output,
            workers=workers,
            device=device,
            progress=lambda done, total, loss: line.update(
                task, completed=done, total=total, description=f"loss {loss:.3f}"
            ),
        )
    with Console(stderr=True).status(f"measuring in {rooms} unseen rooms"):
        directions = table(usual_methods(trained.uplam, trained.lam), rooms, seed)
    save_models(trained, recipe, output)
    write_bytes(output / "loss.png", loss_figure(trained))
    write_bytes(output / "directions.md", f"{directions}\n".encode())
    typer.echo(directions)
