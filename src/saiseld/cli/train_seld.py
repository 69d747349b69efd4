"""``saiseld train seld``: the SELD network, from annotated recordings, simulated scenes or both."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from saiseld.cli.options import Device, RecipeChanges, Run, Steps
from saiseld.runtime.devices import device_of

_log = logging.getLogger(__name__)

Dataset = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="Annotated recordings: STAIRS26, STARSS22/23, TAU-NIGENS 2020/21, or a folder of "
        "recordings and DCASE CSVs.",
    ),
]
ClassMap = Annotated[
    str,
    typer.Option(
        "--class-map",
        help="Meaning of the data's class numbers: starss, tau2020, tau2021, or a TOML file.",
    ),
]
Bank = Annotated[
    Path | None, typer.Option(help="Sound bank to mix scenes from; its training side is used.")
]
Responses = Annotated[
    Path | None,
    typer.Option(help="Room responses of `saiseld responses`: folders train and valid."),
]


def train_seld(
    output: Run,
    dataset: Dataset = None,
    class_map: ClassMap = "starss",
    bank: Bank = None,
    responses: Responses = None,
    encoder: Annotated[
        Path | None,
        typer.Option(
            help="Pretrained encoder, or SELD weights whose encoder is used. Default: that of "
            "--start, or the packaged one."
        ),
    ] = None,
    prior: Annotated[Path | None, typer.Option(hidden=True)] = None,
    recipe: Annotated[
        str,
        typer.Option(help="compact, further, adapt (to continue on recordings) or a TOML file."),
    ] = "compact",
    changes: RecipeChanges = None,
    steps: Steps = None,
    start: Annotated[
        str | None, typer.Option(help="SELD weights to start from, or packaged.")
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(help="Folder for decoded sounds and recordings. Default: <output>/cache."),
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that make windows.")] = 1,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that decode sounds.")] = 1,
    device: Device = "auto",
) -> None:
    """Train the SELD network; weights are selected in held-out rooms with held-out sounds.

    For several GPUs start it with `accelerate launch -m saiseld.cli.main train seld`.

    saiseld train seld --data STARSS23 --recipe adapt --start packaged -o run

    saiseld train seld --bank sounds --responses responses -o run
    """
    from saiseld.pipeline.weights import PACKAGED
    from saiseld.training.seld.data import training_data
    from saiseld.training.seld.recipes import read_recipe
    from saiseld.training.seld.run import Trainer

    device_of(device)  # before sounds are decoded
    if prior is not None:
        _log.warning("--prior is called --encoder now; 0.4 will not know the old name")
    changed = [*(changes or ()), *([] if steps is None else [f"steps={steps}"])]
    chosen = read_recipe(recipe, changed)
    packaged = PACKAGED / "seld.safetensors"
    begin = packaged if start == "packaged" else None if start is None else Path(start)
    data = training_data(
        bank,
        responses,
        encoder or prior or begin or packaged,
        cache or output / "cache",
        dataset=dataset,
        class_map=class_map,
        recipe=chosen,
        jobs=jobs,
    )
    trainer = Trainer(data, chosen, output, start=begin, workers=workers, device=device)
    weights = trainer.run()
    where = "held-out rooms"
    if dataset is not None and chosen.selection_rooms == "dev_test":
        where = "dev-test (optimistic: weights are selected there)"
    if trainer.processes.is_main:
        typer.echo(f"{weights}: best mAP in {where} {trainer.best:.4f} (step {trainer.best_step})")
