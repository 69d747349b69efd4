"""Recordings to candidate tables, once for every later decision.

A table that was made from the same sound, video and weights is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from saiseld.data.recordings import Recording, find_recordings, open_recording
from saiseld.data.video import find_video, open_video
from saiseld.decision.selection import emittable
from saiseld.detector.detect import IMAGER
from saiseld.formats.candidates import (
    CANDIDATES_SUFFIX,
    Candidates,
    candidate_writer,
    joined_candidates,
    read_provenance,
)
from saiseld.formats.features import FEATURES_SUFFIX, Features
from saiseld.pipeline.imager import Imager, load_imager
from saiseld.pipeline.weights import digests
from saiseld.runtime.cache import content_digest
from saiseld.runtime.devices import DeviceName
from saiseld.runtime.errors import OutputError
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
    """Write ``<recording>.candidates.parquet``, unless it is there, made from just this.

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
    OutputError
        If there is a table that was not made by detecting.
    """
    table = folder / f"{recording.name}{CANDIDATES_SUFFIX}"
    sound = content_digest(recording.path)
    heard = None if features is None else Features(features)
    made_from = {
        "sound": sound,
        "channels": recording.ambisonics or "capsules",
        "video": "" if video is None else content_digest(video),
        "features": {} if heard is None else heard.provenance,
        "weights": digests(imager.weights, eye_alone=True),
        "all_maps": all_maps,
    }
    if _is_made_from(table, made_from):
        return None
    images = None
    if heard is not None:
        heard.check_made_by(imager.front_end.identity, recording.frames, sound)
        images = heard.images()
    pictures = iter(()) if video is None else open_video(video)
    keep = None if all_maps else emittable
    missing = 0
    with candidate_writer(table) as append:
        for block in imager.blocks(recording, pictures, images, keep=keep):
            known = {**block.candidates.provenance, "made_from": made_from}
            append(replace(block.candidates, provenance=known))
            missing += block.missing_pictures
    return Detected(table, missing)


def _is_made_from(table: Path, made_from: dict[str, Any]) -> bool:
    """Return whether there is a table of just this; refuse to replace what others made."""
    if not table.is_file():
        return False
    known = read_provenance(table)
    if known.get("imager") != IMAGER:
        raise OutputError(
            table,
            expected="no table, or one of `saiseld detect`",
            found="one that something else made",
            advice="Choose another folder",
        )
    return known.get("made_from") == made_from


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
