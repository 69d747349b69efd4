"""Recordings to candidate tables, once for every later decision.

A table that was made from the same sound, video and weights is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saiseld.arrays.description import MicrophoneArray
from saiseld.data.recordings import Recording, find_recordings
from saiseld.data.video import find_video
from saiseld.decision.selection import emittable
from saiseld.formats.candidates import (
    CANDIDATES_SUFFIX,
    Candidates,
    candidate_writer,
    read_candidates,
    read_provenance,
    write_candidates,
)
from saiseld.formats.features import FEATURES_SUFFIX, Features
from saiseld.pipeline.imager import Imager, load_imager
from saiseld.pipeline.networks import NetworkOptions, Networks, is_precise, task_device
from saiseld.pipeline.open import Layout, open_checked
from saiseld.runtime.cache import content_digest
from saiseld.runtime.devices import DeviceName
from saiseld.runtime.errors import OutputError
from saiseld.runtime.files import output_folder
from saiseld.runtime.parallel import Workers, run_all
from saiseld.runtime.threads import one_blas_thread

MAKERS = ("engine", "detector", "seld")
"""What tables say of what filled them, those of version 0.2 too; others are of something else."""


def detect(
    recording: str | Path | NDArray[np.floating],
    video: str | Path | None = None,
    *,
    sample_rate: int | None = None,
    array: str | Path | MicrophoneArray | None = None,
    format: str = "auto",
    weights: str | Path | None = None,
    device: DeviceName = "auto",
    precise: bool = False,
    fast: bool | None = None,
) -> Candidates:
    """Return every candidate in a recording, to decide on with `saiseld.pipeline.emit.emit`.

    Parameters
    ----------
    recording
        4 or 32 channels: a file, or an array (samples, channels).
    video
        Its video or folder of frames, if there is one.
    sample_rate
        Of an array, in Hz.
    array, format
        The microphone array that recorded, or what the channels are; as in
        `saiseld.pipeline.imager.image`.
    weights
        A weights folder, or None for the packaged ones.
    device
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    precise
        Full precision on a CPU too: twice the time, to reproduce figures exactly.
    fast
        The default on a CPU, as version 0.2 called it.

    Raises
    ------
    SaiseldError
        If the recording, video or weights cannot be read, or an array comes without sample rate.

    Examples
    --------
    >>> table = detect("meeting.wav", "meeting.mp4")
    >>> table.recording, table.branches
    ('meeting', ('detector', 'audio'))
    """
    folder = None if weights is None else Path(weights)
    options = NetworkOptions(folder, device, precise=is_precise(precise, fast))
    return load_imager(options).detect(
        recording, video, sample_rate=sample_rate, array=array, format=format
    )


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
        Its features file, read instead of imaging the sound anew.
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
        If there is a table that something else made.
    """
    table = folder / f"{recording.name}{CANDIDATES_SUFFIX}"
    made_from = _made_from(imager.networks, recording, video, features, all_maps)
    if _is_made_from(table, made_from):
        return None
    images = None
    if features is not None:
        stored = Features(features)
        stored.check_made_by(
            imager.networks.front_end.identity, recording.frames, made_from["sound"]
        )
        images = stored.images()
    missing = 0
    with candidate_writer(table) as append, one_blas_thread():
        for block in imager.blocks(
            recording,
            imager.pictures(video),
            images=images,
            keep=None if all_maps else emittable,
            provenance={"made_from": made_from},
        ):
            append(block.candidates)
            missing += block.missing_pictures
    model = imager.networks.decision_models.matchability
    if model is not None:  # one that looks at other frames, too
        write_candidates(table, model.calibrate(read_candidates(table)))
    return missing


def _made_from(
    networks: Networks,
    recording: Recording,
    video: Path | None,
    features: Path | None,
    all_maps: bool,
) -> dict[str, Any]:
    return {
        "sound": content_digest(recording.path),
        "channels": recording.layout,
        "elevation_assumed": recording.elevation_assumed,
        "video": "" if video is None else content_digest(video),
        "features": {} if features is None else Features(features).provenance,
        "weights": networks.digests,
        "precision": networks.precision,
        "all_maps": all_maps,
    }


def _is_made_from(table: Path, made_from: dict[str, Any]) -> bool:
    """Return whether there is a table of just this; refuse to replace what others made."""
    if not table.is_file():
        return False
    provenance = read_provenance(table)
    if provenance.get("imager") not in MAKERS or "system" in provenance:
        raise OutputError(
            table,
            expected="no table, or one of `saiseld detect`",
            found="one that something else made",
            advice="Choose another folder",
        )
    return provenance.get("made_from") == made_from


def detect_recordings(
    recordings: Iterable[str | Path],
    folder: Path,
    *,
    video: Path | None = None,
    kind: Layout = "auto",
    features: Path | None = None,
    networks: NetworkOptions | None = None,
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
    kind
        What the recordings' channels are; see `saiseld.pipeline.open.open_checked`.
    features
        A folder of features files, read instead of imaging the sound anew.
    networks
        Which networks run; the packaged ones if None.
    all_maps
        As in `detect_recording`.
    jobs
        Recordings at a time, or the cluster that they are spread over.

    Returns
    -------
    How many frames of each had no picture, by name; None where the table was there.
    """
    networks = networks or NetworkOptions()
    output_folder(folder)
    networks.find_weights().checked()
    there = task_device(networks, jobs)
    tasks = {
        path.stem: (path, video, kind, features, replace(networks, device=there), all_maps)
        for path in find_recordings(recordings)
    }
    return run_all(
        _detect_task,
        tasks,
        jobs=jobs,
        folder=folder,
        device="cpu" if there == "auto" else there,
        title="detecting",
    )


def _detect_task(
    folder: Path,
    path: Path,
    video: Path | None,
    kind: Layout,
    features: Path | None,
    networks: NetworkOptions,
    all_maps: bool,
) -> int | None:
    imager = load_imager(networks)
    recording_video = None if video is None else find_video(video, path.stem)
    images = None if features is None else features / f"{path.stem}{FEATURES_SUFFIX}"
    recording = open_checked(path, kind, recording_video)
    return detect_recording(
        imager, recording, recording_video, folder, features=images, all_maps=all_maps
    )
