"""From the bytes of a sound file to clips of a bank: one rate, one bandwidth, one level.

All signals are mono float32 arrays at 24 kHz, shape (samples,), unless said otherwise.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import av
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from scipy.signal import fftconvolve, firwin

from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.runtime.errors import AudioError
from saiseld.simulation.sounds.bank import levelled

Signal = NDArray[np.float32]

BANDWIDTH_HZ = 7000.0
"""Every clip ends here: the band of G.722, the narrowest of the speech sources. Without a common
bandwidth a detector learns a class by its sources' sampling rate."""

MIN_SOURCE_RATE = 16_000
"""Sources of a lower rate cannot fill the common bandwidth and are refused."""

MAX_SOURCE_SECONDS = 120.0
"""Recordings are read so far."""
MAX_CLIP_SECONDS = 12.0
"""Longer recordings give several clips of this length."""
EXCERPTS = 2
"""Clips taken from a longer recording, evenly spaced."""

MIN_CLIP_SECONDS = 0.15
MIN_HIT_SECONDS = 0.03
SILENCE_DB = -45.0
"""Ends this far under the loudest 20 ms are cut off."""
ACTIVE_RMS = 0.07
"""RMS of a clip while it sounds, as `levelled` measures it; less where peaks would pass `PEAK`."""
PEAK = 0.9


def decode(name: str, content: bytes) -> tuple[Signal, int]:
    """Return mono samples at the file's own rate, and the rate in Hz.

    Raises
    ------
    AudioError
        If the file cannot be decoded, is empty, not finite or of too low a rate.
    """
    try:
        if name.endswith(".g722"):
            samples, rate = _decode_g722(content), 16_000
        else:
            with soundfile.SoundFile(io.BytesIO(content)) as file:
                rate = file.samplerate
                frames = int(MAX_SOURCE_SECONDS * rate)
                samples = file.read(frames, dtype="float32", always_2d=True).mean(axis=1)
    except soundfile.LibsndfileError as error:
        found = error.error_string
        raise AudioError(name, expected="a readable sound file", found=found) from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise AudioError(name, expected="a readable sound file", found=str(error)) from error
    if rate < MIN_SOURCE_RATE:
        raise AudioError(
            name,
            expected=f"at least {MIN_SOURCE_RATE} Hz, for the bank's bandwidth",
            found=f"{rate} Hz",
        )
    if not np.isfinite(samples).all() or not samples.any():
        raise AudioError(name, expected="finite samples and some sound", found="none")
    return samples, rate


def _decode_g722(content: bytes) -> Signal:
    with av.open(io.BytesIO(content), "r", format="g722") as container:
        blocks = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
    pulses = np.concatenate(blocks or [np.zeros(0, np.int16)])
    return pulses.astype(np.float32) / np.float32(2**15)


def clean(samples: Signal, rate: int) -> Signal:
    """Return a clip at 24 kHz, without offset or silent ends, limited to the common bandwidth."""
    resampled = soxr.resample(samples - samples.mean(), rate, SAMPLE_RATE)
    lowpass = firwin(255, BANDWIDTH_HZ, fs=SAMPLE_RATE)
    clip: Signal = fftconvolve(resampled, lowpass, mode="same").astype(np.float32)
    block = SAMPLE_RATE // 50
    blocks = np.pad(clip, (0, -len(clip) % block)).reshape(-1, block)
    level = np.sqrt(np.mean(blocks**2, axis=1))
    loud = np.flatnonzero(level > level.max() * 10 ** (SILENCE_DB / 20))
    return clip[loud[0] * block : (loud[-1] + 1) * block] if len(loud) else clip[:0]


def level(clip: Signal) -> Signal:
    """Return a clip with soft edges, at the bank's level: `ACTIVE_RMS`, with peaks under `PEAK`."""
    clip = levelled(clip)
    return clip * np.float32(min(ACTIVE_RMS, PEAK / np.abs(clip).max()))


def excerpts(clip: Signal) -> list[Signal]:
    """Return the clip, or evenly spaced parts of `MAX_CLIP_SECONDS` where it is longer."""
    length = int(MAX_CLIP_SECONDS * SAMPLE_RATE)
    spare = len(clip) - length
    if spare <= 0:
        return [clip]
    if spare < length:  # two parts would overlap
        return [clip[:length]]
    return [clip[at : at + length] for at in np.linspace(0, spare, EXCERPTS + 2, dtype=int)[1:-1]]


@dataclass(frozen=True)
class Rhythm:
    """How single hits follow one another."""

    hits_a_second: tuple[float, float]
    hits: tuple[int, int]
    """Fewest and most hits in a clip."""


RHYTHMS = {
    "clapping": Rhythm((2.5, 5.0), (6, 16)),
    "footsteps": Rhythm((1.5, 2.2), (5, 10)),
    "interferers": Rhythm((4.0, 8.0), (8, 30)),
    "knock": Rhythm((3.0, 5.0), (2, 6)),
    "musical_instrument": Rhythm((1.5, 6.0), (4, 24)),
}
"""Rhythm of the classes that are made of single hits."""


def sequence(hits: Sequence[Signal], rhythm: Rhythm, rng: np.random.Generator) -> Signal:
    """Return hits in a row: 6 % jitter about a steady rate, gain and pitch varied a little.

    Successive hits differ where there is more than one to choose from.
    """
    count = int(rng.integers(rhythm.hits[0], rhythm.hits[1] + 1))
    period = SAMPLE_RATE / rng.uniform(*rhythm.hits_a_second)
    starts = np.cumsum(period * rng.normal(1, 0.06, count).clip(0.8, 1.2)).astype(int)
    starts -= starts[0]
    longest = int(1.03 * max(len(hit) for hit in hits)) + 2
    out = np.zeros(starts[-1] + longest, np.float32)
    choice = int(rng.integers(len(hits)))
    for start in starts:
        # Speed up or slow down by up to 3 % through the resampler: no two hits are the same.
        hit = soxr.resample(hits[choice], SAMPLE_RATE, SAMPLE_RATE * rng.uniform(0.97, 1.03))
        gain = 10 ** (rng.uniform(-3, 0) / 20)
        out[start : start + len(hit)] += np.float32(gain) * hit[: len(out) - start]
        choice = (choice + int(rng.integers(1, max(len(hits), 2)))) % len(hits)
    return out
