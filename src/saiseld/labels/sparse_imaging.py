"""Sparse acoustic images of 32-channel audio: what the public STAIRS26 labels are cut from.

Per frame and band, with the visibility ``S`` (32 x 32) and steering ``A`` (32 x 484), minimise over
``x >= 0``

    ||A diag(x) A^H - S||_F^2 + lambda (gamma ||x||_1 + (1 - gamma) ||x||_2^2)

by proximal gradient descent from the previous frame's solution. Source: Simeoni et al., DeepWave
(NeurIPS 2019), as the public label generator runs it (spec 6).

The 32 x 32 matrices are needed once only: with ``G = |A^H A|^2`` and ``b_p = a_p^H S a_p`` the
quadratic term is ``x G x - 2 b x + ||S||^2`` and its gradient ``2 (G x - b)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from saiseld.acoustics.array import CHANNELS, SPEED_OF_SOUND, steering
from saiseld.acoustics.covariance import LABEL_CENTRES, visibility
from saiseld.errors import AudioError
from saiseld.timebase import FPS, SAMPLE_RATE

FloatArray = NDArray[np.float64]

LABEL_WAVELENGTH = SPEED_OF_SOUND / 5000
"""Wavelength in metres that the label method steers with in all of its bands."""

_GAMMA = 0.5
_MOMENTUM_DELAY = 50
_CHUNK_FRAMES = 100


@dataclass(frozen=True, slots=True)
class Stopping:
    """When a band of a frame is done.

    Parameters
    ----------
    tolerance
        Relative change of the objective below which it stops.
    max_iterations
        Iterations after which it stops in any case.
    momentum
        Extrapolate by ``(n - 1) / (n + 50)`` before each step.
    """

    tolerance: float
    max_iterations: int
    momentum: bool


AS_PUBLIC = Stopping(tolerance=1e-3, max_iterations=200, momentum=False)
"""The public labels' rule. Its solver declares a momentum that never reaches the iterates: the
reference maps are reproduced to rounding without it and missed by 3-5 % with it."""

TO_CONVERGENCE = Stopping(tolerance=1e-10, max_iterations=20_000, momentum=True)
"""The minimiser itself, where the public rule stops early."""


def sparse_image(
    audio32: ArrayLike, sample_rate: int = SAMPLE_RATE, *, to_convergence: bool = False
) -> FloatArray:
    """Return the sparse acoustic images of a 32-channel recording.

    Parameters
    ----------
    audio32
        em32 samples (samples, 32) of any scale.
    sample_rate
        In Hz, a multiple of 100.
    to_convergence
        Solve each frame to its minimum instead of stopping where the public labels do.

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
    stopping = TO_CONVERGENCE if to_convergence else AS_PUBLIC
    chunk = _CHUNK_FRAMES * (sample_rate // FPS)
    images = []
    start: FloatArray | None = None
    for first in range(0, len(audio) or 1, chunk):
        part = visibility(audio[first : first + chunk], sample_rate, centres=LABEL_CENTRES)
        images.append(solve(part, stopping=stopping, start=start))
        start = images[-1][-1] if len(images[-1]) else start
    return np.concatenate(images)


def solve(
    visibilities: NDArray[np.complexfloating[Any, Any]],
    *,
    stopping: Stopping = AS_PUBLIC,
    start: FloatArray | None = None,
) -> FloatArray:
    """Return the sparse images (frames, bands, 484) of visibilities (frames, bands, 32, 32).

    Every band starts from its solution of the frame before, the first frame from ``start``
    (bands, 484) or zero, and stops by itself.
    """
    # b_p = sum_ij conj(a_ip) a_jp S_ij, real as S is Hermitian: one real product over both parts.
    flat = visibilities.astype(np.complex128).reshape(*visibilities.shape[:2], CHANNELS**2)
    parts = flat.view(np.float64)
    images = parts @ _backprojection()
    power = (parts**2).sum(axis=-1)
    x = np.zeros(images.shape[1:]) if start is None else start
    for frame, backprojection in enumerate(images):
        x = _descend(backprojection, power[frame], x, stopping)
        images[frame] = x
    return images


def _descend(b: FloatArray, power: FloatArray, start: FloatArray, stopping: Stopping) -> FloatArray:
    """Return the minimisers (bands, 484) for backprojections ``b`` (bands, 484)."""
    gram, lipschitz = _gram()
    # A momentum-free step from zero ends at 2 b / L; its maximum over 10 gamma / L is the weight.
    weight = np.maximum(2 * b.max(axis=1), 0) / (10 * _GAMMA)
    result = np.empty_like(start)
    bands = np.arange(len(b))
    x, gx = start, start @ gram
    before_x, before_gx = x, gx
    objective = _objective(x, gx, b, power, weight)
    for n in range(1, stopping.max_iterations + 1):
        y, gy = x, gx
        if stopping.momentum:
            momentum = (n - 1) / (n + _MOMENTUM_DELAY)
            y, gy = x + momentum * (x - before_x), gx + momentum * (gx - before_gx)
        before_x, before_gx, before = x, gx, objective
        shrunk = y - (2 * (gy - b) + (_GAMMA * weight)[:, None]) / lipschitz
        x = np.maximum(shrunk, 0) / (1 + 2 * (1 - _GAMMA) * weight / lipschitz)[:, None]
        gx = x @ gram
        objective = _objective(x, gx, b, power, weight)
        going = np.abs(objective - before) >= stopping.tolerance * np.abs(objective)
        going &= objective != 0
        if not going.all():
            result[bands[~going]] = x[~going]
            bands, x, gx, b, power, weight, objective, before_x, before_gx = (
                value[going]
                for value in (bands, x, gx, b, power, weight, objective, before_x, before_gx)
            )
            if not len(bands):
                return result
    result[bands] = x
    return result


def _objective(
    x: FloatArray, gx: FloatArray, b: FloatArray, power: FloatArray, weight: FloatArray
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


@cache
def _backprojection() -> FloatArray:
    """Return the (2048, 484) map from the real and imaginary parts of ``S`` to ``b``."""
    steer = steering(LABEL_WAVELENGTH)
    outer = steer.conj()[:, None] * steer[None, :]
    return np.stack([outer.real, -outer.imag], axis=2).reshape(-1, steer.shape[1])
