"""Input features of four channels: a spectrum, and each mel band's spatial covariance.

One short-time spectrum serves all: 25 ms windows every 10 ms, the frames and the 64 mel bands
(125 to 7500 Hz) that YAMNet was trained on. Ten of its steps make one frame of 10 FPS.

The spatial covariance of a band says where its sound comes from. It is kept in coordinates in which
a diffuse field looks the same from everywhere: with G the covariance that waves from all round
give on the rigid sphere, channels are mixed by ``(G + 0.03 I)^(-1/2)``, so that low bands, where
the capsules hear nearly the same, tell directions apart as well as noise allows. Within a frame,
moments where a band gets louder count more: what arrives first comes straight from the source, and
its echoes later (the precedence effect).
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.fft import rfft

from saiseld.conventions.arrays import RADIUS_M, TETRAHEDRON, eigenmike_xyz
from saiseld.conventions.rigid_sphere import SPEED_OF_SOUND, rigid_sphere_response
from saiseld.conventions.sphere import angles_of_vector, unit_vector
from saiseld.conventions.symmetry import SYMMETRIES, Symmetry
from saiseld.conventions.timebase import SAMPLE_RATE, SAMPLES_PER_FRAME
from saiseld.seld.output import GRID, Array

WINDOW = 600
HOP = 240
FFT = 768
"""Samples of the short-time spectrum at 24 kHz: 25 ms, 10 ms, and bins of 31.25 Hz."""

HOPS_PER_FRAME = SAMPLES_PER_FRAME // HOP
BINS = FFT // 2 + 1
MELS = 64
LOWEST_HZ, HIGHEST_HZ = 125.0, 7500.0
CHANNELS = 4
COVARIANCE = CHANNELS * CHANNELS
"""Real numbers of a Hermitian 4 x 4 matrix."""
BANDS = 32
"""Of the steering of maps: neighbouring mel bands share a covariance."""
VIEW_BANDS = 4
"""Of the steering that the network looks at."""

SMOOTH = (7, 21)
"""Frames over which the covariances under a mask are averaged."""

TTA_SYMMETRIES = tuple(SYMMETRIES.values())
"""Ways to look at the same sound, of which the first is as it came."""

_LEVEL, _FLOOR = 0.05, 2e-5
"""RMS that a window is brought to, and the one below which it is taken for nothing."""
_NOISE = 0.03
_ONSET_FLOOR = 0.05
_PAST = 8
"""Steps before a moment that it is compared with."""

FloatArray = NDArray[np.float64]

_FIRST, _SECOND = np.triu_indices(CHANNELS, 1)


class Inputs(NamedTuple):
    """What `inputs` returns, of T frames.

    Parameters
    ----------
    mels
        (10 T, 64) natural log of the mel magnitude + 0.001, every 10 ms, as YAMNet takes it.
    spectrum
        (3, T, 64): mean and largest of `mels` in a frame, and how much of it are onsets.
    covariance
        (T, 64, 16): each band's covariance, of trace 1, in whitened coordinates: four powers,
        then real and imaginary parts above the diagonal.
    """

    mels: Array
    spectrum: Array
    covariance: Array


def inputs(audio: Array) -> Inputs:
    """Return the input features.

    Parameters
    ----------
    audio
        (4, N) samples at 24 kHz, N a whole number of frames.
    """
    frames = audio.shape[1] // SAMPLES_PER_FRAME
    audio = audio * np.float32(_LEVEL / np.sqrt(np.square(audio).mean() + _FLOOR**2))
    tables = _tables()
    parts = _products(spectra(audio, frames * HOPS_PER_FRAME))
    mels = log_mels(np.sqrt(parts[:CHANNELS].mean(0)))
    by_step = (parts.reshape(-1, parts.shape[-1]) @ tables.mel).reshape(COVARIANCE, -1, MELS)
    loud = by_step[:CHANNELS].sum(0)
    onset = _onsets(loud)
    in_frames = (frames, HOPS_PER_FRAME, MELS)
    weight = (_ONSET_FLOOR + onset).reshape(in_frames)
    pooled = (by_step.reshape(COVARIANCE, *in_frames) * weight).sum(2)
    covariance = (tables.whitening @ pooled.transpose(2, 0, 1)).transpose(2, 0, 1)
    covariance = covariance / np.maximum(
        covariance[..., :CHANNELS].sum(-1, keepdims=True), np.float32(1e-12)
    )
    by_frame, loudness = mels.reshape(in_frames), loud.reshape(in_frames)
    share = (loudness * onset.reshape(in_frames)).sum(1)
    share /= np.maximum(loudness.sum(1), np.float32(1e-12))
    return Inputs(mels, np.stack([by_frame.mean(1), by_frame.max(1), share]), covariance)


def spectra(audio: Array, steps: int) -> NDArray[np.complex64]:
    """Return (4, steps, bins) of the bins that are in some mel band.

    Phases count from each window's begin; what is made of them does not depend on that.
    """
    padded = np.pad(audio, ((0, 0), (WINDOW // 2, WINDOW // 2)))
    windows = sliding_window_view(padded, WINDOW, axis=1)[:, ::HOP][:, :steps]
    whole: NDArray[np.complex64] = rfft(windows * _tables().window, FFT)
    return whole[..., _tables().bins]


def log_mels(magnitude: Array) -> Array:
    """Return (steps, 64) natural log of mel magnitudes + 0.001 of magnitudes (steps, bins)."""
    mels = magnitude @ _tables().mel / np.float32(WINDOW / 400)
    return np.asarray(np.log(mels + np.float32(1e-3)))


def used_frequencies() -> FloatArray:
    """Return the frequencies in Hz of the bins that `spectra` returns."""
    return frequencies()[_tables().bins]


def _products(spectrum: NDArray[np.complex64]) -> Array:
    """Return (16, ...): powers, then real and imaginary parts of ``x_i conj(x_j)``, i < j."""
    real, imaginary = np.ascontiguousarray(spectrum.real), np.ascontiguousarray(spectrum.imag)
    parts = np.empty((COVARIANCE, *spectrum.shape[1:]), np.float32)
    parts[:CHANNELS] = np.square(real) + np.square(imaginary)
    for row, (i, j) in enumerate(zip(_FIRST, _SECOND, strict=True), start=CHANNELS):
        parts[row] = real[i] * real[j] + imaginary[i] * imaginary[j]
        parts[row + len(_FIRST)] = imaginary[i] * real[j] - real[i] * imaginary[j]
    return parts


def _onsets(loud: Array) -> Array:
    """Return (steps, 64) in [0, 1]: the share of a moment's power that is new."""
    past = np.pad(loud, ((_PAST, 0), (0, 0)))[:-1]
    before = sliding_window_view(past, _PAST, axis=0).mean(-1)
    return np.asarray(np.clip((loud - before) / np.maximum(loud, np.float32(1e-12)), 0, None))


class _Tables(NamedTuple):
    window: Array
    mel: Array
    bins: slice
    whitening: Array


@cache
def _tables() -> _Tables:
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    mel = mel_weights()
    used = np.flatnonzero(mel.any(axis=1))
    bins = slice(int(used[0]), int(used[-1]) + 1)
    white = _whitening_of_parts()
    return _Tables(
        window.astype(np.float32), mel[bins].astype(np.float32), bins, white.astype(np.float32)
    )


@cache
def turning(symmetry: Symmetry) -> tuple[list[int], Array]:
    """Return which of a covariance's 16 numbers a symmetry puts where, and their signs."""
    pair = {(int(i), int(j)): n for n, (i, j) in enumerate(zip(_FIRST, _SECOND, strict=True))}
    real, imaginary, signs = [], [], []
    for i, j in pair:
        a, b = symmetry.channels[i], symmetry.channels[j]
        number = pair[min(a, b), max(a, b)]
        real.append(CHANNELS + number)
        imaginary.append(CHANNELS + len(pair) + number)
        signs.append(1.0 if a < b else -1.0)
    sign = np.array([1.0] * (CHANNELS + len(pair)) + signs, np.float32)
    return [*symmetry.channels, *real, *imaginary], sign


def turned_covariance(covariance: Array, symmetry: Symmetry) -> Array:
    """Return covariances (..., 16) with the channels of the other scene's recording."""
    take, sign = turning(symmetry)
    return np.asarray(covariance[..., take] * sign)


def turned_grid(symmetry: Symmetry) -> FloatArray:
    """Return (3, 484): where a symmetry takes the directions of the maps."""
    azimuth, elevation = angles_of_vector(GRID.T)
    moved = symmetry.turn + (-azimuth if symmetry.mirrored else azimuth)
    return unit_vector(moved, elevation).T


def with_past(last: int, frames: int) -> int:
    """Return how many of the last frames maps of the ``last`` ones are averaged over."""
    return min(last + max(SMOOTH) // 2, frames)


@cache
def smoothing(frames: int, size: int) -> Array:
    """Return (T, T): the mean over ``size`` frames round each one, over less at the ends."""
    apart = np.abs(np.arange(frames)[:, None] - np.arange(frames))
    near = (apart <= size // 2).astype(np.float32)
    return np.asarray(near / near.sum(1, keepdims=True))


def mel_scale(frequency: NDArray[np.floating]) -> FloatArray:
    """Return mels of frequencies in Hz (HTK)."""
    return np.asarray(1127 * np.log1p(frequency / 700))


@cache
def frequencies() -> FloatArray:
    """Return the bins' frequencies in Hz."""
    return np.asarray(np.arange(BINS) * (SAMPLE_RATE / FFT))


@cache
def mel_weights() -> FloatArray:
    """Return (bins, 64): triangles of height 1, evenly spaced in mel."""
    lowest, highest = mel_scale(np.array([LOWEST_HZ, HIGHEST_HZ]))
    edges = np.linspace(lowest, highest, MELS + 2)
    mel = mel_scale(frequencies())[:, None]
    up = (mel - edges[:-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[2:] - mel) / (edges[2:] - edges[1:-1])
    weights = np.clip(np.minimum(up, down), 0, None)
    weights[0] = 0
    return np.asarray(weights)


def _responses(directions: FloatArray) -> NDArray[np.complex128]:
    """Return (bins, directions, 4): what the capsules hear of plane waves."""
    capsules = eigenmike_xyz()[list(TETRAHEDRON)] / RADIUS_M
    wave_number = 2 * np.pi * frequencies() / SPEED_OF_SOUND
    return rigid_sphere_response(wave_number * RADIUS_M, directions.T @ capsules.T)


@cache
def whitening() -> NDArray[np.complex128]:
    """Return (64, 4, 4): ``(G + noise)^(-1/2)`` of every band, G of unit mean power."""
    response = _responses(GRID)
    diffuse = np.einsum("fpi,fpj->fij", response, response.conj()) / response.shape[1]
    weights = mel_weights() / mel_weights().sum(0)
    diffuse = np.einsum("fm,fij->mij", weights, diffuse)
    diffuse /= np.trace(diffuse, axis1=1, axis2=2)[:, None, None].real / CHANNELS
    values, vectors = np.linalg.eigh(diffuse)
    root = 1 / np.sqrt(np.clip(values, 0, None) + _NOISE)
    return np.asarray(np.einsum("mik,mk,mjk->mij", vectors, root, vectors.conj()))


def _whitening_of_parts() -> FloatArray:
    """Return (64, 16, 16): what whitening makes of a covariance, in real numbers."""
    columns = []
    for number in range(COVARIANCE):
        basis = _hermitian(np.eye(COVARIANCE)[number])
        white = whitening()
        columns.append(_parts(np.einsum("mik,kl,mjl->mij", white, basis, white.conj())))
    return np.stack(columns, axis=-1)


def _hermitian(parts: FloatArray) -> NDArray[np.complex128]:
    """Return the 4 x 4 matrix of 16 real numbers."""
    matrix = np.diag(parts[:CHANNELS]).astype(complex)
    pairs = len(_FIRST)
    upper = parts[CHANNELS : CHANNELS + pairs] + 1j * parts[CHANNELS + pairs :]
    matrix[_FIRST, _SECOND] = upper
    matrix[_SECOND, _FIRST] = upper.conj()
    return matrix


def _parts(matrix: NDArray[np.complex128]) -> FloatArray:
    """Return the 16 real numbers of matrices (..., 4, 4)."""
    power = np.diagonal(matrix, axis1=-2, axis2=-1).real
    upper = matrix[..., _FIRST, _SECOND]
    return np.concatenate([power, upper.real, upper.imag], axis=-1)


def steering(directions: FloatArray) -> NDArray[np.float32]:
    """Return (64, 16, P): a band's covariance times this is its steered response.

    For covariance C of trace 1 it is ``a^H C a``, averaged over the band's bins, with ``a`` of unit
    length what a plane wave gives in the whitened coordinates: 1 if C is of that wave alone.

    Parameters
    ----------
    directions
        (3, P) unit vectors.
    """
    response, weights = _responses(directions), mel_weights() / mel_weights().sum(0)
    bands = []
    for band, white in enumerate(whitening()):
        inside = np.flatnonzero(weights[:, band])
        wave = response[inside] @ white.T
        wave /= np.linalg.norm(wave, axis=-1, keepdims=True)
        matrix = np.einsum("fpi,fpj->fpij", wave, wave.conj())
        mean = np.einsum("f,fpk->kp", weights[inside, band], _parts(matrix))
        # The trace of a product counts every pair above the diagonal twice.
        bands.append(mean * np.where(np.arange(COVARIANCE) < CHANNELS, 1, 2)[:, None])
    return np.stack(bands).astype(np.float32)


def banded(table: Array) -> Array:
    """Return steering (64, 16, P) of 32 bands, (32, 16, P): neighbours share a covariance."""
    return np.asarray(table.reshape(BANDS, -1, *table.shape[1:]).mean(1))


def viewed(table: Array) -> Array:
    """Return steering (64, 16, P) as (4, 256, P): the mean response of 16 bands in a row."""
    fours = table.reshape(VIEW_BANDS, -1, COVARIANCE, table.shape[-1])
    return (fours / np.float32(fours.shape[1])).reshape(VIEW_BANDS, -1, table.shape[-1])
