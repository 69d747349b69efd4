"""What the ear is shown of four channels: a spectrum, and each mel band's spatial covariance.

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
import torch
from numpy.typing import NDArray
from torch import Tensor

from saiseld.conventions.arrays import RADIUS_M, TETRAHEDRON, eigenmike_xyz
from saiseld.conventions.rigid_sphere import SPEED_OF_SOUND, rigid_sphere_response
from saiseld.conventions.sphere import fibonacci_sphere
from saiseld.conventions.symmetry import Symmetry
from saiseld.conventions.timebase import SAMPLE_RATE, SAMPLES_PER_FRAME

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

_LEVEL, _FLOOR = 0.05, 2e-5
"""RMS that a window is brought to, and the one below which it is taken for nothing."""
_NOISE = 0.03
_ONSET_FLOOR = 0.05
_PAST = 8
"""Steps before a moment that it is compared with."""

FloatArray = NDArray[np.float64]

_FIRST, _SECOND = np.triu_indices(CHANNELS, 1)


class Inputs(NamedTuple):
    """What `inputs` returns, of B recordings of T frames.

    Parameters
    ----------
    mels
        (B, 10 T, 64) natural log of the mel magnitude + 0.001, every 10 ms, as YAMNet takes it.
    spectrum
        (B, 3, T, 64): mean and largest of `mels` in a frame, and how much of it are onsets.
    covariance
        (B, T, 64, 16): each band's covariance, of trace 1, in whitened coordinates: four powers,
        then real and imaginary parts above the diagonal.
    """

    mels: Tensor
    spectrum: Tensor
    covariance: Tensor


def inputs(audio: Tensor) -> Inputs:
    """Return what the ear is shown.

    Parameters
    ----------
    audio
        (B, 4, N) samples at 24 kHz, N a whole number of frames.
    """
    batch, _, samples = audio.shape
    frames = samples // SAMPLES_PER_FRAME
    audio = audio * (_LEVEL / (audio.square().mean((1, 2), keepdim=True) + _FLOOR**2).sqrt())
    tables = _tables(audio.device)
    spectra = torch.stft(
        audio.reshape(batch * CHANNELS, samples),
        FFT,
        HOP,
        WINDOW,
        tables.window,
        center=True,
        pad_mode="constant",
        return_complex=True,
    )
    # One more step than whole hops; the last is half beyond the end.
    spectra = spectra[..., : frames * HOPS_PER_FRAME].reshape(batch, CHANNELS, BINS, -1)
    parts = _products(spectra)
    mels = torch.log(parts[:, :CHANNELS].mean(1).sqrt().mT @ tables.mel / (WINDOW / 400) + 1e-3)
    banded = parts.mT @ tables.mel
    loud = banded[:, :CHANNELS].sum(1)
    onset = _onsets(loud)
    weight = (_ONSET_FLOOR + onset).reshape(batch, 1, frames, HOPS_PER_FRAME, MELS)
    pooled = (banded.reshape(batch, COVARIANCE, frames, HOPS_PER_FRAME, MELS) * weight).sum(3)
    covariance = torch.einsum("mjk,bktm->btmj", tables.whitening, pooled)
    covariance = covariance / covariance[..., :CHANNELS].sum(-1, keepdim=True).clamp(min=1e-12)
    by_frame = mels.reshape(batch, frames, HOPS_PER_FRAME, MELS)
    loudness = loud.reshape(batch, frames, HOPS_PER_FRAME, MELS)
    share = (loudness * onset.reshape(loudness.shape)).sum(2) / loudness.sum(2).clamp(min=1e-12)
    spectrum = torch.stack([by_frame.mean(2), by_frame.amax(2), share], dim=1)
    return Inputs(mels, spectrum, covariance)


def turned_covariance(covariance: Tensor, symmetry: Symmetry) -> Tensor:
    """Return covariances (..., 16) with the channels of the other scene's recording."""
    pair = {(int(i), int(j)): n for n, (i, j) in enumerate(zip(_FIRST, _SECOND, strict=True))}
    take, sign = list(symmetry.channels), [1.0] * CHANNELS
    real, imaginary, signs = [], [], []
    for i, j in pair:
        a, b = symmetry.channels[i], symmetry.channels[j]
        number = pair[min(a, b), max(a, b)]
        real.append(CHANNELS + number)
        imaginary.append(CHANNELS + len(pair) + number)
        signs.append(1.0 if a < b else -1.0)
    sign += [1.0] * len(pair) + signs
    return covariance[..., take + real + imaginary] * covariance.new_tensor(sign)


def _products(spectra: Tensor) -> Tensor:
    """Return (B, 16, F, T): powers, then real and imaginary parts of ``x_i conj(x_j)``, i < j."""
    real, imaginary = spectra.real.contiguous(), spectra.imag.contiguous()
    first, second = _FIRST.tolist(), _SECOND.tolist()
    return torch.cat(
        [
            real.square() + imaginary.square(),
            real[:, first] * real[:, second] + imaginary[:, first] * imaginary[:, second],
            imaginary[:, first] * real[:, second] - real[:, first] * imaginary[:, second],
        ],
        dim=1,
    )


def _onsets(loud: Tensor) -> Tensor:
    """Return (B, steps, 64) in [0, 1]: the share of a moment's power that is new."""
    past = torch.nn.functional.pad(loud.mT, (_PAST, 0), mode="constant")[..., :-1]
    before = torch.nn.functional.avg_pool1d(past, _PAST, 1).mT
    return ((loud - before) / loud.clamp(min=1e-12)).clamp(min=0)


class _Tables(NamedTuple):
    window: Tensor
    mel: Tensor
    whitening: Tensor


@cache
def _tables(device: torch.device) -> _Tables:
    return _Tables(
        torch.hann_window(WINDOW, device=device),
        torch.tensor(mel_weights(), dtype=torch.float32, device=device),
        torch.tensor(_whitening_of_parts(), dtype=torch.float32, device=device),
    )


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
    response = _responses(fibonacci_sphere())
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
