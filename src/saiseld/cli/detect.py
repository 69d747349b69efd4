"""``saiseld detect``: recordings to candidate tables, once for every later decision."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saiseld.cli.options import (
    Device,
    Half,
    Jobs,
    OnCluster,
    Recordings,
    Results,
    Video,
    Weights,
    workers,
)


def detect(
    recordings: Recordings,
    output: Results,
    video: Video = None,
    features: Annotated[
        Path | None,
        typer.Option(help="Folder of features files (`saiseld features`), instead of the sound."),
    ] = None,
    weights: Weights = None,
    device: Device = "auto",
    half: Half = False,
    all_maps: Annotated[
        bool,
        typer.Option(help="Energy map and distance of every candidate, not of emittable ones."),
    ] = False,
    jobs: Jobs = 1,
    cluster: OnCluster = None,
) -> None:
    """Keep every detection of score 0.01 or more, one table a recording; finished ones are kept.

    saiseld detect STAIRS26/eigen_dev --video STAIRS26/video_dev -o candidates
    """
    from saiseld.pipeline.detect import detect_recordings

    with workers(jobs, cluster) as at_work:
        found = detect_recordings(
            recordings,
            output,
            video=video,
            features=features,
            weights=weights,
            device=device,
            half=half,
            all_maps=all_maps,
            jobs=at_work,
        )
    made = [missing_pictures for missing_pictures in found.values() if missing_pictures is not None]
    without = sum(made)
    typer.echo(
        f"{len(made)} recordings detected into {output}"
        + (f"; {without} frames without a picture" if without else "")
    )
