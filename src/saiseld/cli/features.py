"""``saiseld features``: recordings to acoustic images."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from saiseld.cli.options import (
    Array,
    Channels,
    Device,
    Jobs,
    OnCluster,
    Recordings,
    Results,
    Weights,
    layout_of,
    workers,
)


def features(
    recordings: Recordings,
    output: Results,
    channels: Channels = "auto",
    array: Array = None,
    weights: Weights = None,
    device: Device = "auto",
    width: Annotated[
        Literal["float16", "float32"], typer.Option(help="Precision of the stored acoustic images.")
    ] = "float16",
    symmetry: Annotated[
        str,
        typer.Option(
            help="Symmetry of the array to apply to the scene: half_turn, mirror_45, mirror_-45."
        ),
    ] = "identity",
    jobs: Jobs = 1,
    cluster: OnCluster = None,
) -> None:
    """Turn recordings into acoustic images, one features file each; finished ones are kept.

    saiseld features STAIRS26/eigen_dev -o features --jobs 2
    """
    from saiseld.pipeline.features import features_of_recordings

    with workers(jobs, cluster) as at_work:
        features_of_recordings(
            recordings,
            output,
            kind=layout_of(channels, array),
            weights=weights,
            device=device,
            symmetry=symmetry,
            width=width,
            jobs=at_work,
        )
