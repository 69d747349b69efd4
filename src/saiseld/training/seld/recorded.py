"""Annotated recordings as scenes to learn from: five seconds of a real room, drawn and varied.

A window is drawn so that rare classes are heard as often as common ones. Then it is varied in ways
that keep what the array hears of each direction: the window of another moment of the same room may
be added, all channels share an equaliser and bands that are masked, and each capsule gets a gain
and noise of its own. Turning and mirroring by the array's symmetries follow when a step is put
together (`saiseld.training.seld.windows.turned`), exactly. The level is not varied: the network's
inputs are brought to one level (`saiseld.seld.inputs`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from saiseld.conventions.arrays import TETRAHEDRON
from saiseld.conventions.sphere import (
    HEIGHT,
    WIDTH,
    angles_of_vector,
    great_circle,
    unit_vector,
)
from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.conventions.timebase import SAMPLE_RATE, SAMPLES_PER_FRAME
from saiseld.data.corpora import IGNORED, AnnotatedRecording, CorpusMap, corpus_events
from saiseld.data.label_columns import LabelColumns, label_columns
from saiseld.data.recordings import AUDIO_SUFFIXES, Recording, open_recording
from saiseld.formats.events import Event, check_within
from saiseld.runtime.cache import cached
from saiseld.runtime.errors import AudioError, DataError, refusing
from saiseld.training.seld.mixing import Scene, Signal, Track, gain_curve
from saiseld.training.seld.recipes import RecordedRanges

_ENDS_EARLY = 0.5
"""Share of a recording after its last event from which on the log says so."""
_MASK_NEAR_DEG = 15.0
_Scalar = TypeVar("_Scalar", bound=np.generic)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class AnnotatedAudio:
    """A recording that windows can be read from, and what is in it.

    Parameters
    ----------
    name, room
        Of the recording.
    path
        The file.
    decoded
        (samples, 4) of the whole recording at 24 kHz, or None where the file itself is read.
    sources
        What sounds.
    ignored
        (T,) whether something sounds that is none of our classes.
    """

    name: str
    room: str
    path: Path
    decoded: Path | None
    sources: tuple[Track, ...]
    ignored: NDArray[np.bool_]

    @property
    def frames(self) -> int:
        """Whole frames."""
        return len(self.ignored)

    def window(self, first: int, frames: int) -> Signal:
        """Return (4, frames x 2400) samples from a frame on; silence after the end.

        Raises
        ------
        AudioError
            If the file cannot be read there.
        """
        start, count = first * SAMPLES_PER_FRAME, frames * SAMPLES_PER_FRAME
        path = self.path
        if self.decoded is not None:
            samples = np.load(self.decoded, mmap_mode="r")[start : start + count]
        else:
            with refusing(AudioError, path, "audio to the end"):
                samples, _ = soundfile.read(path, count, start, dtype="float32", always_2d=True)
        if samples.shape[1] > len(TETRAHEDRON):
            samples = samples[:, list(TETRAHEDRON)]
        if not np.isfinite(samples).all():
            raise AudioError(path, place=f"frame {first}", expected="finite samples", found="NaN")
        out = np.zeros((len(TETRAHEDRON), count), np.float32)
        out[:, : len(samples)] = np.asarray(samples, np.float32).T
        return out

    def scene(self, first: int, frames: int) -> Scene:
        """Return a window and what is in it."""
        span = slice(first, first + frames)
        rows: list[Track] = []
        for source in self.sources:
            if not source.active[span].any():
                continue
            track = Track(
                source.class_id,
                _padded(source.active[span], frames),
                _padded(source.azimuth[span], frames),
                _padded(source.elevation[span], frames),
                _padded(source.distance_cm[span], frames),
            )
            # Events of a class that do not overlap share a row.
            for number, other in enumerate(rows):
                if other.class_id == track.class_id and not (other.active & track.active).any():
                    rows[number] = _merged(other, track)
                    break
            else:
                rows.append(track)
        ignored = _padded(self.ignored[span], frames)
        return Scene(self.window(first, frames), tuple(rows), ignored)


def annotated_audio(
    recording: AnnotatedRecording, mapping: CorpusMap, cache: Path, targets: str
) -> AnnotatedAudio:
    """Read what is in a recording, checked against its sound.

    Parameters
    ----------
    recording, mapping
        The recording, and what its corpus' numbers mean.
    cache
        Folder for masks and for recordings that have to be decoded or converted first.
    targets
        ``"events"``, or ``"masks"``: sources are where their masks have their energy.

    Raises
    ------
    AudioError
        If the recording cannot be read or has not 4 or 32 channels.
    DataError
        If the events are impossible, beyond the end, or of a recording that is silent.
    """
    opened = open_recording(recording.audio, recording.ambisonics)
    if recording.events is None:
        assert recording.masks is not None
        events = _events_of_masks(label_columns(recording.masks, cache))
        annotation = recording.masks
    else:
        events, annotation = corpus_events(recording, mapping), recording.events
        if targets == "masks" and recording.masks is not None:
            events = _at_masks(events, label_columns(recording.masks, cache))
    check_within(events, opened.frames, annotation)
    last = max((event.frame for event in events), default=opened.frames)
    if opened.frames - last > _ENDS_EARLY * opened.frames:
        _log.warning(
            "%s: the last event is in frame %d of %d; what follows counts as silence",
            annotation,
            last,
            opened.frames,
        )
    ignored = np.zeros(opened.frames, bool)
    ignored[[event.frame for event in events if event.class_id == IGNORED]] = True
    decoded = None if _can_seek(opened) else _decode(opened, cache)
    audio = AnnotatedAudio(
        recording.name,
        recording.room,
        opened.path,
        decoded,
        tuple(_sources(events, opened.frames)),
        ignored,
    )
    _check_sound(audio, annotation)
    return audio


class RecordedScenes:
    """Draws scenes from recordings.

    Parameters
    ----------
    recordings
        To draw from.
    ranges
        What is drawn.
    frames
        Of a scene.
    """

    def __init__(
        self, recordings: Sequence[AnnotatedAudio], ranges: RecordedRanges, frames: int
    ) -> None:
        self.recordings, self.ranges, self.frames = tuple(recordings), ranges, frames

    @cached_property
    def _by_class(self) -> dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Of each class that sounds, recordings and frames (N,) in which it does."""
        found: dict[int, list[tuple[int, NDArray[np.int64]]]] = {}
        for number, audio in enumerate(self.recordings):
            for class_id in range(NUM_CLASSES):
                active = [s.active for s in audio.sources if s.class_id == class_id]
                frames = np.flatnonzero(np.any(active, axis=0)) if active else np.zeros(0, int)
                if len(frames):
                    found.setdefault(class_id, []).append((number, frames))
        return {
            class_id: (
                np.concatenate([np.full(len(frames), number) for number, frames in parts]),
                np.concatenate([frames for _, frames in parts]),
            )
            for class_id, parts in sorted(found.items())
        }

    def scene(self, rng: np.random.Generator) -> Scene:
        """Return a scene."""
        number, first = self._place(rng)
        scene = self.recordings[number].scene(first, self.frames)
        if rng.random() < self.ranges.sums:
            scene = self._with_another(scene, number, rng)
        return replace(scene, audio=self._varied(scene.audio, rng))

    def _place(self, rng: np.random.Generator) -> tuple[int, int]:
        """Return a recording and the first frame of a window of it."""
        if self._by_class and rng.random() < self.ranges.balanced:
            classes = list(self._by_class)
            where, when = self._by_class[classes[int(rng.integers(len(classes)))]]
            pick = int(rng.integers(len(where)))
            number, frame = int(where[pick]), int(when[pick])
        else:
            lengths = np.array([audio.frames for audio in self.recordings], float)
            number = int(rng.choice(len(lengths), p=lengths / lengths.sum()))
            frame = int(rng.integers(self.recordings[number].frames))
        latest = max(self.recordings[number].frames - self.frames, 0)
        return number, int(np.clip(frame - rng.integers(self.frames), 0, latest))

    def _with_another(self, scene: Scene, number: int, rng: np.random.Generator) -> Scene:
        """Return a scene with the window of another moment of the same room added."""
        room = self.recordings[number].room
        several = [n for n, audio in enumerate(self.recordings) if audio.room == room]
        other = self.recordings[several[int(rng.integers(len(several)))]]
        first = int(rng.integers(max(other.frames - self.frames, 0) + 1))
        added = other.scene(first, self.frames)
        gain = np.float32(10 ** (rng.uniform(-self.ranges.sum_db, self.ranges.sum_db) / 20))
        return Scene(
            scene.audio + gain * added.audio,
            (*scene.tracks, *added.tracks),
            _either(scene.ignored, added.ignored),
        )

    def _varied(self, audio: Signal, rng: np.random.Generator) -> Signal:
        """Return other equalisers, bands masked in all channels alike, and noise."""
        ranges, samples = self.ranges, audio.shape[1]
        length = next_fast_len(samples + 1024, real=True)
        bins = length // 2 + 1
        spectrum = rfft(audio, length, axis=-1)
        spectrum *= gain_curve(bins, ranges.equaliser_db, rng)
        for channel in spectrum:
            channel *= gain_curve(bins, ranges.capsule_db, rng)
        spectrum *= _masked_bands(bins, ranges, rng)
        out = np.asarray(irfft(spectrum, length, axis=-1)[:, :samples], np.float32)
        noise = rng.standard_normal(out.shape, np.float32)
        snr_db = rng.uniform(*ranges.noise_snr_db)
        level = np.sqrt(np.square(out).mean()) * 10 ** (-snr_db / 20)
        return np.asarray(out + np.float32(level) * noise)


def fixed_scenes(recordings: Sequence[AnnotatedAudio], count: int, frames: int) -> list[Scene]:
    """Return windows as they are, evenly spread over recordings: at most ``count`` of them."""
    every = [
        (audio, first)
        for audio in recordings
        for first in range(0, max(audio.frames - frames, 0) + 1, frames)
    ]
    chosen = np.unique(np.linspace(0, len(every) - 1, min(count, len(every))).astype(int))
    return [every[number][0].scene(every[number][1], frames) for number in chosen]


def _masked_bands(
    bins: int, ranges: RecordedRanges, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return a gain over frequency that takes some bands away; the phases stay as they are."""
    frequency = np.linspace(0, SAMPLE_RATE / 2, bins)
    octave = np.log2(np.maximum(frequency, 30) / 125)
    gain = np.ones(bins)
    for _ in range(int(rng.integers(ranges.masked_bands + 1))):
        centre, width = rng.uniform(0, 6), rng.uniform(0.2, ranges.masked_octaves)
        inside = np.clip(2 - 4 * np.abs(octave - centre) / width, 0, 1)
        gain *= 10 ** (-ranges.masked_db * inside / 20)
    return np.asarray(gain, np.float32)


def _padded(part: NDArray[_Scalar], frames: int) -> NDArray[_Scalar]:
    """Return a part of a recording, 0 after its end."""
    out = np.zeros(frames, part.dtype)
    out[: len(part)] = part
    return out


def _either(
    one: NDArray[np.bool_] | None, other: NDArray[np.bool_] | None
) -> NDArray[np.bool_] | None:
    return one if other is None else other if one is None else one | other


def _merged(one: Track, other: Track) -> Track:
    later = other.active
    places = (
        np.where(later, getattr(other, name), getattr(one, name))
        for name in ("azimuth", "elevation", "distance_cm")
    )
    return Track(one.class_id, one.active | later, *places)


def _sources(events: Sequence[Event], frames: int) -> list[Track]:
    rows: dict[tuple[int, int], list[Event]] = {}
    for event in events:
        if event.class_id != IGNORED:
            rows.setdefault((event.class_id, event.source), []).append(event)
    sources = []
    for (class_id, _), of_source in sorted(rows.items()):
        at = np.array([event.frame for event in of_source])
        # Where it does not sound it is where it sounded last: nothing is learnt there.
        filled = np.clip(np.searchsorted(at, np.arange(frames), side="right") - 1, 0, None)
        active = np.zeros(frames, bool)
        active[at] = True
        distance = [np.nan if e.distance_cm is None else e.distance_cm for e in of_source]
        columns = ([e.azimuth for e in of_source], [e.elevation for e in of_source], distance)
        sources.append(
            Track(class_id, active, *(np.array(column, np.float32)[filled] for column in columns))
        )
    return sources


def _can_seek(recording: Recording) -> bool:
    """Return whether windows can be read from the file itself."""
    return (
        recording.converter is None
        and recording.gain == 1
        and recording.sample_rate == SAMPLE_RATE
        and recording.path.suffix.lower() in AUDIO_SUFFIXES
    )


def _decode(recording: Recording, cache: Path) -> Path:
    """Return four capsules of a whole recording at 24 kHz in half precision, made once."""

    def make(entry: Path) -> None:
        parts = [block.astype(np.float16) for block in recording.blocks()]
        with entry.open("wb") as file:
            np.save(file, np.concatenate(parts))

    def read(entry: Path) -> Path:
        np.load(entry, mmap_mode="r")
        return entry

    suffix = f".{recording.layout}.npy"
    return cached(cache, recording.path, suffix, make, read)


def _check_sound(audio: AnnotatedAudio, annotation: Path) -> None:
    """Raise ``DataError`` where events are annotated and there is no sound at all."""
    if not audio.sources:
        return
    first = int(np.flatnonzero(audio.sources[0].active)[0])
    step = 600
    for start in (first, *range(0, audio.frames, step)):
        if audio.window(start, step).any():
            return
    raise DataError(
        audio.path,
        expected=f"sound, as {annotation.name} has events",
        found="silence from beginning to end",
    )


def _centres(columns: LabelColumns) -> NDArray[np.float64]:
    """Return unit vectors (N, 3): where the masks have their energy; NaN of an empty one."""
    pixel = columns.pixel.astype(int)
    azimuth = 180 - (pixel % WIDTH + 0.5) * (360 / WIDTH)
    elevation = 90 - (pixel // WIDTH + 0.5) * (180 / HEIGHT)
    energy = np.asarray(columns.energy, float)
    rows = np.repeat(np.arange(len(columns.frame)), np.diff(columns.start))
    minimum = np.full(len(columns.frame), np.inf)
    np.minimum.at(minimum, rows, energy)
    # Labels begin at about a quarter: what is over the mask's edge says where its middle is.
    weight = energy - 0.9 * minimum[rows]
    total = np.zeros((len(columns.frame), 3))
    np.add.at(total, rows, weight[:, None] * unit_vector(azimuth, elevation))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(total / np.linalg.norm(total, axis=1, keepdims=True))


def _events_of_masks(columns: LabelColumns) -> list[Event]:
    azimuth, elevation = angles_of_vector(_centres(columns))
    return [
        Event(
            int(columns.frame[row]),
            int(columns.class_id[row]),
            int(columns.instance_id[row]),
            float(azimuth[row]),
            float(elevation[row]),
            None if np.isnan(columns.distance_cm[row]) else float(columns.distance_cm[row]),
        )
        for row in range(len(columns.frame))
    ]


def _at_masks(events: Sequence[Event], columns: LabelColumns) -> list[Event]:
    """Return events moved to the middle of the nearest mask of their frame and class."""
    masks: dict[tuple[int, int], list[Event]] = {}
    for mask in _events_of_masks(columns):
        masks.setdefault((mask.frame, mask.class_id), []).append(mask)
    moved = []
    for event in events:
        near = masks.get((event.frame, event.class_id), [])
        apart = [
            float(great_circle(event.azimuth, event.elevation, m.azimuth, m.elevation))
            for m in near
        ]
        if apart and min(apart) < _MASK_NEAR_DEG:
            mask = near[int(np.argmin(apart))]
            event = event._replace(azimuth=mask.azimuth, elevation=mask.elevation)
        moved.append(event)
    return moved
