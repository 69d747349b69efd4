"""``saiseld train matchability``: learn which detections match the ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from saiseld.cli.options import Jobs, LabelsCache


def train_matchability(
    candidates: Annotated[Path, typer.Argument(help="Folder of candidate tables.")],
    labels: Annotated[Path, typer.Argument(help="Folder with <recording>_std.json below it.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Model to write (.skops).")],
    target: Annotated[
        Literal["soft_iou", "box_iou"],
        typer.Option(
            help="What must reach 0.25 for a match: soft IoU of the emitted mask, or IoU of "
            "the box."
        ),
    ] = "soft_iou",
    pool: Annotated[
        Literal["emittable", "all"],
        typer.Option(
            help="Detections to learn from; all, as in KIST2026, needs tables of detect --all-maps."
        ),
    ] = "emittable",
    kind: Annotated[
        Literal["trees", "linear"],
        typer.Option(help="Trees, as in KIST2026, or a linear model, better for few rooms."),
    ] = "trees",
    temporal: Annotated[
        bool, typer.Option("--temporal", help="Average a detection's matchability over its track.")
    ] = False,
    jobs: Jobs = 1,
    cache: LabelsCache = None,
) -> None:
    """Fit the matchability model and report its scores in held-out rooms.

    saiseld train matchability candidates/ labels/ -o matchability.skops
    """
    from saiseld.cli.printing import print_assessment
    from saiseld.runtime.cache import user_cache
    from saiseld.training.matchability.development import Reading
    from saiseld.training.matchability.run import train_matchability as train

    trained = train(
        candidates,
        labels,
        output,
        cache or user_cache("drawn-labels"),
        reading=Reading(pool, target),
        kind=kind,
        temporal=temporal,
        jobs=jobs,
    )
    print_assessment(trained.assessment)
    typer.echo(
        f"{trained.matching} of {trained.candidates} candidates match, in "
        f"{len(trained.model.training.rooms)} rooms: {output}, {trained.report}"
    )
