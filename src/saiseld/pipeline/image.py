"""The main job, from file to file: masks, candidates, events, overlay video and page.

The masks are written last, so a recording that has them is done; what they were made from lies
beside them. A run that was stopped while drawing goes on from the candidate table. What a run asks
for beyond what is there, another threshold or the overlay, is drawn from the masks.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from saiseld.data.recordings import Recording, find_recordings, open_recording
from saiseld.data.video import find_video
from saiseld.decision.systems import System
from saiseld.formats.annotation import (
    MAX_PREDICTION_BYTES,
    EnergyMask,
    read_annotations,
    write_annotations,
)
from saiseld.formats.candidates import candidate_writer, read_provenance
from saiseld.formats.exchange import exchange_path
from saiseld.formats.sound_events import SoundEvents
from saiseld.pipeline.defaults import VIEWING_THRESHOLD, default_system
from saiseld.pipeline.draw import draw_results, write_folder_page
from saiseld.pipeline.emit import masks_of_table
from saiseld.pipeline.engine import Block
from saiseld.pipeline.imager import Imager, load_imager
from saiseld.pipeline.networks import NetworkOptions, Networks, task_device
from saiseld.pipeline.open import Layout, open_checked
from saiseld.pipeline.results import (
    Provenance,
    Results,
    RunRecord,
    is_done,
    read_run_record,
    refuse_inputs,
    write_run_record,
)
from saiseld.runtime.cache import content_digest
from saiseld.runtime.errors import (
    CandidateError,
    CheckpointError,
    DataError,
    DeviceError,
    SaiseldError,
)
from saiseld.runtime.files import output_folder
from saiseld.runtime.notices import collected_warnings
from saiseld.runtime.parallel import Workers, run_all, tell_share_done

_IMAGING_SHARE = 0.6
"""Of the work on a recording, the rest being drawing; for the progress line."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ImageOptions:
    """What is wanted of every recording.

    Parameters
    ----------
    system
        What is kept and emitted, as in `Imager.image`; the default for the weights if None.
    threshold
        Show only masks scored this or more in events, overlay and page.
    overlay, frame_events
        Whether the overlay video, and events frame by frame as STARSS23 has them, are wanted.
    force
        Whether to replace results that were made from something else.
    formats
        Of `saiseld.formats.exchange` that the events are wanted in too.
    title
        What a recording is called in its video and page; its name if None.
    """

    system: System | None = None
    threshold: float = VIEWING_THRESHOLD
    overlay: bool = True
    frame_events: bool = False
    force: bool = False
    formats: tuple[str, ...] = ()
    title: str | None = None


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
        What a person is shown.
    drawn_again
        Whether the masks were there and only events, overlay and page were written.
    """

    size: int
    masks: int
    frames: int
    missing_pictures: int
    events: SoundEvents
    drawn_again: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """A recording that could not be imaged, and why."""

    error: SaiseldError


Outcome = Imaged | Failed | None
"""None: the results were there."""


@dataclass(frozen=True, slots=True)
class Job:
    """One recording to image.

    Parameters
    ----------
    recording
        Its file.
    video
        Its video or folder of frames, if there is one.
    kind
        What its channels are; see `saiseld.pipeline.open.open_checked`.
    """

    recording: Path
    video: Path | None = None
    kind: Layout = "auto"


def image_recording(
    job: Job,
    imager: Imager,
    folder: Path,
    options: ImageOptions | None = None,
    *,
    on_share: Callable[[float], object] = lambda share: None,
) -> Imaged | None:
    """Write who sounds where in a recording, unless that is there already; see `Results`.

    Parameters
    ----------
    job
        The recording, which is opened here, once.
    imager
        What images.
    folder
        Where the results go; every file whole or not at all.
    options
        What is wanted.
    on_share
        Called with the share of the work that is done.

    Returns
    -------
    What was written; None if all of it was there.

    Raises
    ------
    AudioError, VideoError
        If the recording or its video cannot be read.
    OutputError
        If there are results that were made from something else, or one would be an input.
    """
    options = options or ImageOptions()
    results = Results(folder, job.recording.stem)
    recording, warnings = _open(job)
    refuse_inputs(results.files(), [job.recording, *([] if job.video is None else [job.video])])
    system = options.system or imager.default_system
    provenance = provenance_of(recording, job.video, imager.networks, system)
    progress = _Progress(recording.frames, on_share)
    if not options.force and is_done(results, provenance):
        record = read_run_record(results)
        record = replace(record, warnings=_merged(warnings, record.warnings))
        if _is_drawn(results, record, options):
            return None
        masks = read_annotations(results.masks)
        events = _draw(results, recording, masks, job.video, options, record, progress, 0.0)
        write_run_record(results, replace(record, threshold=options.threshold))
        return _imaged(results, masks, record, events, drawn_again=True)
    results.masks.unlink(missing_ok=True)
    masks, record = _masks(imager, recording, job.video, results, provenance, system, progress)
    record = replace(record, warnings=_merged(warnings, record.warnings))
    events = _draw(results, recording, masks, job.video, options, record, progress, _IMAGING_SHARE)
    write_run_record(results, replace(record, threshold=options.threshold))
    # Last, since the masks say that a recording is done.
    _write_masks(results.masks, masks)
    return _imaged(results, masks, record, events)


def _open(job: Job) -> tuple[Recording, tuple[str, ...]]:
    """Open a job's recording; return what is warned of it too, without the names of its files."""
    with collected_warnings() as warnings:
        recording = open_checked(job.recording, job.kind, job.video)
    return recording, _without_files(warnings, job.recording, job.video)


def _without_files(warnings: Iterable[str], *paths: Path | None) -> tuple[str, ...]:
    """Return warnings without the names of files."""
    for path in paths:
        if path is not None:
            warnings = [text.removeprefix(f"{path}: ") for text in warnings]
    return tuple(warnings)


def _merged(*warnings: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for some in warnings for text in some))


def _imaged(
    results: Results,
    masks: Sequence[EnergyMask],
    record: RunRecord,
    events: SoundEvents,
    *,
    drawn_again: bool = False,
) -> Imaged:
    size = results.masks.stat().st_size
    return Imaged(size, len(masks), record.frames, record.missing_pictures, events, drawn_again)


class _Progress:
    """Turns frames that are done into a share of the work."""

    def __init__(self, frames: int, on_share: Callable[[float], object]) -> None:
        self._frames, self._on_share, self._done = frames, on_share, 0

    def add(self, frames: int, start: float, share: float) -> None:
        self._done += frames
        self._on_share(start + share * self._done / self._frames)
        if self._done >= self._frames:
            self._done = 0


def _is_drawn(results: Results, record: RunRecord, options: ImageOptions) -> bool:
    """Return whether all that is wanted of drawings is there."""
    return (
        record.threshold == options.threshold
        and results.events.is_file()
        and results.view.is_file()
        and (results.overlay.is_file() or not options.overlay)
        and (results.frame_events.is_file() or not options.frame_events)
        and all(
            exchange_path(results.folder, results.name, name).is_file() for name in options.formats
        )
    )


def _draw(
    results: Results,
    recording: Recording,
    masks: Sequence[EnergyMask],
    video: Path | None,
    options: ImageOptions,
    record: RunRecord,
    progress: _Progress,
    start: float,
) -> SoundEvents:
    # Drawings of another threshold that are not wanted again would contradict the events.
    for drawn, enabled in (
        (results.overlay, options.overlay),
        (results.frame_events, options.frame_events),
    ):
        if not enabled:
            drawn.unlink(missing_ok=True)
    return draw_results(
        results,
        recording,
        masks,
        video,
        threshold=options.threshold,
        overlay=options.overlay,
        frame_events=options.frame_events,
        formats=options.formats,
        record=record,
        title=options.title,
        on_frame=lambda: progress.add(1, start, 1 - start),
    )


def _write_masks(path: Path, masks: Sequence[EnergyMask]) -> None:
    """Write masks in the official format; warn where there are too many bytes."""
    size = write_annotations(path, masks)
    if size > MAX_PREDICTION_BYTES:
        _log.warning(
            "%s: %s bytes, over the %s that the challenge takes; `saiseld emit --threshold` or an "
            "adaptive emission makes it smaller",
            path,
            f"{size:,}",
            f"{MAX_PREDICTION_BYTES:,}",
        )


def _masks(
    imager: Imager,
    recording: Recording,
    video: Path | None,
    results: Results,
    provenance: Provenance,
    system: System,
    progress: _Progress,
) -> tuple[list[EnergyMask], RunRecord]:
    """Return the masks, what made them, and what was warned of meanwhile.

    They are decided from the candidate table, which is kept where an earlier run got so far.
    """
    made_from = asdict(provenance)
    models = imager.networks.decision_models
    try:
        record = read_run_record(results)
        recorded = read_provenance(results.candidates).get("made_from")
        if record.provenance == provenance and recorded == made_from:
            return masks_of_table(results.candidates, system, models), record
    except (CandidateError, DataError):
        pass
    with candidate_writer(results.candidates) as append:

        def write(block: Block, masks: list[EnergyMask]) -> None:
            append(block.candidates)
            progress.add(block.frames, 0.0, _IMAGING_SHARE)

        made_by = {"made_from": made_from}
        with collected_warnings() as warnings:
            prediction = imager.image(
                recording, video, system=system, on_block=write, provenance=made_by
            )
    record = RunRecord(
        provenance,
        recording.frames,
        prediction.missing_pictures,
        warnings=_without_files(warnings, recording.path, video),
        source=_relative(recording.path, results.folder),
    )
    write_run_record(results, record)
    if models.frame_by_frame(system):
        return prediction.masks, record
    # Decided on rows as wide as a file keeps them, as every later decision is.
    return masks_of_table(results.candidates, system, models), record


def _relative(path: Path, folder: Path) -> str:
    """Return a file's path as seen from a folder, so that both may be moved together."""
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:  # another drive
        return path.resolve().as_posix()


def provenance_of(
    recording: Recording, video: Path | None, networks: Networks, system: System
) -> Provenance:
    """Return what the results of a recording will have been made from."""
    return Provenance(
        recording=content_digest(recording.path),
        video="" if video is None else content_digest(video),
        weights=networks.digests,
        system=repr(system),
        channels=recording.layout,
        elevation_assumed=recording.elevation_assumed,
        precision=networks.precision,
    )


def image_recordings(
    recordings: Iterable[str | Path],
    folder: Path,
    *,
    video: Path | None = None,
    kind: Layout = "auto",
    networks: NetworkOptions | None = None,
    options: ImageOptions | None = None,
    keep_going: bool = False,
    jobs: Workers = 1,
    on_done: Callable[[str, Outcome], object] = lambda name, outcome: None,
) -> dict[str, Outcome]:
    """Image recordings and those in folders, ``jobs`` at a time; see `image_recording`.

    Nothing but names is looked at before the first recording is worked on.

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
    networks
        Which networks run; the packaged ones if None.
    options
        What is wanted of every recording.
    keep_going
        Whether a recording that cannot be imaged leaves the others to go on.
    jobs
        Recordings at a time, or the cluster that they are spread over.
    on_done
        Called with a recording's name and outcome as soon as it is done.

    Raises
    ------
    SaiseldError
        The first one of a recording, after which no other is begun; with ``keep_going`` only where
        it concerns all: weights, device or folder.
    """
    networks, options = networks or NetworkOptions(), options or ImageOptions()
    output_folder(folder)
    weights = networks.find_weights().checked()
    if options.system is None:
        options = replace(options, system=default_system(weights.decided))
    there = task_device(networks, jobs)
    paths = find_recordings(recordings)
    if not keep_going:
        for path in paths:
            if not path.is_file():
                open_recording(path)  # says that it is not there
    tasks = {
        path.stem: (path, video, kind, replace(networks, device=there), options, keep_going)
        for path in paths
    }
    outcomes: dict[str, Outcome] = run_all(
        _image_task,
        tasks,
        jobs=jobs,
        folder=folder,
        device="cpu" if there == "auto" else there,
        title="imaging",
        on_done=on_done,
    )
    write_folder_page(folder)
    return outcomes


def _image_task(
    folder: Path,
    recording: Path,
    video: Path | None,
    kind: Layout,
    networks: NetworkOptions,
    options: ImageOptions,
    keep_going: bool,
) -> Outcome:
    imager = load_imager(networks)
    try:
        recording_video = None if video is None else find_video(video, recording.stem)
        job = Job(recording, recording_video, kind)
        return image_recording(job, imager, folder, options, on_share=tell_share_done)
    except (CheckpointError, DeviceError):
        raise
    except SaiseldError as error:
        if not keep_going:
            raise
        return Failed(error)
