"""What one pass over a recording leaves: levels, clipped samples, covariances by frequency."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.timebase import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from saiseld.data.recordings import Recording

LOWEST_HZ, HIGHEST_HZ = 60.0, 4000.0
BANDS_HZ = np.geomspace(250, HIGHEST_HZ, 13)
"""Edges of third octaves, in which single frames are looked at."""
_BLOCK_FRAMES = 100
_CLIPPED, _OVER = 0.999, 1.001
_DEAD = 10**-4.0
"""Of the median channel's power: 40 dB below it."""
_FIRST = 4


def dead_channels(power: NDArray[np.floating], silence: float = 0.0) -> NDArray[np.bool_]:
    """Return which channels, along the last axis of their ``power``, are far below the median.

    Where the median is silence itself, those below ``silence`` count.
    """
    median = np.median(power, axis=-1, keepdims=True)
    return np.asarray(power < np.maximum(median, silence) * _DEAD)


class ChannelSummary:
    """Levels and covariances of a recording's channels as they are stored.

    Parameters
    ----------
    recording
        The recording.
    seconds
        How much of it is looked at, from the start.

    Attributes
    ----------
    channels, frames, silent_frames
        How many channels; how many frames were looked at, and how many are exactly zero.
    clipped, power
        (channels,) samples at full scale, none where some go beyond it; sum of squares.
    frequency, covariance
        (F,) in Hz and (F, channels, channels) sums of ``conj(x_i) x_j``.
    intensity
        (frames, bands, 3) coherence of the first channel with the next three in phase: the cosine
        of their spectra over a third octave of one frame.
    """

    def __init__(self, recording: Recording, seconds: float = np.inf) -> None:
        self.channels = recording.channels
        frequency = np.fft.rfftfreq(SAMPLES_PER_FRAME, 1 / SAMPLE_RATE)
        bins = (frequency >= LOWEST_HZ) & (frequency <= HIGHEST_HZ)
        self.frequency = frequency[bins]
        self.clipped = np.zeros(self.channels, np.int64)
        self.silent_frames = self.frames = 0
        self.covariance = np.zeros((len(self.frequency), self.channels, self.channels), complex)
        self.power = np.zeros(self.channels)
        self._starts = np.searchsorted(self.frequency, BANDS_HZ[:-1])
        self._parts: list[NDArray[np.float64]] = []
        peak = np.zeros(self.channels)
        window = np.hanning(SAMPLES_PER_FRAME)[:, None]
        for block in recording.blocks(_BLOCK_FRAMES, tetrahedral=False):
            if self.frames >= seconds * FPS:
                break
            self.frames += len(block) // SAMPLES_PER_FRAME
            self.clipped += (np.abs(block) >= _CLIPPED).sum(axis=0)
            peak = np.maximum(peak, np.abs(block).max(axis=0))
            frames = block.reshape(-1, SAMPLES_PER_FRAME, self.channels).astype(float)
            self.power += (frames**2).sum(axis=(0, 1))
            self.silent_frames += int((frames == 0).all(axis=(1, 2)).sum())
            spectrum = np.fft.rfft(frames * window, axis=1)[:, bins]
            self.covariance += np.einsum("tfi,tfj->fij", spectrum.conj(), spectrum)
            if self.channels >= _FIRST:
                self._parts.append(self._intensity_of(spectrum[:, :, :_FIRST]))
        # Floats go on above full scale: where they do, nothing was clipped there.
        self.clipped[peak > _OVER] = 0

    @property
    def intensity(self) -> NDArray[np.float64]:
        """Return (frames, bands, 3); see the class."""
        return np.concatenate([np.zeros((0, len(self._starts), 3)), *self._parts])

    def total(self, band: tuple[float, float]) -> NDArray[np.complex128]:
        """Return the covariance between channels, summed over a band in Hz."""
        return np.asarray(self.covariance[self._inside(band)].sum(axis=0))

    def coherence(self, band: tuple[float, float]) -> NDArray[np.float64]:
        """Return the real coherence between channels, averaged over a band in Hz."""
        covariance = self.covariance[self._inside(band)]
        power = np.einsum("fii->fi", covariance).real
        scale = np.sqrt(power[:, :, None] * power[:, None, :])
        ratio = np.divide(covariance.real, scale, out=np.zeros(scale.shape), where=scale > 0)
        return np.asarray(ratio.mean(axis=0))

    def level_db(self, band: tuple[float, float]) -> NDArray[np.float64]:
        """Return each channel's level in a band against the median channel."""
        power = np.diag(self.total(band)).real
        median = np.median(power)
        return np.asarray(10 * np.log10(np.maximum(power, 1e-30) / max(median, 1e-30)))

    def _inside(self, band: tuple[float, float]) -> NDArray[np.bool_]:
        return (self.frequency >= band[0]) & (self.frequency <= band[1])

    def _intensity_of(self, spectrum: NDArray[np.complex128]) -> NDArray[np.float64]:
        def summed(values: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.add.reduceat(values, self._starts, axis=1)

        power = summed(np.abs(spectrum) ** 2)
        cross = summed((spectrum[..., :1].conj() * spectrum[..., 1:]).real)
        scale = np.sqrt(power[..., :1] * power[..., 1:].sum(axis=-1, keepdims=True))
        return np.asarray(np.divide(cross, scale, out=np.zeros_like(cross), where=scale > 0))
