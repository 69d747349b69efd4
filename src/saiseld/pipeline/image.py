"""The main job, from file to file: masks, candidate table and overlay video of a recording.

Sound and picture are decoded once: what the imager has heard and seen goes on to the overlay, some
frames at a time. The masks are written last, so a recording that has them is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from saiseld.data.recordings import Recording, find_recordings, open_recording
from saiseld.data.video import find_video
from saiseld.decision.systems import System
from saiseld.formats.annotation import MAX_PREDICTION_BYTES, EnergyMask, write_annotations
from saiseld.formats.candidates import CANDIDATES_SUFFIX, candidate_writer
from saiseld.pipeline.imager import Block, Imager, load_imager
from saiseld.runtime.files import output_folder
from saiseld.runtime.parallel import run_all, tell_share_done
from saiseld.viewing.overlay import overlay_writer


@dataclass(frozen=True, slots=True)
class Imaged:
    """What imaging a recording wrote.

    Parameters
    ----------
    masks_file, size
        The masks in the official format, and its bytes.
    masks, frames, missing_pictures
        How many masks in how many frames, and how many of these had no picture.
    """

    masks_file: Path
    size: int
    masks: int
    frames: int
    missing_pictures: int


def image_recording(
    imager: Imager,
    recording: Recording,
    video: Path | None,
    folder: Path,
    *,
    system: System | None = None,
    overlay: bool = True,
    on_frames: Callable[[int], object] = lambda frames: None,
) -> Imaged | None:
    """Write who sounds where in a recording, unless its masks are there already.

    Writes ``<recording>.candidates.parquet``, ``<recording>.mp4`` and, last, ``<recording>.json``,
    each whole or not at all.

    Parameters
    ----------
    imager
        What images.
    recording
        4 or 32 channels.
    video
        Its video or folder of frames, if there is one.
    folder
        Where the results go.
    system
        What is kept and emitted, as in `Imager.image`.
    overlay
        Whether the overlay video is wanted.
    on_frames
        Called with the number of frames just done.

    Returns
    -------
    What was written; None if the masks were there.
    """
    masks_file = folder / f"{recording.name}.json"
    if masks_file.is_file():
        return None
    with ExitStack() as files:
        append = files.enter_context(
            candidate_writer(folder / f"{recording.name}{CANDIDATES_SUFFIX}")
        )
        movie = overlay_writer(folder / f"{recording.name}.mp4", recording.name)
        draw = files.enter_context(movie) if overlay else None

        def write(block: Block, masks: list[EnergyMask]) -> None:
            append(block.candidates)
            if draw is not None and block.audio is not None:
                draw(block.audio, block.pictures, masks)
            on_frames(block.frames)

        prediction = imager.image(recording, video, system=system, on_block=write)
    # Last, since the masks say that a recording is done.
    size = write_annotations(masks_file, prediction.masks, max_bytes=MAX_PREDICTION_BYTES)
    return Imaged(
        masks_file, size, len(prediction.masks), recording.frames, prediction.missing_pictures
    )


def image_recordings(
    recordings: Iterable[str | Path],
    folder: Path,
    *,
    video: Path | None = None,
    weights: Path | None = None,
    system: System | None = None,
    overlay: bool = True,
    jobs: int = 1,
    on_done: Callable[[str, Imaged | None], object] = lambda name, imaged: None,
) -> dict[str, Imaged | None]:
    """Image recordings and those in folders, ``jobs`` at a time; see `image_recording`.

    Parameters
    ----------
    recordings
        Audio files, or folders searched for them.
    folder
        Where the results go.
    video
        The recording's video, or a folder of several; see `saiseld.data.video.find_video`.
    weights
        A weights folder, or None for the packaged ones.
    system, overlay
        As in `image_recording`.
    jobs
        Recordings at a time.
    on_done
        Called with a recording's name and result as soon as it is done.

    Raises
    ------
    AudioError, CheckpointError, OutputError
        Before any work begins, for what cannot be read, loaded or written.
    """
    opened = [open_recording(path) for path in find_recordings(recordings)]
    output_folder(folder)
    load_imager(weights)
    tasks = {
        recording.name: (
            recording,
            None if video is None else find_video(video, recording.name),
            folder,
            weights,
            system,
            overlay,
        )
        for recording in opened
    }
    return run_all(_image_task, tasks, jobs=jobs, title="imaging", on_done=on_done)


def _image_task(
    recording: Recording,
    video: Path | None,
    folder: Path,
    weights: Path | None,
    system: System | None,
    overlay: bool,
) -> Imaged | None:
    done = 0

    def tell(frames: int) -> None:
        nonlocal done
        done += frames
        tell_share_done(done / recording.frames)

    return image_recording(
        load_imager(weights),
        recording,
        video,
        folder,
        system=system,
        overlay=overlay,
        on_frames=tell,
    )
