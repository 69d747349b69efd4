"""Recordings to candidate tables, once for every later decision.

A table that was made from the same sound, video and weights is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from saiseld.data.recordings import Recording, find_recordings, open_recording
from saiseld.data.video import find_video
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
from saiseld.pipeline.weights import Weights, digests
from saiseld.runtime.cache import content_digest
from saiseld.runtime.devices import Device, DeviceName
from saiseld.runtime.errors import OutputError
from saiseld.runtime.files import output_folder
from saiseld.runtime.parallel import Workers, devices_of, run_all


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
    imager = Imager(weights, device=device)
    blocks = imager.blocks(open_recording(recording), imager.pictures(video))
    return joined_candidates([block.candidates for block in blocks])


def detect_recording(
    imager: Imager,
    recording: Recording,
    video: Path | None,
    folder: Path,
    *,
    features: Path | None = None,
    all_maps: bool = False,
) -> int | None:
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
    How many frames had no picture; None if the table was there.

    Raises
    ------
    DataError
        If the features are not this front end's images of this recording.
    OutputError
        If there is a table that was not made by detecting.
    """
    table = _target(folder, recording)
    made_from = _made_from(imager.weights, recording, video, features, all_maps)
    if _is_made_from(table, made_from):
        return None
    images = None
    if features is not None:
        heard = Features(features)
        heard.check_made_by(imager.front_end.identity, recording.frames, made_from["sound"])
        images = heard.images()
    keep = None if all_maps else emittable
    missing = 0
    with candidate_writer(table) as append:
        for block in imager.blocks(recording, imager.pictures(video), images, keep=keep):
            known = {**block.candidates.provenance, "made_from": made_from}
            append(replace(block.candidates, provenance=known))
            missing += block.missing_pictures
    return missing


def _made_from(
    weights: Weights,
    recording: Recording,
    video: Path | None,
    features: Path | None,
    all_maps: bool,
) -> dict[str, Any]:
    return {
        "sound": content_digest(recording.path),
        "channels": recording.ambisonics or "capsules",
        "video": "" if video is None else content_digest(video),
        "features": {} if features is None else Features(features).provenance,
        "weights": digests(weights, eye_alone=True),
        "all_maps": all_maps,
    }


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
    jobs: Workers = 1,
) -> dict[str, int | None]:
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
        Recordings at a time, or the cluster that they are spread over.

    Returns
    -------
    How many frames of each had no picture, by name; None where the table was there.
    """
    opened = [open_recording(path) for path in find_recordings(recordings)]
    output_folder(folder)
    here, there = devices_of(device, jobs)
    # A mistake in the weights is told before any work begins.
    own_weights = load_imager(weights, here, half).weights
    imager_of = (weights, there, half)
    left: dict[str, tuple[Any, ...]] = {}
    for recording in opened:
        made_from = (
            recording,
            None if video is None else find_video(video, recording.name),
            None if features is None else features / f"{recording.name}{FEATURES_SUFFIX}",
            all_maps,
        )
        if features is not None:  # One that is not there is told before any work begins, too.
            Features(features / f"{recording.name}{FEATURES_SUFFIX}")
        table = _target(folder, recording)
        if not table.is_file() or not _is_made_from(table, _made_from(own_weights, *made_from)):
            left[recording.name] = (imager_of, *made_from)
    made = run_all(_detect_task, left, jobs=jobs, folder=folder, device=there, title="detecting")
    return {recording.name: made.get(recording.name) for recording in opened}


def _target(folder: Path, recording: Recording) -> Path:
    return folder / f"{recording.name}{CANDIDATES_SUFFIX}"


def _detect_task(
    folder: Path,
    imager_of: tuple[Path | None, Device, bool],
    recording: Recording,
    video: Path | None,
    features: Path | None,
    all_maps: bool,
) -> int | None:
    imager = load_imager(*imager_of)
    return detect_recording(imager, recording, video, folder, features=features, all_maps=all_maps)
