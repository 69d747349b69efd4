"""Sound of any array as the four capsules of the em32's tetrahedron would have recorded it.

Short-time spectra are cut into cells of a few bins and hops. In each cell one direction is the
loudest: the maximum over the 484 grid directions of the whitened steered power, summed with its
neighbours. With the array's response a_d to a unit wave from d and G its covariance in a diffuse
field (mean of a_d a_d^H, trace M), whitened signals are ``y = (G + 0.3 I)^(-1/2) x``, and power is
``|b_d^H y|^2`` with b_d the whitened a_d of length 1. A superdirective beam gives the wave's
pressure (Cox, Zeskind, Owen, "Robust adaptive beamforming", IEEE ASSP 35, 1987), which is recorded
anew through the rigid sphere's response h_d. What it leaves of the sound goes through the linear
map L with the smallest mean square error in a diffuse field::

    s = w_d^H x,    w_d = (G + eps I)^-1 a_d / (a_d^H (G + eps I)^-1 a_d)
    y = h_d s + L (x - a_d s),    L = E[h a^H] (G + eps I)^-1

Before, gains of a small array's microphones are made alike by what they hear of long waves.
Parametric recording of one wave a cell, and the rest by a linear map, is that of Pulkki, "Spatial
Sound Reproduction with Directional Audio Coding", JAES 55 (2007), for general arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft

from saiseld.arrays.description import MicrophoneArray, tetrahedron
from saiseld.arrays.responses import array_response
from saiseld.conventions.arrays import TETRAHEDRON
from saiseld.conventions.sphere import fibonacci_sphere
from saiseld.conventions.timebase import SAMPLE_RATE

WINDOW, HOP = 512, 128
BINS = WINDOW // 2 + 1
CELL = 4
"""Hops in a cell."""
STEP = 4
"""Cells that are converted together; always as many, so that no number depends on blocks."""
HIGHEST_HZ = 8_000.0
"""Directions are taken up to here; what is above goes where the highest band is."""

WHITENING = 0.3
LOADING = 0.03
"""Of the diagonals of G, of mean 1, for steering and for beam and residual."""
MIN_BINS, WIDTH = 3, 0.15
"""Bins of a band at least, and its width relative to its frequency."""
MAX_RANK = 9
"""Dimensions that steering keeps of a diffuse field, the strongest."""
SMALL = 3e-4
"""Singular values of steering below this, relative to the largest, are left out."""

LEVEL_BINS = slice(2, 7)
"""94 to 281 Hz, where what microphones hear differs by their gains alone."""
LEVEL_ACROSS_M = 0.15
"""Of the widest array of which that is true."""
LEVEL_MEMORY, LEVEL_AFTER = 0.998, 5.0
"""Share of levels that a step leaves (40 s of memory), and steps after which half is believed."""
LEVEL_MOST_DB = 3.0

CAPSULES = 4
LATENCY = WINDOW - HOP + (STEP + 1) * CELL * HOP
"""Samples at 24 kHz after which a sample has certainly come out."""

Array = NDArray[np.float32]
Complex = NDArray[np.complex64]


def band_edges() -> NDArray[np.intp]:
    """Return the first bin of each band, and the bin after the last band (B + 1,)."""
    last = round(HIGHEST_HZ * WINDOW / SAMPLE_RATE)
    edges = [1]
    while edges[-1] < last:
        edges.append(edges[-1] + max(MIN_BINS, round(WIDTH * edges[-1])))
    edges[-1] = last + 1
    return np.array(edges)


@dataclass(frozen=True, eq=False)
class Tables:
    """What a converter looks up, of F bins, D directions, M microphones and rank K.

    Parameters
    ----------
    whitening
        (F, K, M), from microphones to the coordinates that are steered.
    steering
        For each band two matrices (bins x K^2, R) and (R, D): what a covariance is multiplied by
        to give power. Over directions power is smooth, so R is far smaller than either side.
    prior
        (D,) that powers are multiplied by.
    beam
        (F x D, M): conjugated weights.
    correction
        (F x D, 4): what the wave's pressure adds to each capsule.
    residual
        (F, M, 4): the linear map.
    """

    whitening: Complex
    steering: tuple[tuple[Array, Array], ...]
    prior: Array
    beam: Complex
    correction: Complex
    residual: Complex


def _tables(array: MicrophoneArray) -> Tables:
    directions = fibonacci_sphere().T
    frequency = np.asarray(np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE), np.float64)
    seen = array_response(array, frequency, directions)
    target = array_response(tetrahedron(), frequency, directions)
    microphones = array.microphones
    diffuse = np.einsum("fdm,fdn->fmn", seen, seen.conj(), optimize=True) / len(directions)
    size = np.trace(diffuse, axis1=1, axis2=2).real[:, None, None] / microphones
    size = np.maximum(size, 1e-6)
    loaded = diffuse + LOADING * size * np.eye(microphones)
    cross = np.einsum("fdc,fdm->fcm", target, seen.conj(), optimize=True) / len(directions)
    residual = cross @ np.linalg.inv(loaded)
    through = np.linalg.solve(loaded, seen.transpose(0, 2, 1)).transpose(0, 2, 1)
    power = np.einsum("fdm,fdm->fd", seen.conj(), through, optimize=True).real
    beam = (through / np.maximum(power, 1e-9)[..., None]).conj()
    correction = target - seen @ residual.transpose(0, 2, 1)
    value, vector = np.linalg.eigh(diffuse / size)
    rank = min(microphones, MAX_RANK)
    scale = 1 / np.sqrt(np.maximum(value[:, -rank:], 0) + WHITENING)
    whitening = scale[..., None] * vector[:, :, -rank:].conj().transpose(0, 2, 1)
    whitened = seen @ whitening.transpose(0, 2, 1)
    whitened /= np.maximum(np.linalg.norm(whitened, axis=2, keepdims=True), 1e-9)
    parts = hermitian_parts(whitened.transpose(2, 0, 1), 2.0).transpose(1, 0, 2)
    edges = band_edges()
    return Tables(
        whitening.astype(np.complex64),
        tuple(_factors(parts[a:b].reshape(-1, len(directions))) for a, b in pairwise(edges)),
        direction_prior(array, directions),
        beam.reshape(-1, microphones).astype(np.complex64),
        correction.reshape(-1, CAPSULES).astype(np.complex64),
        np.ascontiguousarray(residual.transpose(0, 2, 1).astype(np.complex64)),
    )


def _factors(steering: NDArray[np.floating[Any]]) -> tuple[Array, Array]:
    """Return two matrices whose product is a matrix (n, D), but for singular values that are small.

    In single precision, with as many columns as singular values above `SMALL` of the largest.
    """
    tall = len(steering) > steering.shape[1]
    value, vector = np.linalg.eigh(steering.T @ steering if tall else steering @ steering.T)
    basis = vector[:, value > SMALL**2 * value[-1]]
    pair = (steering @ basis, basis.T) if tall else (basis, basis.T @ steering)
    return (
        np.ascontiguousarray(pair[0], np.float32),
        np.ascontiguousarray(pair[1], np.float32),
    )


def direction_prior(array: MicrophoneArray, directions: NDArray[np.float64]) -> Array:
    """Return what powers (D,) are multiplied by: 1, or what is assumed of a planar array."""
    prior = np.ones(len(directions))
    normal = array.normal
    if array.ambiguous and normal is not None:
        yaw = np.radians(array.yaw_deg)
        turned = np.array([
            np.cos(yaw) * normal[0] - np.sin(yaw) * normal[1],
            np.sin(yaw) * normal[0] + np.cos(yaw) * normal[1],
            normal[2],
        ])  # fmt: skip
        prior[directions @ turned < -0.02] = 0.0
        if array.elevation_assumed:
            mean, deviation = array.elevation
            elevation = np.degrees(np.arcsin(np.clip(directions[:, 2], -1, 1)))
            prior *= np.exp(-0.5 * ((elevation - mean) / deviation) ** 2)
    return np.asarray(prior, np.float32)


def hermitian_parts(
    signals: NDArray[np.complexfloating[Any, Any]], double: float = 1.0
) -> NDArray[np.floating[Any]]:
    """Return (K^2, ...) real numbers of the outer products of signals (K, ...).

    Powers, then real and imaginary parts of ``x_i conj(x_j)``, i < j, times ``double``.
    """
    real, imaginary = signals.real, signals.imag
    count = len(signals)
    out = np.empty((count * count, *signals.shape[1:]), real.dtype)
    np.multiply(real, real, out=out[:count])
    out[:count] += imaginary * imaginary
    row, above = count, count * (count - 1) // 2
    for i in range(count):
        for j in range(i + 1, count):
            out[row] = double * (real[i] * real[j] + imaginary[i] * imaginary[j])
            out[row + above] = double * (imaginary[i] * real[j] - real[i] * imaginary[j])
            row += 1
    return out


class ArrayConverter:
    """What turns an array's channels into the signals of the tetrahedron's capsules.

    Made once for an array, with its tables; streams of it are cheap.

    Parameters
    ----------
    array
        The array that recorded.
    """

    def __init__(self, array: MicrophoneArray) -> None:
        self.array = array

    @cached_property
    def tables(self) -> Tables:
        """What its streams look up; made when the first needs them."""
        return _tables(self.array)

    @property
    def name(self) -> str:
        """The array, and a digest of its description: what results say they were made with."""
        return f"{self.array.name} ({self.array.digest})"

    @property
    def elevation_assumed(self) -> bool:
        """Whether elevations are assumed and not measured (`MicrophoneArray`)."""
        return self.array.elevation_assumed

    def check(self, channels: int, source: str | Path) -> None:
        """Raise ``AudioError`` where a recording has not the channels that the array needs."""
        self.array.channels_of(channels, source)

    def stream(self, *, live: bool = False) -> ArrayStream:
        """Return a new stream; live ones are the same."""
        return ArrayStream(self.array, self.tables)


class ChannelPick:
    """Picks the tetrahedron's capsules from a recording's channels: no sample is changed.

    Parameters
    ----------
    array
        The tetrahedron, or the em32, with its channels and polarity.
    """

    elevation_assumed = False

    def __init__(self, array: MicrophoneArray) -> None:
        self.array = array

    @property
    def name(self) -> str:
        """As `ArrayConverter.name`."""
        return f"{self.array.name} ({self.array.digest})"

    def check(self, channels: int, source: str | Path) -> None:
        """Raise ``AudioError`` where a channel is not there."""
        self.array.channels_of(channels, source)

    def stream(self, *, live: bool = False) -> ChannelPick:
        """Return itself: nothing is kept from one block to the next."""
        return self

    def push(self, samples: NDArray[np.floating[Any]]) -> Array:
        """Return (n, 4) of (n, channels) samples."""
        picked = self.array.select(samples)
        if self.array.is_em32:
            picked = picked[:, list(TETRAHEDRON)]
        return np.ascontiguousarray(picked, np.float32)

    def close(self) -> Array:
        """Return (0, 4): nothing is left."""
        return np.empty((0, CAPSULES), np.float32)


def converter_for(array: MicrophoneArray) -> ArrayConverter | ChannelPick:
    """Return what converts an array's channels; the em32 and its tetrahedron go on unchanged."""
    is_native = array.is_tetrahedron or array.is_em32
    return ChannelPick(array) if is_native and array.yaw_deg == 0 else ArrayConverter(array)


class Levels:
    """Gains that make the microphones of a small array alike, learnt while sound comes.

    Waves of 1.2 m and longer are as loud at all of them. Of the covariance there, ``log |C_ij| =
    log P + l_i + l_j`` with l the logarithm of gains, however loud each microphone's own noise is,
    which is in the diagonal alone; with l of mean 0 the least squares of all pairs are
    ``l_i = (s_i - mean s) / (M - 2)``, s_i the sum of log |C_ij| over j.

    Parameters
    ----------
    array
        The array; of cardioids, measured responses and wide ones nothing is learnt.
    """

    def __init__(self, array: MicrophoneArray) -> None:
        spread = array.positions_m[:, None] - array.positions_m
        is_small = float(np.linalg.norm(spread, axis=-1).max()) <= LEVEL_ACROSS_M
        self._learns = is_small and array.model in ("open", "rigid-sphere")
        self._covariance = np.zeros((array.microphones, array.microphones), np.complex128)
        self._steps = 0.0
        self._gains = np.ones(array.microphones, np.float32)

    def gains(self, spectra: Complex) -> Array:
        """Return the gains (M,) to apply, by all spectra (M, hops, F) so far."""
        long = spectra[:, :, LEVEL_BINS].reshape(len(spectra), -1).astype(np.complex128)
        covariance = long @ long.conj().T
        if not self._learns or not np.trace(covariance).real > 0:
            return self._gains
        self._covariance = LEVEL_MEMORY * self._covariance + covariance
        self._steps = LEVEL_MEMORY * self._steps + 1
        least = 1e-9 * np.trace(self._covariance).real
        pairs = np.log(np.maximum(np.abs(self._covariance), least))
        sums = pairs.sum(axis=1) - np.diag(pairs)
        level = (sums - sums.mean()) / (len(sums) - 2)
        most = LEVEL_MOST_DB * np.log(10) / 20
        believed = self._steps / (self._steps + LEVEL_AFTER)
        self._gains = np.exp(-believed * np.clip(level, -most, most)).astype(np.float32)
        return self._gains


class ArrayStream:
    """Converts one stream, block by block; the same numbers whatever the blocks.

    Parameters
    ----------
    array, tables
        Of its `ArrayConverter`.
    """

    def __init__(self, array: MicrophoneArray, tables: Tables) -> None:
        self.array = array
        self._tables = tables
        self._edges = band_edges()
        self._band_of_bin = np.clip(
            np.searchsorted(self._edges, np.arange(BINS), side="right") - 1,
            0,
            len(self._edges) - 2,
        )
        self._offset = np.arange(BINS) * tables.prior.size
        self._window = np.sqrt(np.hanning(WINDOW + 1)[:-1]).astype(np.float32)
        microphones, bands = array.microphones, len(tables.steering)
        self._waiting = np.zeros((WINDOW - HOP, microphones), np.float32)
        self._power = np.zeros((2, bands, tables.prior.size), np.float32)
        self._spectra = np.zeros((microphones, CELL, BINS), np.complex64)
        self._tail = np.zeros((CAPSULES, WINDOW - HOP), np.float32)
        self._levels = Levels(array)
        self._taken = self._given = 0
        # The first cell that comes out is one before the first that goes in, the first hops are
        # of windows that begin before the sound does.
        self._early = WINDOW - HOP + CELL * HOP

    def push(self, samples: NDArray[np.floating[Any]]) -> Array:
        """Take (n, channels) samples at 24 kHz and return the capsule signals (k, 4) so far.

        What comes out is as long as what went in, at most `LATENCY` samples later.
        """
        self._taken += len(samples)
        chosen = self.array.select(samples).astype(np.float32, copy=False)
        self._waiting = np.concatenate([self._waiting, chosen])
        parts: list[Array] = []
        step = STEP * CELL * HOP
        while len(self._waiting) >= WINDOW - HOP + step:
            parts.append(self._convert(self._waiting[: WINDOW - HOP + step]))
            self._waiting = self._waiting[step:]
        return self._due(parts)

    def close(self) -> Array:
        """Return what is left (k, 4): in all as many samples as were taken."""
        parts: list[Array] = []
        step = STEP * CELL * HOP
        left = self._taken - self._given
        while left + self._early > sum(len(part) for part in parts):
            part = self._waiting[: WINDOW - HOP + step]
            missing = WINDOW - HOP + step - len(part)
            parts.append(self._convert(np.pad(part, ((0, missing), (0, 0)))))
            self._waiting = self._waiting[step:]
        return self._due(parts)[:left]

    def _due(self, parts: list[Array]) -> Array:
        out = np.concatenate([np.empty((0, CAPSULES), np.float32), *parts])
        early = min(self._early, len(out))
        self._early -= early
        self._given += len(out) - early
        return out[early:]

    def _convert(self, samples: Array) -> Array:
        """Return the next (STEP x CELL x HOP, 4) capsule samples."""
        tables = self._tables
        hops = STEP * CELL
        windows = np.lib.stride_tricks.sliding_window_view(samples, WINDOW, axis=0)[::HOP]
        # A product of transposed operands keeps their order in memory, which the FFT copies twice.
        shaped = np.multiply(windows.transpose(1, 0, 2), self._window, order="C")
        new = rfft(shaped, axis=-1)  # (M, hops, F)
        new *= self._levels.gains(new)[:, None, None]
        power = np.concatenate([self._power, self._steered(new)])
        self._power = power[-2:]
        near = power[:-2] + power[1:-1] + power[2:]
        summed = near.copy()
        summed[:, 1:] += near[:, :-1]
        summed[:, :-1] += near[:, 1:]
        best = (summed * tables.prior).argmax(-1)  # (STEP, B), one cell late
        spectra = np.concatenate([self._spectra, new[:, :-CELL]], axis=1)
        self._spectra = new[:, -CELL:]
        at = np.repeat(best[:, self._band_of_bin] + self._offset, CELL, axis=0).T  # (F, hops)
        signals = np.ascontiguousarray(spectra.transpose(2, 1, 0))  # (F, hops, M)
        wave = np.einsum("fhm,fhm->fh", tables.beam[at], signals)
        capsules = signals @ tables.residual
        capsules += tables.correction[at] * wave[..., None]
        pieces = irfft(np.ascontiguousarray(capsules.transpose(2, 1, 0)), WINDOW, axis=-1)
        pieces *= self._window * np.float32(2 * HOP / WINDOW)
        out = np.zeros((CAPSULES, hops * HOP + WINDOW - HOP), np.float32)
        out[:, : WINDOW - HOP] = self._tail
        quarters = pieces.reshape(CAPSULES, hops, WINDOW // HOP, HOP)
        for quarter in range(WINDOW // HOP):
            start = quarter * HOP
            out[:, start : start + hops * HOP] += quarters[:, :, quarter].reshape(CAPSULES, -1)
        self._tail = out[:, hops * HOP :].copy()
        return np.ascontiguousarray(out[:, : hops * HOP].T)

    def _steered(self, spectra: Complex) -> Array:
        """Return the whitened steered power (STEP, B, D) of spectra (M, hops, F)."""
        tables = self._tables
        used = self._edges[-1]
        signals = np.ascontiguousarray(spectra[:, :, :used].transpose(2, 0, 1))
        whitened = np.matmul(tables.whitening[:used], signals).transpose(1, 2, 0)  # (K, hops, F)
        parts = hermitian_parts(np.ascontiguousarray(whitened))
        cells = parts.reshape(len(parts), STEP, CELL, used).sum(2).transpose(1, 2, 0)
        cells = np.ascontiguousarray(cells)
        power = np.empty((STEP, len(tables.steering), tables.prior.size), np.float32)
        for band, (first, last) in enumerate(pairwise(self._edges)):
            covariance = cells[:, first:last].reshape(STEP, -1)
            to_few, to_directions = tables.steering[band]
            power[:, band] = covariance @ to_few @ to_directions
        return power
