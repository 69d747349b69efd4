"""Scenes mixed on the fly: five seconds of a room, its sounds, and what there was to hear.

Scene i of a run is a function of (seed, i), the sounds and the rooms: sounds of several sources,
each equalised and sped up at random, convolved with the responses of places in one room (points of
a walk are crossfaded), in diffuse and sensor noise, through capsules that are not quite alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from saiseld.conventions.arrays import TETRAHEDRON, eigenmike_xyz
from saiseld.conventions.rigid_sphere import RigidSphereArray
from saiseld.conventions.sphere import great_circle
from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.conventions.timebase import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from saiseld.training.seld.recipes import SceneRanges
from saiseld.training.seld.responses import CHANNELS, Place, Room
from saiseld.training.seld.sounds import INTERFERER, PROCEDURAL, Clip, SoundPool

Signal = NDArray[np.float32]

_APART_DEG = 12.0
_TRIES = 12
_WALK_DEG_S = (8.0, 40.0)
"""How fast walkers move, as seen from the array."""
_WALK_POINT_DEG = 4.0
_PEOPLE = frozenset({0, 1, 2, 4, 6})


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """A source in a scene, or in a recording, of T frames.

    Parameters
    ----------
    class_id
        Of the source; -1 for one without a class, which nobody annotates.
    active
        (T,) whether it sounds.
    azimuth, elevation, distance_cm
        (T,) where it is; the distance NaN where it is not known.
    """

    class_id: int
    active: NDArray[np.bool_]
    azimuth: NDArray[np.float32]
    elevation: NDArray[np.float32]
    distance_cm: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A window of T frames to learn from.

    Parameters
    ----------
    audio
        (4, N) what the capsules record.
    tracks
        What sounds.
    ignored
        (T,) whether something sounds that is none of our classes; None for never.
    """

    audio: Signal
    tracks: tuple[Track, ...]
    ignored: NDArray[np.bool_] | None = None


class SceneSource(Protocol):
    """Anything that draws scenes."""

    def scene(self, rng: np.random.Generator) -> Scene:
        """Return a scene, a function of the generator."""
        ...


class Mixer:
    """Draws scenes.

    Parameters
    ----------
    sounds, rooms
        What sounds, and where.
    ranges
        What is drawn from.
    frames
        Of a scene.
    """

    def __init__(
        self, sounds: SoundPool, rooms: Sequence[Room], ranges: SceneRanges, frames: int
    ) -> None:
        self.sounds, self.rooms, self.ranges, self.frames = sounds, rooms, ranges, frames
        self._by_source = {
            class_id: sounds.by_source(class_id) for class_id in range(INTERFERER, NUM_CLASSES)
        }

    def scene(self, rng: np.random.Generator) -> Scene:
        """Return a scene."""
        ranges, samples = self.ranges, self.frames * SAMPLES_PER_FRAME
        room = self.rooms[int(rng.integers(len(self.rooms)))]
        count = int(rng.choice(len(ranges.sources), p=_shares(ranges.sources)))
        mixture = np.zeros((CHANNELS, samples), np.float32)
        tracks: list[Track] = []
        wet_power = []
        for _ in range(count):
            class_id = self._class(tracks, rng)
            place = self._place(room, class_id, tracks, rng)
            start, dry = self._dry(class_id, rng)
            track, wet = self._sounding(room, place, class_id, start, dry, rng)
            if track.active.any():
                tracks.append(track)
                mixture += wet
                wet_power.append(float(np.square(wet[:, track.samples_mask]).mean()))
        if self._by_source[INTERFERER] and rng.random() < ranges.interferers:
            place = self._place(room, INTERFERER, tracks, rng)
            start, dry = self._dry(INTERFERER, rng)
            track, wet = self._sounding(room, place, INTERFERER, start, dry, rng)
            mixture += wet
            tracks.append(track)  # of no class: losses pass over it
        reference = max(wet_power, default=1e-2)
        mixture += self._noise(reference, rng)
        return Scene(self._captured(mixture, rng), tuple(tracks))

    def _class(self, tracks: Sequence[Track], rng: np.random.Generator) -> int:
        if tracks and rng.random() < self.ranges.same_class:
            return tracks[int(rng.integers(len(tracks)))].class_id
        weights = _shares(self.ranges.class_weights)
        return int(rng.choice(NUM_CLASSES, p=weights))

    def _clip(self, class_id: int, rng: np.random.Generator) -> Clip:
        sources = self._by_source[class_id]
        real = [name for name in sources if name != PROCEDURAL]
        if PROCEDURAL in sources and (not real or rng.random() < self.ranges.procedural):
            clips = sources[PROCEDURAL]
        else:
            # A source of many clips is drawn more often than one of few, but not in proportion.
            weight = np.array([len(sources[name]) for name in real]) ** 0.25
            clips = sources[real[int(rng.choice(len(real), p=weight / weight.sum()))]]
        return clips[int(rng.integers(len(clips)))]

    def _dry(self, class_id: int, rng: np.random.Generator) -> tuple[int, Signal]:
        """Return when a sound starts and its samples, cut to the scene."""
        ranges, samples = self.ranges, self.frames * SAMPLES_PER_FRAME
        signal = self.sounds.signal(self._clip(class_id, rng))
        factor = 2 ** rng.uniform(-ranges.speed_octaves, ranges.speed_octaves)
        if abs(factor - 1) > 0.01:
            signal = soxr.resample(signal, SAMPLE_RATE, SAMPLE_RATE / factor, quality="LQ")
        if class_id in ranges.repeating and len(signal) < samples:
            signal = self._repeated(signal, samples, rng)
        start = int(rng.integers(-len(signal) // 2, samples - min(len(signal), samples) // 2))
        if start < 0:
            signal, start = signal[-start:], 0
        signal = signal[: samples - start].copy()
        fade = SAMPLE_RATE // 200
        if len(signal) > 2 * fade:
            signal[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
        level = 0.0 if class_id == INTERFERER else ranges.level_db[class_id]
        gain = level + rng.normal(0, ranges.level_spread_db)
        return start, np.asarray(signal * np.float32(10 ** (gain / 20)))

    def _repeated(self, signal: Signal, samples: int, rng: np.random.Generator) -> Signal:
        """Return one event after another of the same source, as people go on talking."""
        parts = [signal]
        while sum(len(p) for p in parts) < samples and rng.random() < 0.6:
            parts += [np.zeros(int(rng.uniform(0.02, 0.35) * SAMPLE_RATE), np.float32), signal]
        return np.concatenate(parts)

    def _place(
        self, room: Room, class_id: int, tracks: Sequence[Track], rng: np.random.Generator
    ) -> Place:
        walks = class_id in _PEOPLE and rng.random() < self.ranges.moving
        places = room.walks if walks and room.walks else room.standing
        best, widest = places[0], -1.0
        for _ in range(_TRIES):
            place = places[int(rng.integers(len(places)))]
            apart = min(
                (
                    float(
                        great_circle(
                            place.azimuth[:, None],
                            place.elevation[:, None],
                            track.azimuth[None, ::10],
                            track.elevation[None, ::10],
                        ).min()
                    )
                    for track in tracks
                ),
                default=180.0,
            )
            if apart > widest:
                best, widest = place, apart
            if widest > _APART_DEG:
                break
        return best

    def _sounding(
        self,
        room: Room,
        place: Place,
        class_id: int,
        start: int,
        dry: Signal,
        rng: np.random.Generator,
    ) -> tuple[_Sounding, Signal]:
        samples = self.frames * SAMPLES_PER_FRAME
        whole = np.zeros(samples, np.float32)
        whole[start : start + len(dry)] = dry
        centre = (np.arange(self.frames) + 0.5) * SAMPLES_PER_FRAME
        along = _walk(place, self.frames, rng)
        first = round(start / SAMPLES_PER_FRAME)
        last = round((start + len(dry)) / SAMPLES_PER_FRAME)
        active = (np.arange(self.frames) >= first) & (np.arange(self.frames) < last)
        if not active.any() and len(dry):
            active[min(first, self.frames - 1)] = True
        low = np.minimum(along.astype(int), len(place.rows) - 1)
        at = np.rint(along).astype(int)
        track = _Sounding(
            class_id, active, place.azimuth[at], place.elevation[at], place.distance_cm[at]
        )
        points = np.unique(np.concatenate([low, np.minimum(low + 1, len(place.rows) - 1)]))
        response = room.responses(place.rows[points])
        length = next_fast_len(samples + response.shape[-1] // 2, real=True)
        total = np.zeros((CHANNELS, length // 2 + 1), np.complex64)
        position = np.interp(np.arange(samples), centre, along).astype(np.float32)
        for number, point in enumerate(points):
            weight = np.clip(1 - np.abs(position - point), 0, 1) if len(points) > 1 else 1.0
            spectrum = rfft(whole * weight, length)
            total += spectrum * rfft(response[number][:, : length - 1], length, axis=-1)
        total *= gain_curve(length // 2 + 1, self.ranges.equaliser_db, rng)
        return track, np.asarray(irfft(total, length, axis=-1)[:, :samples], np.float32)

    def _noise(self, reference: float, rng: np.random.Generator) -> Signal:
        samples = self.frames * SAMPLES_PER_FRAME
        noise = _diffuse_noise()
        start = int(rng.integers(noise.shape[1] - samples))
        diffuse = noise[:, start : start + samples]
        diffuse = np.roll(diffuse, int(rng.integers(samples)), axis=1)
        length = next_fast_len(samples, real=True)
        tilt = rng.uniform(*self.ranges.noise_tilt_db)
        octave = np.log2(np.maximum(np.arange(length // 2 + 1) / length * SAMPLE_RATE, 60) / 1000)
        gain = 10 ** (tilt * octave / 20) * gain_curve(length // 2 + 1, 4.0, rng)
        coloured = irfft(rfft(diffuse, length, axis=-1) * gain.astype(np.float32), length, axis=-1)
        coloured = coloured[:, :samples] / np.sqrt(np.square(coloured).mean() + 1e-12)
        sensor = rng.standard_normal((CHANNELS, samples), np.float32)
        level = 10 ** (-rng.uniform(*self.ranges.snr_db) / 20)
        quiet = level * 10 ** (-rng.uniform(3, 20) / 20)
        return np.asarray((level * coloured + quiet * sensor) * np.sqrt(reference), np.float32)

    def _captured(self, mixture: Signal, rng: np.random.Generator) -> Signal:
        """Return what capsules that are not quite alike make of it, at any level."""
        samples = mixture.shape[1]
        length = next_fast_len(samples, real=True)
        spectrum = rfft(mixture, length, axis=-1)
        spectrum *= gain_curve(length // 2 + 1, self.ranges.room_equaliser_db, rng)
        for channel in range(CHANNELS):
            spectrum[channel] *= gain_curve(length // 2 + 1, self.ranges.capsule_db, rng)
        out = irfft(spectrum, length, axis=-1)[:, :samples]
        peak = 10 ** (rng.uniform(*self.ranges.peak_db) / 20)
        return np.asarray(out * (peak / (np.abs(out).max() + 1e-9)), np.float32)


@cache
def _diffuse_noise() -> Signal:
    """Return (4, N): twenty seconds of diffuse white noise of power 1."""
    array = RigidSphereArray(eigenmike_xyz()[list(TETRAHEDRON)])
    envelope = np.ones(20 * SAMPLE_RATE, np.float32)
    field = array.diffuse_field(envelope, np.random.default_rng(11))
    return np.asarray(field / np.sqrt(np.square(field).mean()), np.float32)


class _Sounding(Track):
    __slots__ = ()

    @property
    def samples_mask(self) -> NDArray[np.bool_]:
        """Return (N,) whether it sounds, by sample."""
        return np.repeat(self.active, SAMPLES_PER_FRAME)


def _walk(place: Place, frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return (T,) which point of a walk a source is at, between points too."""
    points = len(place.rows)
    if points == 1:
        return np.zeros(frames)
    step = rng.uniform(*_WALK_DEG_S) / _WALK_POINT_DEG / FPS
    along = rng.uniform(0, 2 * (points - 1)) + step * np.arange(frames)
    there_and_back = np.abs(along % (2 * (points - 1)) - (points - 1))
    return np.asarray(there_and_back)


def gain_curve(bins: int, spread_db: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a smooth random gain over frequency, (bins,), knots evenly spaced in octaves."""
    knots = np.array([60, 125, 250, 500, 1000, 2000, 4000, 8000, 12000.0])
    frequency = np.linspace(0, SAMPLE_RATE / 2, bins)
    gain = rng.normal(0, spread_db, len(knots))
    octaves = np.log2(np.maximum(frequency, 60))
    return np.asarray(10 ** (np.interp(octaves, np.log2(knots), gain) / 20), np.float32)


def _shares(weights: Sequence[float]) -> NDArray[np.float64]:
    total = np.asarray(weights, float)
    return np.asarray(total / total.sum())
