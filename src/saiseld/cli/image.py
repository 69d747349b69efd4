"""``saiseld image``: the main job, recordings to masks, candidates and an overlay video."""

from __future__ import annotations

from typing import Annotated

import typer

from saiseld.cli.options import Jobs, Recordings, Results, Video, Weights


def image(
    recordings: Recordings,
    output: Results,
    video: Video = None,
    weights: Weights = None,
    system: Annotated[
        str | None, typer.Option(help="What is kept and emitted, e.g. TASK3B_1, 'Sparse peaks'.")
    ] = None,
    overlay: Annotated[bool, typer.Option(help="Write the overlay video.")] = True,
    jobs: Jobs = 1,
) -> None:
    """Paint who sounds where: masks JSON, candidate table and overlay video of each recording.

    Recordings whose masks are already there are left alone: the same command goes on where it was
    stopped.
    """
    from saiseld.cli.printing import print_imaged
    from saiseld.decision.systems import system_named
    from saiseld.pipeline.image import image_recordings

    image_recordings(
        recordings,
        output,
        video=video,
        weights=weights,
        system=None if system is None else system_named(system),
        overlay=overlay,
        jobs=jobs,
        on_done=print_imaged,
    )
