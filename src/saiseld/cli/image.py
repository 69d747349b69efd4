"""``saiseld image``: the main job, recordings to masks, events, candidates and overlay video."""

from __future__ import annotations

from typing import Annotated

import typer

from saiseld.cli.options import (
    Array,
    Channels,
    Device,
    ExchangeFormats,
    Fast,
    Half,
    Jobs,
    OnCluster,
    Precise,
    Recordings,
    Results,
    SystemName,
    Threshold,
    Video,
    Weights,
    layout_of,
    workers,
)


def image(
    recordings: Recordings,
    output: Results,
    video: Video = None,
    channels: Channels = "auto",
    array: Array = None,
    weights: Weights = None,
    device: Device = "auto",
    half: Half = False,
    precise: Precise = False,
    fast: Fast = None,
    system: SystemName = None,
    threshold: Threshold = None,
    overlay: Annotated[bool, typer.Option(help="Write the overlay video.")] = True,
    starss: Annotated[
        bool,
        typer.Option("--starss", help="Also write the events frame by frame, as a STARSS23 CSV."),
    ] = False,
    write: ExchangeFormats = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Replace results that were made from other inputs, weights or options."
        ),
    ] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Continue with the other recordings if one fails.")
    ] = False,
    jobs: Jobs = 1,
    cluster: OnCluster = None,
) -> None:
    """Paint who sounds where, and list it: masks, candidates, events, overlay video and page.

    Finished recordings are left alone, so a stopped command continues. Another --threshold,
    --overlay, --starss or --write is drawn from the results without imaging again. Masks and
    candidates hold every detection; events, overlay and page show those above the threshold.

        saiseld image meeting.wav --video meeting.mp4 -o out

        saiseld image recordings --video videos -o out --precise
    """
    from functools import partial

    from saiseld.cli.printing import print_imaged
    from saiseld.decision.systems import system_named
    from saiseld.formats.exchange import exchange_formats_named
    from saiseld.pipeline.defaults import viewing_threshold
    from saiseld.pipeline.image import Failed, ImageOptions, image_recordings
    from saiseld.pipeline.networks import NetworkOptions, is_precise

    options = ImageOptions(
        system=None if system is None else system_named(system),
        threshold=viewing_threshold(weights) if threshold is None else threshold,
        overlay=overlay,
        frame_events=starss,
        force=force,
        formats=() if write is None else exchange_formats_named(write),
    )
    with workers(jobs, cluster) as at_work:
        outcomes = image_recordings(
            recordings,
            output,
            video=video,
            kind=layout_of(channels, array),
            networks=NetworkOptions(weights, device, half, is_precise(precise, fast)),
            options=options,
            keep_going=keep_going,
            jobs=at_work,
            on_done=partial(print_imaged, output),
        )
    failed = [name for name, outcome in outcomes.items() if isinstance(outcome, Failed)]
    if failed:
        typer.echo(f"{len(failed)} of {len(outcomes)} failed: {', '.join(failed)}", err=True)
        raise typer.Exit(1)
    typer.echo(f"Look at {output / 'index.html'}", err=True)
