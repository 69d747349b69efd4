"""Recordings to candidate tables, once for every later decision; finished ones are kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from saiseld.data.recordings import Recording, find_recordings, open_recording
from saiseld.data.video import find_video, open_video
from saiseld.decision.selection import emittable
from saiseld.formats.candidates import (
    CANDIDATES_SUFFIX,
    Candidates,
    candidate_writer,
    joined_candidates,
)
from saiseld.formats.features import FEATURES_SUFFIX, Features
from saiseld.pipeline.imager import Imager, load_imager
from saiseld.runtime.devices import DeviceName
from saiseld.runtime.files import output_folder
from saiseld.runtime.parallel import run_all


@dataclass(frozen=True, slots=True)
class Detected:
    """What detecting in a recording wrote: the table, and how many frames had no picture."""

    table: Path
    missing_pictures: int


def detect(
    recording: str | Path,
    video: str | Path | None = None,
    *,
    weights: str | Path | None = None,
    device: DeviceName = "auto",
) -> Candidates:
    """Return every detection in a recording, to decide on with `saiseld.pipeline.emit.emit`.

    Parameters
    ----------
    recording
        4 or 32 channels.
    video
        Its video or folder of frames, if there is one.
    weights
        A weights folder, or None for the packaged ones.
    device
        ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Examples
    --------
    >>> table = detect("meeting.wav", "meeting.mp4")  # doctest: +SKIP
    >>> len(table), table.score.max()  # doctest: +SKIP
    (8712, 0.93)
    """
    opened = open_recording(recording)
    pictures = iter(()) if video is None else open_video(video)
    blocks = list(Imager(weights, device=device).blocks(opened, pictures))
    return joined_candidates([block.candidates for block in blocks])


def detect_recording(
    imager: Imager,
    recording: Recording,
    video: Path | None,
    folder: Path,
    *,
    features: Path | None = None,
    all_maps: bool = False,
) -> Detected | None:
    """Write ``<recording>.candidates.parquet``, unless it is there already.

    Parameters
    ----------
    imager
        What detects.
    recording
        4 or 32 channels.
    video
        Its video or folder of frames, if there is one.
    folder
        Where the table goes.
    features
        Its features file, read instead of the sound.
    all_maps
        Whether every detection gets an energy map and a distance, not only those that some rule
        can emit.

    Returns
    -------
    What was written; None if the table was there.

    Raises
    ------
    DataError
        If the features are not this front end's images of this recording.
    """
    table = folder / f"{recording.name}{CANDIDATES_SUFFIX}"
    if table.is_file():
        return None
    images = None
    if features is not None:
        heard = Features(features)
        heard.check_made_by(imager.front_end.identity, recording.frames)
        images = heard.images()
    pictures = iter(()) if video is None else open_video(video)
    keep = None if all_maps else emittable
    missing = 0
    with candidate_writer(table) as append:
        for block in imager.blocks(recording, pictures, images, keep=keep):
            append(block.candidates)
            missing += block.missing_pictures
    return Detected(table, missing)


def detect_recordings(
    recordings: Iterable[str | Path],
    folder: Path,
    *,
    video: Path | None = None,
    features: Path | None = None,
    weights: Path | None = None,
    device: DeviceName = "auto",
    half: bool = False,
    all_maps: bool = False,
    jobs: int = 1,
) -> dict[str, Detected | None]:
    """Detect in recordings and those in folders, ``jobs`` at a time; see `detect_recording`.

    Parameters
    ----------
    recordings
        Audio files, or folders searched for them.
    folder
        Where the tables go.
    video
        The recording's video, or a folder of several; see `saiseld.data.video.find_video`.
    features
        A folder of features files, read instead of the sound.
    weights
        A weights folder, or None for the packaged ones.
    device, half
        As in `saiseld.pipeline.imager.Imager`.
    all_maps
        As in `detect_recording`.
    jobs
        Recordings at a time.
    """
    opened = [open_recording(path) for path in find_recordings(recordings)]
    output_folder(folder)
    load_imager(weights, device, half)  # A mistake in the weights is told before any work begins.
    tasks = {
        recording.name: (
            (weights, device, half),
            recording,
            None if video is None else find_video(video, recording.name),
            folder,
            None if features is None else features / f"{recording.name}{FEATURES_SUFFIX}",
            all_maps,
        )
        for recording in opened
    }
    return run_all(_detect_task, tasks, jobs=jobs, title="detecting")


def _detect_task(
    imager_of: tuple[Path | None, DeviceName, bool],
    recording: Recording,
    video: Path | None,
    folder: Path,
    features: Path | None,
    all_maps: bool,
) -> Detected | None:
    imager = load_imager(*imager_of)
    return detect_recording(imager, recording, video, folder, features=features, all_maps=all_maps)
