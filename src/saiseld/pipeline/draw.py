"""What a person is shown of a recording: its sound events, overlay video and page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from saiseld.conventions.sphere import WIDTH
from saiseld.conventions.timebase import time_of_frame
from saiseld.data.recordings import Recording, open_recording
from saiseld.data.video import find_video, open_video, video_size
from saiseld.decision.linking import SHORTEST, link
from saiseld.decision.systems import FROM_TABLE, DecisionModels
from saiseld.formats.annotation import EnergyMask, read_annotations
from saiseld.formats.candidates import CANDIDATES_SUFFIX
from saiseld.formats.events import Event, write_events
from saiseld.formats.exchange import RecordedEvents, exchange_path, write_exchange
from saiseld.formats.sound_events import SoundEvents, write_sound_events
from saiseld.pipeline.defaults import VIEWING_THRESHOLD
from saiseld.pipeline.emit import elevation_assumed, masks_of_table
from saiseld.pipeline.results import (
    VIEW_SUFFIX,
    Results,
    RunRecord,
    read_run_record,
    refuse_inputs,
)
from saiseld.runtime.errors import DataError
from saiseld.runtime.files import output_folder, write_bytes
from saiseld.runtime.text import counted
from saiseld.viewing.overlay import overlay_jpeg, write_overlay
from saiseld.viewing.page import Section, fullest_frame, read_summary, write_index, write_page

_WIDTHS = 1080, 1920
"""Least and largest width of an overlay; between them the picture keeps its own."""


class Drawn(NamedTuple):
    """What is shown of a recording: events, their masks, from which score, of how many masks."""

    events: SoundEvents
    masks: Sequence[EnergyMask]
    threshold: float
    guesses: int

    def note(self) -> str:
        """Return in a sentence why fewer masks are shown than were written."""
        return (
            f"{len(self.masks)} of {counted(self.guesses, 'mask')} shown: scored "
            f"{self.threshold:.2f} or more, in {SHORTEST} frames at least"
        )


def draw_results(
    results: Results,
    recording: Recording,
    masks: Sequence[EnergyMask],
    video: Path | None,
    *,
    threshold: float = VIEWING_THRESHOLD,
    overlay: bool = True,
    frame_events: bool = False,
    formats: Sequence[str] = (),
    elevation_assumed: bool | None = None,
    record: RunRecord | None = None,
    title: str | None = None,
    on_frame: Callable[[], object] = lambda: None,
) -> SoundEvents:
    """Write the events of a recording, its page and, where wanted, its overlay video.

    Parameters
    ----------
    results
        Where they go.
    recording, masks, video
        The recording, all its masks, and its picture if there is one.
    threshold
        Show only masks scored this or more.
    overlay
        Whether the overlay video is wanted.
    frame_events
        Whether the events are wanted frame by frame too, as STARSS23 has them.
    formats
        Of `saiseld.formats.exchange` that the events are wanted in too.
    elevation_assumed
        What events say of their elevations; what the recording says if None.
    record
        What made the masks, where that is known: the page says what a viewer should know of it.
    title
        What the recording is called in video and page; its name if None.
    on_frame
        Called after every frame drawn.

    Returns
    -------
    The events.
    """
    if elevation_assumed is None:
        elevation_assumed = recording.elevation_assumed
    events, visible = link(masks, threshold=threshold, elevation_assumed=elevation_assumed)
    write_sound_events(results.events, events)
    if frame_events:
        write_events(results.frame_events, map(_frame_event, visible))
    if formats:
        recorded = recorded_events(recording, events, visible)
        paths = {name: exchange_path(results.folder, results.name, name) for name in formats}
        refuse_inputs(paths.values(), [recording.path, *([] if video is None else [video])])
        for name, path in paths.items():
            write_exchange(path, recorded, name)
    if overlay:
        size = None if video is None else video_size(video)
        width = min(max(size[0] if size else WIDTH, _WIDTHS[0]), _WIDTHS[1])
        own = min(size[0], width) if size else width  # enlarged as it is drawn
        pictures = iter(()) if video is None else open_video(video, width=own)
        write_overlay(
            results.overlay,
            recording,
            visible,
            pictures,
            title=title,
            width=width,
            on_frame=on_frame,
        )
    drawn = Drawn(events, visible, threshold, len(masks))
    _write_view(results, recording, drawn, record=record, title=title)
    return events


def recorded_events(
    recording: Recording, events: SoundEvents, masks: Sequence[EnergyMask]
) -> RecordedEvents:
    """Return linked events and masks of a recording, to be written in another format."""
    duration = recording.samples / recording.sample_rate
    return RecordedEvents(recording.path, duration, recording.sample_rate, events, masks)


def draw_again(
    source: Path,
    recording: Path,
    video: Path | None,
    folder: Path,
    *,
    threshold: float | None = None,
    models: DecisionModels = FROM_TABLE,
    formats: Sequence[str] = (),
    on_frame: Callable[[], object] = lambda: None,
) -> SoundEvents:
    """Draw a recording from its candidate table or masks, without imaging it again.

    Parameters
    ----------
    source
        Candidate table, or masks in the official format.
    recording
        What it was imaged from.
    video
        Its video, or a folder of several; see `saiseld.data.video.find_video`.
    folder
        Where the drawings go.
    threshold
        As in `draw_results`; that which it was imaged with if None.
    models
        Fusion and matchability instead of those that a table holds.
    formats, on_frame
        As in `draw_results`.

    Raises
    ------
    OutputError
        If a file to write is one of the inputs.
    """
    opened = open_recording(recording, any_channels=True)
    recording_video = None if video is None else find_video(video, opened.name)
    results = Results(output_folder(folder), opened.name)
    inputs = [source, recording, *([] if recording_video is None else [recording_video])]
    refuse_inputs([results.events, results.overlay, results.view, results.page], inputs)
    if source.name.endswith(CANDIDATES_SUFFIX):
        masks = masks_of_table(source, models=models)
    else:
        masks = read_annotations(source)
    record = _record_beside(source, opened.name)
    if threshold is None:
        threshold = VIEWING_THRESHOLD if record is None else record.shown_from
    events = draw_results(
        results,
        opened,
        masks,
        recording_video,
        threshold=threshold,
        formats=formats,
        elevation_assumed=_elevation_assumed(source),
        record=record,
        on_frame=on_frame,
    )
    write_folder_page(results.folder)
    return events


def _elevation_assumed(source: Path) -> bool:
    """Return what a table, or the sidecar of masks, says of its elevations; False if nothing."""
    if source.name.endswith(CANDIDATES_SUFFIX):
        return elevation_assumed(source)
    try:
        return read_run_record(Results(source.parent, source.stem)).provenance.elevation_assumed
    except DataError:
        return False


def _record_beside(source: Path, name: str) -> RunRecord | None:
    try:
        return read_run_record(Results(source.parent, name))
    except DataError:
        return None  # masks of another program, or moved here


def show_truth(folder: Path, recording: Path, truth: Path) -> None:
    """Write the page of an imaged recording again, with its labels beside what was found.

    Parameters
    ----------
    folder
        Where its results are.
    recording, truth
        Its file, and its labels in the official format.
    """
    opened = open_recording(recording, any_channels=True)
    results = Results(folder, opened.name)
    record = read_run_record(results)
    threshold = record.shown_from
    assumed = record.provenance.elevation_assumed
    masks = read_annotations(results.masks)
    events, visible = link(masks, threshold=threshold, elevation_assumed=assumed)
    labels = read_annotations(truth)
    drawn = Drawn(events, visible, threshold, len(masks))
    _write_view(results, opened, drawn, record=record, truth=labels)
    write_folder_page(folder)


def _write_view(
    results: Results,
    recording: Recording,
    drawn: Drawn,
    *,
    record: RunRecord | None,
    title: str | None = None,
    truth: Sequence[EnergyMask] = (),
) -> None:
    has_video = results.overlay.is_file()
    true_events, true_masks = link(truth, threshold=0.0)
    section = Section(
        results.name if title is None else title,
        time_of_frame(recording.frames),
        drawn.events,
        drawn.masks,
        drawn.threshold,
        video=results.overlay.name if has_video else None,
        poster=overlay_jpeg(results.overlay, fullest_frame(drawn.masks)) if has_video else None,
        notes=[drawn.note(), *([] if record is None else record.notes())],
        warnings=() if record is None else record.warnings,
        true_events=true_events,
        true_masks=true_masks,
    )
    write_page(results.view, section)


def write_folder_page(folder: Path) -> Path:
    """Write ``index.html`` of the recordings that have pages in a folder; return it.

    Of one recording it is the recording's page, of several a list of them.
    """
    found = sorted(folder.glob(f"*{VIEW_SUFFIX}"))
    summaries = [(view.name, summary) for view in found if (summary := read_summary(view))]
    page = Results(folder, "").page
    if len(summaries) == 1:
        write_bytes(page, (folder / summaries[0][0]).read_bytes())
    else:
        write_index(page, summaries)
    return page


def _frame_event(mask: EnergyMask) -> Event:
    azimuth, elevation = (round(angle) for angle in mask.direction)
    distance = None if mask.distance_cm is None else round(mask.distance_cm)
    return Event(mask.frame, mask.class_id, mask.instance_id, azimuth, elevation, distance)
