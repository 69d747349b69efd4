"""``saiseld train recogniser``: what names sources on beams towards them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saiseld.cli.options import Run


def train_recogniser(
    output: Run,
    bank: Annotated[
        Path, typer.Option(help="Sound bank to mix scenes from; its training side is used.")
    ],
    responses: Annotated[
        Path, typer.Option(help="Room responses of `saiseld responses`: folders train and valid.")
    ],
    scenes: Annotated[int, typer.Option(min=8, help="Number of scenes to learn from.")] = 2400,
    cache: Annotated[
        Path | None, typer.Option(help="Folder for decoded sounds. Default: <output>/cache.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that decode sounds.")] = 1,
) -> None:
    """Train the recogniser; beside the SELD network's weights it decides the classes of sources.

    It uses the packaged encoder. Beams are cached, so a stopped command continues.

    saiseld train recogniser --bank sounds --responses responses -o run
    """
    from saiseld.pipeline.weights import PACKAGED
    from saiseld.training.seld.data import training_data
    from saiseld.training.seld.recognition import read_scenes_recipe, train

    encoder = PACKAGED / "seld.safetensors"
    cache = cache or output / "cache"
    recipe = read_scenes_recipe()
    data = training_data(bank, responses, encoder, cache, recipe=recipe, jobs=jobs)
    path, accuracy = train(data, output, scenes)
    typer.echo(f"{path}: class right in {accuracy:.1%} of beams on held-out sources")
