"""``saiseld train detector``: a detector from a labelled dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saiseld.cli.options import Device, RecipeChanges, Steps
from saiseld.runtime.devices import device_of


def train_detector(
    data: Annotated[Path, typer.Option(help="Dataset in the layout of STAIRS26, with labels.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the run; a stopped run continues.")
    ],
    recipe: Annotated[
        str, typer.Option(help="compact, paper, paper_public, paper_scratch or a TOML file.")
    ] = "compact",
    changes: RecipeChanges = None,
    steps: Steps = None,
    features: Annotated[
        Path | None,
        typer.Option(help="Folder of features files. Default: <data>/features."),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            help="Weights to start from: of a detector, or torchvision's COCO Mask R-CNN."
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(help="Folder for decoded labels and video. Default: <output>/cache."),
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read frames.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Recordings that are decoded at a time.")] = 1,
    device: Device = "auto",
) -> None:
    """Train a detector; the best epoch is selected in held-out rooms of dev-train.

    For several GPUs or machines start it with `accelerate launch`.

        saiseld train detector --data sim26 --features features -o run
    """
    from saiseld.training.detector.data import training_data
    from saiseld.training.detector.engine import Trainer
    from saiseld.training.detector.recipes import read_recipe, shortened

    device_of(device)  # before frames are decoded
    chosen = read_recipe(recipe, changes or ())
    if steps is not None:
        chosen = shortened(chosen, steps)
    frames = training_data(
        data,
        features or data / "features",
        cache or output / "cache",
        recipe=chosen,
        jobs=jobs,
    )
    trainer = Trainer(frames, chosen, output, start=start, workers=workers, device=device)
    weights = trainer.run()
    typer.echo(f"{weights}: best macro mAP in the selection rooms {trainer.best:.4f}")
    if chosen.selection_rooms == "dev_test":
        typer.echo("chosen on dev-test: its score there is optimistic")
