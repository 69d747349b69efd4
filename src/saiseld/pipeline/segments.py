"""A WAV for each sound event of imaged recordings, by a beam that follows it.

The beam is superdirective on the four capsules, with soft nulls at the events that sound at the
same time elsewhere (`saiseld.acoustics.beamforming`). Beside the WAVs lie an index of each
recording as CSV, which is written last and says that the recording is done, and a page to listen
to them and to confirm or correct their classes.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from saiseld.acoustics.steering import MARGIN, STEP, FollowingBeam
from saiseld.conventions.sphere import unit_vector
from saiseld.conventions.timebase import SAMPLE_RATE, SAMPLES_PER_FRAME
from saiseld.data.recordings import Recording, find_recordings
from saiseld.decision.linking import angle_between, link
from saiseld.formats.annotation import EnergyMask, read_annotations
from saiseld.formats.sound_events import SoundEvent
from saiseld.pipeline.open import Layout, open_checked
from saiseld.pipeline.results import PROVENANCE_SUFFIX, Results, RunRecord, read_run_record
from saiseld.runtime.cache import content_digest
from saiseld.runtime.errors import DataError
from saiseld.runtime.files import atomic_path, output_folder, write_bytes
from saiseld.viewing.overlay import playback_gain
from saiseld.viewing.segments_page import Reviewed, write_segments_page

SEGMENTS_SUFFIX = ".segments.csv"
PADDING_S = 0.1
"""Sound kept before and after an event: its times are known to a tenth of a second."""
_APART = 30.0
"""Degrees from which another event is nulled."""
_FADE_S = 0.01
_COLUMNS = (
    *("file", "event", "class", "from_s", "to_s", "azimuth", "elevation", "distance_cm", "score"),
    *("gain_db", "made_from"),
)
_VERSION = "1"

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Segments:
    """What was written of a recording: how many WAVs, none of them new if they were there."""

    count: int
    is_new: bool


@dataclass(slots=True, eq=False)
class _Track:
    """An event and its direction in each cell of `STEP` frames."""

    event: SoundEvent
    directions: dict[int, Vector]
    start: int
    stop: int
    beam: FollowingBeam = field(init=False)
    signal: list[NDArray[np.float32]] = field(default_factory=list)

    def at(self, cell: int) -> Vector:
        """Return its direction in the nearest cell that has one."""
        return self.directions[min(self.directions, key=lambda nearby: abs(nearby - cell))]


def write_segments(
    folder: Path,
    output: Path | None = None,
    recordings: Iterable[Path] = (),
    kind: Layout = "auto",
    *,
    on_done: Callable[[str, Segments], object] = lambda name, made: None,
) -> Path:
    """Write the events of all imaged recordings of a folder as WAVs; return the page of them.

    Recordings whose segments are there, made from the same masks, are left alone.

    Parameters
    ----------
    folder
        Results of imaging.
    output
        Where the segments go; ``segments`` in the folder if None.
    recordings
        Where the recordings are now, if not where they were imaged.
    kind
        What their channels are, as when they were imaged.
    on_done
        Called with a recording's name and what was written.

    Raises
    ------
    DataError
        If nothing was imaged there, or a recording is gone or another than was imaged.
    AudioError
        If a recording cannot be read.
    """
    sidecars = sorted(folder.glob(f"*{PROVENANCE_SUFFIX}"))
    imaged = [Results(folder, path.name.removesuffix(PROVENANCE_SUFFIX)) for path in sidecars]
    imaged = [results for results in imaged if results.masks.is_file()]
    if not imaged:
        raise DataError(
            folder,
            expected="results of `saiseld image`",
            found="no recording with masks",
            advice="Image recordings into it first",
        )
    target = output_folder(folder / "segments" if output is None else output)
    given = {path.stem: path for path in find_recordings(recordings)} if recordings else {}
    reviewed = []
    for results in imaged:
        record = read_run_record(results)
        events, masks = link(
            read_annotations(results.masks),
            threshold=record.shown_from,
            elevation_assumed=record.provenance.elevation_assumed,
        )
        names = [_file_name(results.name, event) for event in events]
        made_from = _digest(results, record)
        index = target / f"{results.name}{SEGMENTS_SUFFIX}"
        is_new = not _is_done(index, made_from, [target / name for name in names])
        if is_new:
            recording = _open(results, record, given.get(results.name), kind)
            gains = _write_wavs(recording, events, masks, [target / name for name in names])
            _write_index(index, events, names, gains, made_from)
        reviewed += [
            Reviewed(results.name, name, event, _of(masks, event.number))
            for event, name in zip(events, names, strict=True)
        ]
        on_done(results.name, Segments(len(events), is_new))
    page = target / "index.html"
    write_segments_page(page, reviewed)
    return page


def _of(masks: Sequence[EnergyMask], number: int) -> list[EnergyMask]:
    return [mask for mask in masks if mask.instance_id == number]


def _file_name(recording: str, event: SoundEvent) -> str:
    """Return a name that sorts by time: meeting_00h01m02.3s_Female-speech_0007.wav."""
    tenths = round(10 * event.start_s)
    hours, minutes, rest = tenths // 36000, tenths // 600 % 60, tenths % 600
    class_name = re.sub(r"[^A-Za-z0-9]+", "-", event.class_name)
    when = f"{hours:02}h{minutes:02}m{rest // 10:02}.{rest % 10}s"
    return f"{recording}_{when}_{class_name}_{event.number:04}.wav"


def _digest(results: Results, record: RunRecord) -> str:
    made_from = (
        f"{_VERSION} {content_digest(results.masks)} {record.shown_from} {record.provenance}"
    )
    return hashlib.blake2b(made_from.encode(), digest_size=12).hexdigest()


def _is_done(index: Path, made_from: str, files: Sequence[Path]) -> bool:
    try:
        rows = list(csv.DictReader(io.StringIO(index.read_text("utf-8"))))
    except (OSError, ValueError, csv.Error):
        return False
    return (
        [row.get("file") for row in rows] == [path.name for path in files]
        and all(row.get("made_from") == made_from for row in rows)
        and all(path.is_file() for path in files)
    )


def _open(results: Results, record: RunRecord, given: Path | None, kind: Layout) -> Recording:
    """Open the very recording that was imaged, its channels taken for what they were then."""
    path = given or results.folder / record.source
    if (not record.source and given is None) or not path.is_file():
        raise DataError(
            results.provenance,
            place="source",
            expected="the recording where it was when it was imaged",
            found=f"no file {path}" if record.source else "results that do not say where it was",
            advice="Say where it is now: saiseld segments OUT RECORDING",
        )
    if content_digest(path) != record.provenance.recording:
        raise DataError(
            path,
            expected=f"the recording that {results.masks} was made from",
            found="a file of another content",
            advice="Give the recording that was imaged, or image this one",
        )
    recording = open_checked(path, kind)
    if recording.layout != record.provenance.channels:
        raise DataError(
            path,
            place="channels",
            expected=f"{record.provenance.channels}, as when it was imaged",
            found=recording.layout,
            advice="Give the same --format or --array as to `saiseld image`",
        )
    return recording


def _write_wavs(
    recording: Recording,
    events: Sequence[SoundEvent],
    masks: Sequence[EnergyMask],
    files: Sequence[Path],
) -> list[float]:
    """Write a WAV for each event, brought to full level; return the gains in decibels."""
    tracks = _tracks(recording, events, masks)
    gains = dict.fromkeys(range(len(tracks)), 0.0)
    waiting = set(gains)
    for start, sound in _with_margins(recording):
        stop = start + len(sound) - 2 * MARGIN
        for number in sorted(waiting):
            track = tracks[number]
            low, high = max(track.start, start), min(track.stop, stop)
            if low < high:
                part = sound[low - start : high - start + 2 * MARGIN]
                track.signal.append(track.beam.hear(part, low))
            if track.stop <= stop:
                gains[number] = _write_wav(files[number], track.signal)
                track.signal.clear()
                waiting.remove(number)
    return list(gains.values())


def _tracks(
    recording: Recording, events: Sequence[SoundEvent], masks: Sequence[EnergyMask]
) -> list[_Track]:
    vectors: dict[int, dict[int, list[Vector]]] = defaultdict(lambda: defaultdict(list))
    for mask in masks:
        vectors[mask.instance_id][mask.frame // STEP].append(unit_vector(*mask.direction))
    length, padding = recording.frames * SAMPLES_PER_FRAME, round(PADDING_S * SAMPLE_RATE)
    tracks = []
    for event in events:
        sums = {cell: np.sum(found, axis=0) for cell, found in vectors[event.number].items()}
        directions = {cell: s / max(float(np.linalg.norm(s)), 1e-12) for cell, s in sums.items()}
        start = max(round(event.start_s * SAMPLE_RATE) - padding, 0)
        stop = min(round(event.end_s * SAMPLE_RATE) + padding, length)
        tracks.append(_Track(event, directions, start, stop))
    for track in tracks:
        track.beam = FollowingBeam(_look_of(track, tracks))
    return tracks


def _look_of(
    track: _Track, tracks: Sequence[_Track]
) -> Callable[[int], tuple[Vector, Vector | None]]:
    """Return where a beam listens: to its event, and not to those that sound elsewhere."""
    others = [
        other
        for other in tracks
        if other is not track and other.start < track.stop and track.start < other.stop
    ]

    def look(cell: int) -> tuple[Vector, Vector | None]:
        own = track.at(cell)
        nulls = [other.directions[cell] for other in others if cell in other.directions]
        nulls = [null for null in nulls if angle_between(own, null) >= _APART]
        # Four capsules can null three directions at most.
        return own, np.stack(nulls[:2]) if nulls else None

    return look


def _with_margins(recording: Recording) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield start and samples of blocks with `MARGIN` samples of their neighbours round them."""
    start, before = 0, np.zeros((MARGIN, 4), np.float32)
    pending: NDArray[np.float32] | None = None
    for block in recording.blocks():
        if pending is not None:
            yield start, np.concatenate([before, pending, block[:MARGIN]])
            start, before = start + len(pending), pending[-MARGIN:]
        pending = block
    if pending is not None:
        yield start, np.concatenate([before, pending, np.zeros((MARGIN, 4), np.float32)])


def _write_wav(path: Path, pieces: Sequence[NDArray[np.float32]]) -> float:
    sound = np.concatenate(pieces)
    gain = playback_gain(float(np.abs(sound).max(initial=0)))
    ramp = np.linspace(0, 1, min(round(_FADE_S * SAMPLE_RATE), len(sound)), dtype=np.float32)
    sound[: len(ramp)] *= ramp
    sound[len(sound) - len(ramp) :] *= ramp[::-1]
    with atomic_path(path) as temporary:
        soundfile.write(temporary, sound * gain, SAMPLE_RATE, subtype="PCM_16", format="WAV")
    return float(20 * np.log10(gain))


def _write_index(
    path: Path,
    events: Sequence[SoundEvent],
    names: Sequence[str],
    gains: Sequence[float],
    made_from: str,
) -> None:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(_COLUMNS)
    for event, name, gain in zip(events, names, gains, strict=True):
        distance = "" if event.distance_cm is None else f"{event.distance_cm:.0f}"
        angles = f"{event.azimuth:.1f}", f"{event.elevation:.1f}"
        times = f"{event.start_s:.1f}", f"{event.end_s:.1f}"
        rest = distance, f"{event.score:.3f}", f"{gain:.1f}", made_from
        rows.writerow((name, event.number, event.class_name, *times, *angles, *rest))
    write_bytes(path, text.getvalue().encode())
