"""Visibilities: the normalised band covariances of 100 ms frames (Roman2025).

Convention: ``S_ij = sum conj(x_i) x_j`` over ten windowed 10 ms sub-frames, divided by the largest
eigenvalue, so that a frame's loudness is gone and its spatial structure is left.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from saiseld.conventions.bands import FRONT_END_CENTRES
from saiseld.conventions.timebase import FPS, SAMPLE_RATE

SUBFRAMES = 10
"""Snapshots summed into one frame's covariance."""

_HALF_WIDTH_HZ = 25.0


def visibility(
    audio: ArrayLike,
    sample_rate: int = SAMPLE_RATE,
    *,
    centres: tuple[float, ...] = FRONT_END_CENTRES,
    dtype: type[np.complexfloating[Any, Any]] = np.complex128,
) -> NDArray[np.complexfloating[Any, Any]]:
    """Return the normalised band covariances of every whole frame.

    Parameters
    ----------
    audio
        Samples (samples, channels) of any scale.
    sample_rate
        In Hz, a multiple of 100 (a sub-frame is 10 ms).
    centres
        Band centres in Hz.
    dtype
        ``numpy.complex128`` or ``numpy.complex64``; all arithmetic is done at this width.

    Returns
    -------
    array (frames, bands, channels, channels)
        Hermitian, positive semi-definite, largest eigenvalue 1; all zero for a silent band.
    """
    # The public front end also clips negative eigenvalues: a sum of outer products has none beyond
    # rounding, so a division is the same thing at a fraction of the cost.
    spectra = band_spectra(audio, sample_rate, centres=centres, dtype=dtype)
    outer, largest = covariance(spectra)
    return np.asarray(outer / largest)


def band_spectra(
    audio: ArrayLike,
    sample_rate: int = SAMPLE_RATE,
    *,
    centres: tuple[float, ...] = FRONT_END_CENTRES,
    dtype: type[np.complexfloating[Any, Any]] = np.complex128,
) -> NDArray[np.complexfloating[Any, Any]]:
    """Return the (frames, bands, 10, channels) snapshots whose outer products make a covariance.

    Those of each frame are scaled by a power of two, which no normalised covariance shows.
    Parameters are those of `visibility`.
    """
    real = np.float64 if dtype is np.complex128 else np.float32
    audio = np.asarray(audio, real)
    if audio.ndim != 2:
        raise ValueError(f"audio must be (samples, channels), not of shape {audio.shape}")
    if sample_rate % (SUBFRAMES * FPS):
        raise ValueError(f"sample_rate must be a multiple of 100 Hz, not {sample_rate}")
    length = sample_rate // (SUBFRAMES * FPS)
    frames = len(audio) // (SUBFRAMES * length)
    channels = audio.shape[1]
    # Nine bins of each spectrum are wanted: two small real products cost less than an FFT.
    basis = _band_basis(length, sample_rate, centres)
    blocks = audio[: frames * SUBFRAMES * length].T.reshape(channels, frames, SUBFRAMES, length)
    blocks = _levelled(blocks)
    spectra = np.empty((channels, frames, SUBFRAMES, len(centres)), dtype)
    spectra.real = blocks @ basis.real.astype(real)
    spectra.imag = blocks @ basis.imag.astype(real)
    return np.ascontiguousarray(spectra.transpose(1, 3, 2, 0))


def _levelled(blocks: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Return (channels, frames, ...) samples, each frame's peak between 0.5 and 1.

    Squares of very soft or loud samples have no number. Powers of two change no digit.
    """
    axes = (0, *range(2, blocks.ndim))
    peak = np.maximum(
        blocks.max(axes, keepdims=True, initial=0), -blocks.min(axes, keepdims=True, initial=0)
    )
    return np.asarray(np.ldexp(blocks, -np.frexp(peak)[1]))


def covariance(
    snapshots: NDArray[np.complexfloating[Any, Any]],
) -> tuple[NDArray[np.complexfloating[Any, Any]], NDArray[np.floating[Any]]]:
    """Return ``sum conj(x_i) x_j`` and its largest eigenvalue, to divide it by.

    Parameters
    ----------
    snapshots
        Spectra (..., snapshots, channels).

    Returns
    -------
    array (..., channels, channels)
    array (..., 1, 1), 1 instead of 0 where all is silent
    """
    adjoint = np.swapaxes(snapshots.conj(), -1, -2)
    outer = adjoint @ snapshots
    # X^H X and X X^H have the same largest eigenvalue, and one of them is smaller.
    wide = snapshots.shape[-1] > snapshots.shape[-2]
    largest = np.linalg.eigvalsh(snapshots @ adjoint if wide else outer)[..., -1, None, None]
    # Below it squares have lost their digits: beside a click some 300 dB louder all else is silent.
    limits = np.finfo(largest.dtype)
    return outer, np.where(largest > limits.tiny / limits.eps, largest, 1)


def band_frequencies(
    sample_rate: int = SAMPLE_RATE, centres: tuple[float, ...] = FRONT_END_CENTRES
) -> NDArray[np.float64]:
    """Return the frequency in Hz that each band really hears: the mean of its bins."""
    length = sample_rate // (SUBFRAMES * FPS)
    bins = [_band_bins(centre, length, sample_rate) for centre in centres]
    return np.array([b.mean() for b in bins]) * sample_rate / length


def _band_bins(centre: float, length: int, sample_rate: int) -> NDArray[np.int64]:
    first = int((centre - _HALF_WIDTH_HZ) * length / sample_rate)
    last = int((centre + _HALF_WIDTH_HZ) * length / sample_rate)
    return np.arange(first, last + 1)


def _band_basis(
    length: int, sample_rate: int, centres: tuple[float, ...]
) -> NDArray[np.complex128]:
    """Return the (length, bands) windowed Fourier vectors, the bins of a band summed."""
    n = np.arange(length)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * n / (length - 1))  # symmetric Tukey, alpha = 1
    basis = np.empty((length, len(centres)), np.complex128)
    for band, centre in enumerate(centres):
        bins = _band_bins(centre, length, sample_rate)
        basis[:, band] = window * np.exp(-2j * np.pi / length * np.outer(n, bins)).sum(axis=1)
    return basis
