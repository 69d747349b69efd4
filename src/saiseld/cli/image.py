"""``saiseld image``: the main job, recordings to masks, candidates and an overlay video."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from saiseld.data.recordings import Recording
    from saiseld.decision.systems import System
    from saiseld.pipeline.imager import Imager


def image(
    recordings: Annotated[
        list[Path], typer.Argument(help="Recordings (WAV, FLAC; 4 or 32 channels) or folders.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")],
    video: Annotated[
        Path | None,
        typer.Option(help="Video or folder of frames; or a folder of <recording>.mp4."),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Weights folder; the packaged ones without it.")
    ] = None,
    system: Annotated[
        str | None, typer.Option(help="What is kept and emitted, e.g. TASK3B_1, 'Sparse peaks'.")
    ] = None,
    overlay: Annotated[bool, typer.Option(help="Write the overlay video.")] = True,
) -> None:
    """Paint who sounds where: masks JSON, candidate table and overlay video of each recording.

    Recordings whose masks are already there are left alone: the same command goes on where it was
    stopped.
    """
    from rich.console import Console

    from saiseld.data.recordings import find_recordings, open_recording
    from saiseld.data.video import find_video
    from saiseld.decision.systems import system_named
    from saiseld.pipeline.imager import Imager
    from saiseld.runtime.files import output_folder

    chosen = None if system is None else system_named(system)
    opened = [open_recording(path) for path in find_recordings(recordings)]
    output_folder(output)
    imager = Imager(weights)
    console = Console(stderr=True)
    for recording in opened:
        if (output / f"{recording.name}.json").is_file():
            console.print(f"{recording.name}: already imaged", markup=False)
            continue
        own_video = None if video is None else find_video(video, recording.name)
        _image_one(imager, recording, own_video, output, chosen, overlay, console)


def _image_one(
    imager: Imager,
    recording: Recording,
    video: Path | None,
    output: Path,
    system: System | None,
    overlay: bool,
    console: Console,
) -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Left

    from saiseld.data.video import open_video
    from saiseld.formats.annotation import MAX_PREDICTION_BYTES, write_annotations
    from saiseld.formats.candidates import CANDIDATES_SUFFIX
    from saiseld.viewing.overlay import write_overlay

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Left())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(f"{recording.name}: imaging", total=recording.frames)
        prediction = imager.image(
            recording,
            video,
            system=system,
            candidates=output / f"{recording.name}{CANDIDATES_SUFFIX}",
            on_frames=lambda frames: progress.advance(task, frames),
        )
        if overlay:
            task = progress.add_task(f"{recording.name}: drawing", total=recording.frames)
            write_overlay(
                output / f"{recording.name}.mp4",
                recording,
                prediction.masks,
                iter(()) if video is None else open_video(video),
                on_frame=lambda: progress.advance(task),
            )
    # Last, since the masks say that a recording is done.
    masks = output / f"{recording.name}.json"
    size = write_annotations(masks, prediction.masks, max_bytes=MAX_PREDICTION_BYTES)
    told = f"{masks}: {len(prediction.masks)} masks in {recording.frames} frames, {size:,} bytes"
    if prediction.missing_pictures:
        told += f"; {prediction.missing_pictures} frames without a picture"
    console.print(told, markup=False, highlight=False, soft_wrap=True)
