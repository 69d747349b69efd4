"""The main job, from file to file: masks, candidates, events, overlay video and page.

The masks are written last, so a recording that has them is done; what they were made from lies
beside them. A run that was stopped while drawing goes on from the candidate table.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from saiseld.data.recordings import Recording, find_recordings
from saiseld.data.video import find_video
from saiseld.decision.systems import System, decide
from saiseld.formats.annotation import MAX_PREDICTION_BYTES, EnergyMask, write_annotations
from saiseld.formats.candidates import candidate_writer, iter_candidates
from saiseld.formats.sound_events import SoundEvents
from saiseld.pipeline.defaults import VIEWING_THRESHOLD
from saiseld.pipeline.draw import draw_results, write_folder_page
from saiseld.pipeline.imager import Block, Imager, load_imager
from saiseld.pipeline.open import Format, open_checked
from saiseld.pipeline.results import (
    Provenance,
    Results,
    RunRecord,
    is_done,
    read_run_record,
    refuse_inputs,
    write_made,
)
from saiseld.pipeline.weights import digests, find_weights
from saiseld.runtime.cache import content_digest
from saiseld.runtime.devices import Device, DeviceName, device_if
from saiseld.runtime.errors import CandidateError, DataError, SaiseldError
from saiseld.runtime.files import output_folder
from saiseld.runtime.parallel import Workers, devices_of, run_all, tell_share_done

_IMAGING_SHARE = 0.6
"""Of the work on a recording, the rest being drawing; for the progress line."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ImageOptions:
    """What is wanted of every recording.

    Parameters
    ----------
    system
        What is kept and emitted, as in `Imager.image`; `Imager.default_system` if None.
    threshold
        Show only masks scored this or more in events, overlay and page.
    overlay, frame_events
        Whether the overlay video, and events frame by frame as STARSS23 has them, are wanted.
    force
        Whether to replace results that were made from something else.
    """

    system: System | None = None
    threshold: float = VIEWING_THRESHOLD
    overlay: bool = True
    frame_events: bool = False
    force: bool = False


@dataclass(frozen=True, slots=True)
class Imaged:
    """What imaging a recording wrote.

    Parameters
    ----------
    size
        Bytes of the masks.
    masks, frames, missing_pictures
        How many masks in how many frames, and how many of these had no picture.
    events
        What a person is told.
    """

    size: int
    masks: int
    frames: int
    missing_pictures: int
    events: SoundEvents


@dataclass(frozen=True, slots=True)
class Failed:
    """A recording that could not be imaged, and why."""

    error: SaiseldError


Outcome = Imaged | Failed | None
"""None: the results were there."""


def image_recording(
    imager: Imager,
    recording: Recording,
    video: Path | None,
    folder: Path,
    provenance: Provenance,
    wanted: ImageOptions | None = None,
    *,
    on_share: Callable[[float], object] = lambda share: None,
) -> Imaged | None:
    """Write who sounds where in a recording, unless that is there already; see `Results`.

    Parameters
    ----------
    imager
        What images.
    recording
        4 or 32 channels.
    video
        Its video or folder of frames, if there is one.
    folder
        Where the results go; every file whole or not at all.
    provenance
        What they are made from; see `provenance_of`.
    wanted
        What is wanted.
    on_share
        Called with the share of the work that is done.

    Returns
    -------
    What was written; None if the results were there.

    Raises
    ------
    OutputError
        If there are results that were made from something else, or one would be an input.
    """
    wanted = wanted or ImageOptions()
    results = Results(folder, recording.name)
    refuse_inputs(results.files(), [recording.path, *([] if video is None else [video])])
    if not wanted.force and is_done(results, provenance):
        return None
    results.masks.unlink(missing_ok=True)
    done = 0

    def tell(frames: int, start: float, share: float) -> None:
        nonlocal done
        done += frames
        on_share(start + share * done / recording.frames)

    masks, missing = _masks(
        imager,
        recording,
        video,
        results,
        provenance,
        wanted.system or imager.default_system,
        lambda frames: tell(frames, 0.0, _IMAGING_SHARE),
    )
    done = 0
    events = draw_results(
        results,
        recording,
        masks,
        video,
        threshold=wanted.threshold,
        overlay=wanted.overlay,
        frame_events=wanted.frame_events,
        on_frame=lambda: tell(1, _IMAGING_SHARE, 1 - _IMAGING_SHARE),
    )
    # Last, since the masks say that a recording is done.
    size = _write_masks(results.masks, masks)
    return Imaged(size, len(masks), recording.frames, missing, events)


def _write_masks(path: Path, masks: Sequence[EnergyMask]) -> int:
    """Write masks in the official format and return the bytes; warn where they are too many."""
    size = write_annotations(path, masks)
    if size > MAX_PREDICTION_BYTES:
        _log.warning(
            "%s: %s bytes, over the %s that the challenge takes; `saiseld emit --threshold` or an "
            "adaptive emission makes it smaller",
            path,
            f"{size:,}",
            f"{MAX_PREDICTION_BYTES:,}",
        )
    return size


def _masks(
    imager: Imager,
    recording: Recording,
    video: Path | None,
    results: Results,
    provenance: Provenance,
    system: System,
    on_frames: Callable[[int], object],
) -> tuple[list[EnergyMask], int]:
    """Return the masks, and how many frames had no picture.

    They are decided from the candidate table where an earlier run got so far.
    """
    made_from = asdict(provenance)
    try:
        made, known = read_run_record(results), None
        found: list[EnergyMask] = []
        for block in iter_candidates(results.candidates):
            known = block.provenance.get("made_from")
            if made.provenance != provenance or known != made_from:
                break
            found += decide(block, system)
        else:
            return found, made.missing_pictures
    except (CandidateError, DataError):
        pass
    with candidate_writer(results.candidates) as append:

        def write(block: Block, masks: list[EnergyMask]) -> None:
            known = {**block.candidates.provenance, "made_from": made_from}
            append(replace(block.candidates, provenance=known))
            on_frames(block.frames)

        prediction = imager.image(recording, video, system=system, on_block=write)
    write_made(results, RunRecord(provenance, recording.frames, prediction.missing_pictures))
    return prediction.masks, prediction.missing_pictures


def provenance_of(
    recording: Recording,
    video: Path | None,
    weights: dict[str, str],
    system: System,
    *,
    fast: bool = False,
) -> Provenance:
    """Return what the results of a recording will have been made from."""
    return Provenance(
        recording=content_digest(recording.path),
        video="" if video is None else content_digest(video),
        weights=weights,
        system=repr(system),
        channels=recording.ambisonics or "capsules",
        fast=fast,
    )


def image_recordings(
    recordings: Iterable[str | Path],
    folder: Path,
    *,
    video: Path | None = None,
    kind: Format = "auto",
    weights: Path | None = None,
    device: DeviceName = "auto",
    half: bool = False,
    fast: bool = False,
    wanted: ImageOptions | None = None,
    keep_going: bool = False,
    jobs: Workers = 1,
    on_done: Callable[[str, Outcome], object] = lambda name, outcome: None,
) -> dict[str, Outcome]:
    """Image recordings and those in folders, ``jobs`` at a time; see `image_recording`.

    Parameters
    ----------
    recordings
        Audio files, or folders searched for them.
    folder
        Where the results go, and a page of all of them.
    video
        The recording's video, or a folder of several; see `saiseld.data.video.find_video`.
    kind
        What the recordings' channels are; see `saiseld.pipeline.open.open_checked`.
    weights
        A weights folder, or None for the packaged ones.
    device, half, fast
        As in `saiseld.pipeline.imager.Imager`.
    wanted
        What is wanted of every recording.
    keep_going
        Whether a recording that cannot be imaged leaves the others to go on.
    jobs
        Recordings at a time, or the cluster that they are spread over.
    on_done
        Called with a recording's name and outcome as soon as it is done.

    Raises
    ------
    AudioError, CheckpointError, OutputError
        Before any work begins, for what cannot be read, loaded or written, or would be written
        over; with ``keep_going`` only where it concerns all.
    """
    wanted = wanted or ImageOptions()
    output_folder(folder)
    known = digests(find_weights(weights), fast=fast)
    here, there = devices_of(device_if(fast, device), jobs)
    imager = load_imager(weights, here, half, fast)
    imager_of = (weights, there, half, fast)
    system = imager.default_system if wanted.system is None else wanted.system
    tasks: dict[str, tuple[object, ...]] = {}
    outcomes: dict[str, Outcome] = {}
    for path in find_recordings(recordings):
        try:
            left = _left(path, folder, video, kind, known, system, fast=fast, force=wanted.force)
        except SaiseldError as error:
            if not keep_going:
                raise
            outcomes[path.stem] = Failed(error)
        else:
            if left is not None:
                tasks[path.stem] = (*left, imager_of, wanted, keep_going)
                continue
            outcomes[path.stem] = None
        on_done(path.stem, outcomes[path.stem])
    outcomes |= run_all(
        _image_task,
        tasks,
        jobs=jobs,
        folder=folder,
        device=there,
        title="imaging",
        on_done=on_done,
    )
    write_folder_page(folder)
    return outcomes


def _left(
    path: Path,
    folder: Path,
    video: Path | None,
    kind: Format,
    weights: dict[str, str],
    system: System,
    *,
    fast: bool,
    force: bool,
) -> tuple[Recording, Path | None, Provenance] | None:
    """Return what a recording is imaged from, None if that was done; see `image_recordings`."""
    own = None if video is None else find_video(video, path.stem)
    results = Results(folder, path.stem)
    refuse_inputs(results.files(), [path, *([] if own is None else [own])])
    recording = open_checked(path, kind, own)
    provenance = provenance_of(recording, own, weights, system, fast=fast)
    done = not force and is_done(results, provenance)
    return None if done else (recording, own, provenance)


def _image_task(
    folder: Path,
    recording: Recording,
    video: Path | None,
    provenance: Provenance,
    imager_of: tuple[Path | None, Device, bool, bool],
    wanted: ImageOptions,
    keep_going: bool,
) -> Outcome:
    try:
        imager = load_imager(*imager_of)
        return image_recording(
            imager, recording, video, folder, provenance, wanted, on_share=tell_share_done
        )
    except SaiseldError as error:
        if not keep_going:
            raise
        return Failed(error)
