"""Band covariances of an em32 in random rooms, made in the frequency domain: no audio is needed.

A 10 ms spectrum of a sound in a room is a sum over arrivals of (source spectrum, that much
earlier) x (gain and phase of the way) x (response of the rigid sphere to that direction). The
strongest image sources of a shoebox are such arrivals; what is left of the reverberation is a
diffuse field. The source's spectra come from a complex envelope at 1 kHz, so that arrivals a few
milliseconds apart stay coherent, as they do in the front end.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from saiseld.acoustics.covariance import SUBFRAMES, band_frequencies, covariance
from saiseld.conventions.arrays import (
    CHANNELS,
    FRONT_END_WAVELENGTH,
    RADIUS_M,
    TETRAHEDRON,
    eigenmike_xyz,
)
from saiseld.conventions.bands import BANDS
from saiseld.conventions.rigid_sphere import SPEED_OF_SOUND, rigid_sphere_response
from saiseld.conventions.sphere import fibonacci_sphere, unit_vector
from saiseld.simulation.rooms.room import Room, image_sources

_ARRIVALS = 40
"""Strongest arrivals of a source that are plane waves; the rest of its energy is diffuse."""
_HORIZON_S = 0.06
_SUBFRAME_STEPS = 10
"""Envelope samples (1 ms) in a sub-frame."""


@dataclass(frozen=True, slots=True)
class SceneRanges:
    """What the rooms and their sounds are drawn from.

    Parameters
    ----------
    rt60_s, snr_db, distance_m
        Smallest and largest reverberation time, sensor signal-to-noise ratio, source distance.
    sources
        Probability of one, two, ... simultaneous sources.
    """

    rt60_s: tuple[float, float] = (0.15, 1.0)
    snr_db: tuple[float, float] = (5.0, 30.0)
    distance_m: tuple[float, float] = (0.5, 4.0)
    sources: tuple[float, ...] = (0.55, 0.35, 0.10)


@dataclass(frozen=True, slots=True)
class CovarianceBatch:
    """Covariances of the same frames by the whole array and by its four-channel subset.

    Parameters
    ----------
    full
        (B, 9, 32, 32) complex64.
    direct
        (B, 9, 32, 32) complex64, what came straight from the sources, without reflections,
        reverberation and noise, as the array of LAM's steering would hear it (free field, one
        wavelength for all bands), divided by the same numbers as ``full``.
    tetrahedral
        (B, 9, 4, 4) complex64, of the same snapshots as ``full``.
    directions
        Per frame the (sources, 3) unit vectors of its sources.
    """

    full: NDArray[np.complex64]
    direct: NDArray[np.complex64]
    tetrahedral: NDArray[np.complex64]
    directions: list[NDArray[np.float64]]


def draw_covariances(
    count: int, rng: np.random.Generator, ranges: SceneRanges = SceneRanges()
) -> CovarianceBatch:
    """Draw the covariances of ``count`` frames, each in a room of its own."""
    observed = np.empty((count, BANDS, SUBFRAMES, CHANNELS), np.complex64)
    direct = np.empty_like(observed)
    directions = []
    for index in range(count):
        observed[index], direct[index], direction = _draw_frame(rng, ranges)
        directions.append(direction)
    full, largest = covariance(observed)
    tetrahedral, largest_of_four = covariance(observed[..., list(TETRAHEDRON)])
    return CovarianceBatch(
        full / largest, covariance(direct)[0] / largest, tetrahedral / largest_of_four, directions
    )


def _draw_frame(
    rng: np.random.Generator, ranges: SceneRanges
) -> tuple[NDArray[np.complex128], NDArray[np.complex128], NDArray[np.float64]]:
    """Return what the array hears and what of it is direct sound, (9, 10, 32), and directions."""
    room = Room(
        tuple(rng.uniform((3.0, 3.0, 2.4), (10.0, 8.0, 4.0))),
        rng.uniform(*ranges.rt60_s),
        tuple(rng.uniform(0.5, 1.5, 6)),
    )
    size = np.array(room.size_m)
    receiver = rng.uniform((0.7, 0.7, 0.9), size - (0.7, 0.7, 0.7))
    count = 1 + rng.choice(len(ranges.sources), p=ranges.sources)
    observed = np.zeros((BANDS, SUBFRAMES, CHANNELS), complex)
    direct = np.zeros_like(observed)
    directions = np.empty((count, 3))
    for index in range(count):
        directions[index], sound, straight = _draw_source(rng, ranges, room, receiver)
        level = 10 ** (rng.uniform(-10, 0) / 20) if index else 1.0
        level /= np.sqrt(np.mean(np.abs(sound) ** 2))
        observed += level * sound
        direct += level * straight
    power = np.mean(np.abs(observed) ** 2)
    sensor = np.sqrt(power * 10 ** (-rng.uniform(*ranges.snr_db) / 10))
    room_noise = np.sqrt(power * 10 ** (-rng.uniform(10, 40) / 10))
    observed += sensor * _complex_noise(rng, observed.shape) + room_noise * _diffuse(rng)
    return observed, direct, directions


def _draw_source(
    rng: np.random.Generator,
    ranges: SceneRanges,
    room: Room,
    receiver: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.complex128], NDArray[np.complex128]]:
    """Return a source's direction, what the array hears of it and what of that is direct."""
    direction = unit_vector(rng.uniform(-180, 180), np.degrees(np.arcsin(rng.uniform(-0.95, 0.95))))
    with np.errstate(divide="ignore"):
        to_walls = np.where(
            direction > 0, (np.array(room.size_m) - receiver) / direction, receiver / -direction
        )
    distance = min(rng.uniform(*ranges.distance_m), 0.9 * to_walls.min())
    offset, gain, _ = image_sources(
        room, receiver + distance * direction, receiver, _HORIZON_S * SPEED_OF_SOUND
    )
    length = np.linalg.norm(offset, axis=1)
    gain = gain / length
    strongest = np.argsort(-gain)[:_ARRIVALS]
    early = gain[strongest]
    # Reverberant energy of a diffuse room from the direct sound on, less what is kept as images.
    late = 4 * np.pi * SPEED_OF_SOUND / room.volume_m3 * room.rt60_s / (6 * np.log(10))
    late = max(late - np.sum(early**2) + early[0] ** 2, 0.05 * late)
    delay_s = length[strongest] / SPEED_OF_SOUND
    envelope = _envelope(rng)
    steps = np.arange(SUBFRAMES) * _SUBFRAME_STEPS + envelope.shape[1] - SUBFRAMES * _SUBFRAME_STEPS
    late_by = np.round((delay_s - delay_s[0]) * 1000).astype(int)
    phase = early * np.exp(-2j * np.pi * np.outer(band_frequencies(), delay_s))
    arriving = envelope[:, steps[:, None] - late_by] * phase[:, None, :]
    waves = _sphere(offset[strongest] / length[strongest, None])
    floor = np.sqrt(late * np.mean(np.abs(envelope) ** 2, axis=1))
    sound = arriving @ waves + floor[:, None, None] * _diffuse(rng)
    return direction, sound, arriving[..., :1] * _ideal_wave(direction)


def _envelope(rng: np.random.Generator) -> NDArray[np.complex128]:
    """Return the (9, T) windowed spectra of a random sound at 1 ms steps, the last 100 the frame's.

    Between noise and steady tones, coloured, in half of the cases swelling or struck.
    """
    history = int(_HORIZON_S * 1000)
    samples = history + (SUBFRAMES + 1) * _SUBFRAME_STEPS
    steadiness = rng.choice([0.0, rng.uniform(0, 0.9), rng.uniform(0.9, 0.999)])
    noise = np.sqrt(1 - steadiness**2) * _complex_noise(rng, (BANDS, samples))
    noise[:, 0] /= np.sqrt(1 - steadiness**2)
    signal = lfilter([1.0], [1.0, -steadiness], noise)
    loudness = np.ones(samples)
    kind = rng.uniform()
    if kind < 0.25:
        loudness = np.exp(np.cumsum(rng.normal(0, 0.15, samples)))
    elif kind < 0.5:
        since = np.arange(samples) - rng.integers(0, history + 50)
        loudness = np.where(since >= 0, np.exp(-since / rng.uniform(10, 200)), 0.02)
    colour = 10 ** (rng.normal(0, 5, BANDS) / 20)
    window = np.hanning(_SUBFRAME_STEPS + 1)[:-1]
    shaped = colour[:, None] * signal * loudness
    return np.asarray(lfilter(window, 1.0, shaped)[:, _SUBFRAME_STEPS - 1 :])


def _diffuse(rng: np.random.Generator) -> NDArray[np.complex128]:
    """Return (9, 10, 32) snapshots of a diffuse field of unit power at the sphere's centre."""
    waves = _diffuse_waves()
    noise = _complex_noise(rng, (BANDS, SUBFRAMES, waves.shape[1]))
    return noise @ waves


def _ideal_wave(direction: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Return what the array of LAM's steering would hear of a plane wave, (32,)."""
    return np.asarray(np.exp(2j * np.pi / FRONT_END_WAVELENGTH * eigenmike_xyz() @ direction))


@cache
def _diffuse_waves() -> NDArray[np.complex128]:
    directions = fibonacci_sphere(3).T
    return np.asarray(_sphere(directions) / np.sqrt(len(directions)))


def _sphere(directions: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Return the (9, waves, 32) responses of the capsules to plane waves (waves, 3)."""
    table = _sphere_table()
    cosine = np.clip(directions @ eigenmike_xyz().T / RADIUS_M, -1, 1)
    position = (cosine + 1) / 2 * (table.shape[1] - 1)
    return table[:, np.rint(position).astype(int)]


@cache
def _sphere_table() -> NDArray[np.complex128]:
    """Return the rigid sphere's response (9, 4001) over the cosine of the angle of arrival."""
    ka = 2 * np.pi * band_frequencies() * RADIUS_M / SPEED_OF_SOUND
    return rigid_sphere_response(ka, np.linspace(-1, 1, 4001))


def _complex_noise(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.complex128]:
    pairs = rng.standard_normal((*shape, 2)) / np.sqrt(2)
    return np.asarray(pairs.view(np.complex128)[..., 0])
