"""Sparse acoustic images of 32-channel audio: what the public STAIRS26 labels are cut from.

Per frame and band, with the visibility ``S`` (32 x 32) and steering ``A`` (32 x 484), minimise over
``x >= 0``

    ||A diag(x) A^H - S||_F^2 + lambda (gamma ||x||_1 + (1 - gamma) ||x||_2^2)

by proximal gradient descent from the previous frame's solution. Source: DeepWave, as the
public label generator runs it (AudibleLight). The generator's momentum never reaches its iterates:
its maps are reproduced to rounding without one and missed by 3-5 % with one.

No 32 x 32 matrix is needed: with ``G = |A^H A|^2`` and ``b_p = a_p^H S a_p``, which is the power of
the ten snapshots beamformed to direction p, the quadratic term is ``x G x - 2 b x + ||S||^2`` and
its gradient ``2 (G x - b)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from saiseld.acoustics.covariance import band_spectra
from saiseld.conventions.arrays import CHANNELS, LABEL_WAVELENGTH, steering
from saiseld.conventions.bands import LABEL_CENTRES
from saiseld.conventions.timebase import FPS, SAMPLE_RATE
from saiseld.runtime.errors import AudioError

FloatArray = NDArray[np.float64]

TOLERANCE = 1e-3
"""Relative change of a band's objective below which the public labels stop."""

MAX_ITERATIONS = 200
"""Iterations after which they stop in any case."""

_GAMMA = 0.5
_BLOCK_FRAMES = 100


def sparse_image(audio32: ArrayLike, sample_rate: int = SAMPLE_RATE) -> FloatArray:
    """Return the sparse acoustic images of a 32-channel recording.

    Parameters
    ----------
    audio32
        em32 samples (samples, 32) of any scale.
    sample_rate
        In Hz, a multiple of 100.

    Returns
    -------
    array (frames, 9, 484), float64
        Energy of the nine bands in the 484 directions of the Fibonacci grid, at least 0.

    Raises
    ------
    AudioError
        If the audio has not 32 channels or holds a value that is not finite.
    """
    audio = np.asarray(audio32)
    if audio.ndim != 2 or audio.shape[1] != CHANNELS:
        raise AudioError(
            "audio for sparse imaging",
            expected=f"{CHANNELS} channels (em32), samples first",
            found=f"an array of shape {audio.shape}",
            advice="Labels need the whole Eigenmike: its 4-channel subset cannot resolve them",
        )
    if not np.isfinite(audio).all():
        raise AudioError(
            "audio for sparse imaging", expected="finite samples", found="NaN or infinity"
        )
    block = _BLOCK_FRAMES * (sample_rate // FPS)
    blocks = (audio[first : first + block] for first in range(0, len(audio) or 1, block))
    return np.concatenate(list(image_blocks(blocks, sample_rate=sample_rate)))


def image_blocks(
    blocks: Iterable[ArrayLike], sample_rate: int = SAMPLE_RATE
) -> Iterator[FloatArray]:
    """Yield the sparse images (n, 9, 484) of successive blocks (samples, 32) of whole frames.

    What `sparse_image` does, for recordings that are read piece by piece.
    """
    x = np.zeros((len(LABEL_CENTRES), len(_gram()[0])))
    for block in blocks:
        spectra = band_spectra(block, sample_rate, centres=LABEL_CENTRES)
        b, power = _backprojection(spectra)
        images = _descend(b, power, x)
        x = images[-1] if len(images) else x
        yield images


def _backprojection(
    spectra: NDArray[np.complexfloating[Any, Any]],
) -> tuple[FloatArray, FloatArray]:
    """Return ``b`` (frames, 9, 484) and ``||S||^2`` (frames, 9) of snapshots (frames, 9, 10, 32).

    ``S`` is their normalised covariance: its largest eigenvalue and its norm are those of the
    10 x 10 products between snapshots.
    """
    products = spectra @ np.swapaxes(spectra.conj(), -1, -2)
    largest = np.linalg.eigvalsh(products)[..., -1]
    scale = np.divide(1, largest, out=np.zeros_like(largest), where=largest > 0)
    steer = steering(LABEL_WAVELENGTH)
    b = np.empty((*largest.shape, steer.shape[1]))
    for frame, snapshots in enumerate(spectra):
        beams = snapshots @ steer
        b[frame] = scale[frame, :, None] * (beams.real**2 + beams.imag**2).sum(axis=-2)
    return b, scale**2 * (np.abs(products) ** 2).sum((-2, -1))


def _weight(b: FloatArray) -> FloatArray:
    """Return lambda (...) of ``b`` (..., 484).

    A step from zero ends at 2 b / L; lambda is its maximum over 10 gamma / L.
    """
    return np.asarray(np.maximum(2 * b.max(axis=-1), 0) / (10 * _GAMMA))


def _descend(b: FloatArray, power: FloatArray, x: FloatArray) -> FloatArray:
    """Return the images (frames, 9, 484) where the public labels stop, from ``x`` (9, 484) on.

    A band that is done with a frame goes on to the next without waiting for the other bands.
    """
    gram, lipschitz = _gram()
    images = np.empty_like(b)
    band = np.arange(b.shape[1] if len(b) else 0)
    frame, steps = np.zeros_like(band), np.zeros_like(band)
    x = x[band]
    gx = x @ gram
    weights = _weight(b)
    now = b[frame, band], weights[frame, band], power[frame, band]
    objective = _objective(x, gx, *now)
    while len(band):
        aim, weight, _ = now
        shrunk = x - (2 * (gx - aim) + (_GAMMA * weight)[:, None]) / lipschitz
        x = np.maximum(shrunk, 0) / (1 + 2 * (1 - _GAMMA) * weight / lipschitz)[:, None]
        gx = x @ gram
        before, objective = objective, _objective(x, gx, *now)
        steps += 1
        done = np.abs(objective - before) < TOLERANCE * np.abs(objective)
        done |= (objective == 0) | (steps == MAX_ITERATIONS)
        if done.any():
            images[frame[done], band[done]] = x[done]
            frame[done] += 1
            steps[done] = 0
            left = frame < len(b)
            band, frame, steps, x, gx = band[left], frame[left], steps[left], x[left], gx[left]
            now = b[frame, band], weights[frame, band], power[frame, band]
            objective = _objective(x, gx, *now)
    return images


def _objective(
    x: FloatArray, gx: FloatArray, b: FloatArray, weight: FloatArray, power: FloatArray
) -> FloatArray:
    fit = (x * (gx - 2 * b)).sum(axis=1) + power
    penalty = _GAMMA * x.sum(axis=1) + (1 - _GAMMA) * (x * x).sum(axis=1)
    return np.asarray(fit + weight * penalty)


@cache
def _gram() -> tuple[FloatArray, float]:
    """Return ``G`` (484, 484) and the Lipschitz constant of the gradient, twice its norm."""
    steer = steering(LABEL_WAVELENGTH)
    gram = np.abs(steer.conj().T @ steer) ** 2
    return gram, 2 * float(np.linalg.eigvalsh(gram)[-1])
