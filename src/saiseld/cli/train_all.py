"""``saiseld train all``: from a corpus to a complete, calibrated system and its scores."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from saiseld.cli.options import Device, Jobs, Steps
from saiseld.cli.train_seld import Bank, ClassMap, Responses


def train_all(
    dataset: Annotated[
        Path,
        typer.Option("--data", help="Dataset of annotated recordings with masks, split by room."),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Folder for the weights; a stopped run continues."),
    ],
    class_map: ClassMap = "starss",
    front_end: Annotated[
        str, typer.Option(help="Front end: packaged, train, or a file of weights.")
    ] = "packaged",
    seld_recipe: Annotated[str, typer.Option(help="Recipe of the SELD network.")] = "adapt",
    seld_start: Annotated[
        str, typer.Option(help="SELD network to start from: packaged, none, or a file of weights.")
    ] = "packaged",
    detector_recipe: Annotated[str, typer.Option(help="Recipe of the detector.")] = "compact",
    detector_start: Annotated[
        Path | None, typer.Option(help="Weights for the detector to start from.")
    ] = None,
    recogniser: Annotated[
        str,
        typer.Option(help="What names sources on beams: packaged, none, or a file of weights."),
    ] = "packaged",
    bank: Bank = None,
    responses: Responses = None,
    encoder: Annotated[
        Path | None, typer.Option(help="Pretrained encoder. Default: that of --seld-start.")
    ] = None,
    audio_only: Annotated[
        bool, typer.Option("--audio-only", help="Train no detector, even if there is video.")
    ] = False,
    steps: Steps = None,
    jobs: Jobs = 1,
    device: Device = "auto",
) -> None:
    """Train and calibrate all networks on a corpus, and score the system in held-out rooms.

    Front end, features, detector, SELD network, fusion, matchability, viewing threshold, graphs:
    each is done once, and a stopped run goes on. Without pictures there is an audio branch alone.

        saiseld train all --data STAIRS26 -o weights
    """
    from saiseld.pipeline.weights import PACKAGED, find_weights
    from saiseld.runtime.devices import device_of
    from saiseld.training.all.page import image_command, write_page
    from saiseld.training.all.plan import Choices, read_plan
    from saiseld.training.all.stages import run_command, run_stages

    device_of(device)
    named = {"packaged": find_weights().recogniser, "none": None}
    chosen = Choices(
        front_end=str(PACKAGED / "uplam.safetensors") if front_end == "packaged" else front_end,
        seld_recipe=seld_recipe,
        detector_recipe=detector_recipe,
        seld_start=None if seld_start == "none" else seld_start,
        detector_start=detector_start,
        recogniser=named[recogniser] if recogniser in named else Path(recogniser),
        bank=bank,
        responses=responses,
        encoder=encoder,
        class_map=class_map,
        audio_only=audio_only,
        steps=steps,
        device=device,
        jobs=jobs,
    )
    plan = read_plan(dataset, output, chosen)
    if not plan.has_detector:
        typer.echo("no detector: the audio branch alone", err=True)
    records = run_stages(plan.stages, output, partial(run_command, run_saiseld))
    typer.echo(f"{write_page(output, plan, records, dataset)}: scores by system and class")
    typer.echo(image_command(output, plan))


def run_saiseld(arguments: Sequence[str]) -> None:
    """Run a command line in this process."""
    from saiseld.cli.main import main

    sys.argv = ["saiseld", *arguments]
    main()
