"""``saiseld detect``: recordings to candidate tables, once for every later decision."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from saiseld.pipeline.imager import Imager


def detect(
    recordings: Annotated[
        list[Path], typer.Argument(help="Recordings (WAV, FLAC; 4 or 32 channels) or folders.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the tables.")],
    video: Annotated[
        Path | None,
        typer.Option(help="Video or folder of frames; or a folder of <recording>.mp4."),
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(help="Folder of features files (`saiseld features`), instead of the sound."),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Weights folder; the packaged ones without it.")
    ] = None,
    all_maps: Annotated[
        bool,
        typer.Option(help="Energy map and distance of every candidate, not of emittable ones."),
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Recordings at a time.")] = 1,
) -> None:
    """Keep every detection of score 0.01 or more, one table a recording; finished ones are kept."""
    from saiseld.data.recordings import find_recordings
    from saiseld.data.video import find_video
    from saiseld.formats.candidates import CANDIDATES_SUFFIX
    from saiseld.runtime.files import output_folder
    from saiseld.runtime.parallel import run_all

    output_folder(output)
    _imager(weights)  # A mistake in the weights is told before any work begins.
    tasks = {}
    for path in find_recordings(recordings):
        target = output / f"{path.stem}{CANDIDATES_SUFFIX}"
        own_video = None if video is None else find_video(video, path.stem)
        if not target.is_file():
            tasks[path.stem] = (path, own_video, features, weights, all_maps, target)
    missing = run_all(_detect_one, tasks, jobs=jobs, title="detecting")
    without = sum(missing.values())
    typer.echo(
        f"{len(tasks)} recordings detected into {output}"
        + (f"; {without} frames without a picture" if without else "")
    )


@cache
def _imager(weights: Path | None) -> Imager:
    from saiseld.pipeline.imager import Imager

    return Imager(weights)


def _detect_one(
    path: Path,
    video: Path | None,
    features: Path | None,
    weights: Path | None,
    all_maps: bool,
    target: Path,
) -> int:
    """Write one table and return how many frames had no picture."""
    from saiseld.data.recordings import open_recording
    from saiseld.data.video import open_video
    from saiseld.decision.selection import emittable
    from saiseld.formats.candidates import candidate_writer
    from saiseld.formats.features import FEATURES_SUFFIX, Features

    recording = open_recording(path)
    pictures = iter(()) if video is None else open_video(video)
    images = None
    if features is not None:
        imaged = Features(features / f"{recording.name}{FEATURES_SUFFIX}")
        imaged.check_made_by(_imager(weights).front_end.identity, recording.frames)
        images = imaged.images()
    missing = 0
    with candidate_writer(target) as append:
        keep = None if all_maps else emittable
        for block in _imager(weights).blocks(recording, pictures, images, keep=keep):
            append(block.candidates)
            missing += block.missing_pictures
    return missing
