"""``saiseld detect``: recordings to candidate tables, once for every later decision."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saiseld.cli.options import (
    Array,
    Channels,
    Device,
    Fast,
    Half,
    Jobs,
    OnCluster,
    Precise,
    Recordings,
    Results,
    Video,
    Weights,
    layout_of,
    workers,
)


def detect(
    recordings: Recordings,
    output: Results,
    video: Video = None,
    channels: Channels = "auto",
    array: Array = None,
    features: Annotated[
        Path | None,
        typer.Option(help="Folder of features files (`saiseld features`) for the detector."),
    ] = None,
    weights: Weights = None,
    device: Device = "auto",
    half: Half = False,
    precise: Precise = False,
    fast: Fast = None,
    all_maps: Annotated[
        bool,
        typer.Option(
            help="Compute energy map and distance of every candidate, not only of those that "
            "a system can emit."
        ),
    ] = False,
    jobs: Jobs = 1,
    cluster: OnCluster = None,
) -> None:
    """Write all candidates of both branches, one table per recording; finished ones are kept.

    `emit`, `draw`, `calibrate` and `submit` read this table.

    saiseld detect STAIRS26/eigen_dev --video STAIRS26/video_dev -o candidates
    """
    from saiseld.pipeline.detect import detect_recordings
    from saiseld.pipeline.networks import NetworkOptions, is_precise
    from saiseld.runtime.text import counted

    with workers(jobs, cluster) as at_work:
        found = detect_recordings(
            recordings,
            output,
            video=video,
            kind=layout_of(channels, array),
            features=features,
            networks=NetworkOptions(weights, device, half, is_precise(precise, fast)),
            all_maps=all_maps,
            jobs=at_work,
        )
    missing = [
        missing_pictures for missing_pictures in found.values() if missing_pictures is not None
    ]
    without = sum(missing)
    typer.echo(
        f"{counted(len(missing), 'recording')} detected into {output}"
        + (f"; {counted(without, 'frame')} without a picture" if without else "")
    )
