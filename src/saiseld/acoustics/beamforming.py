"""Superdirective beams of the four capsules on their rigid sphere, with soft nulls.

At each frequency the weights pass a plane wave from the look direction unchanged and take as little
as they can of what else there is (minimum variance, Van Trees, "Optimum Array Processing", 2002,
ch. 6.2): a diffuse field R of unit power, the capsules' own noise, and plane waves from the
directions to be nulled,

    w = S^-1 h / (h^H S^-1 h),   S = R + loading I + NULL_POWER sum_j n_j n_j^H.

A null near the look direction is soft by construction: it never makes the weights large.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import eval_legendre

from saiseld.conventions.arrays import RADIUS_M, TETRAHEDRON, eigenmike_xyz
from saiseld.conventions.rigid_sphere import ORDER, SPEED_OF_SOUND, radial_term
from saiseld.conventions.sphere import fibonacci_sphere
from saiseld.conventions.timebase import SAMPLE_RATE

LOADING = 0.01
"""Power of the capsules' own noise, of that of the diffuse field."""

NULL_POWER = 3.0
"""Power of a plane wave that is nulled, of that of the diffuse field."""

TAPS = 256
DELAY = TAPS // 2
"""Length of a beam's filters, and the samples by which it is late."""

Complex = NDArray[np.complex128]


def plane_wave_responses(
    frequency: NDArray[np.floating], directions: NDArray[np.floating]
) -> Complex:
    """Return (F, D, 4): the response of each capsule to plane waves.

    Parameters
    ----------
    frequency
        (F,) in Hz.
    directions
        (D, 3) unit vectors.
    """
    capsules = eigenmike_xyz()[list(TETRAHEDRON)] / RADIUS_M
    cosine = np.clip(directions @ capsules.T, -1, 1)
    legendre = np.stack([eval_legendre(n, cosine) for n in range(ORDER + 1)])
    radial = _radial(tuple(np.asarray(frequency).tolist()))
    return np.asarray(np.einsum("nf,ndm->fdm", radial, legendre))


@cache
def _radial(frequency: tuple[float, ...]) -> Complex:
    """Return (33, F): what each order of `saiseld.conventions.rigid_sphere` weighs."""
    ka = 2 * np.pi * np.array(frequency) * RADIUS_M / SPEED_OF_SOUND
    return np.stack([radial_term(n, ka) for n in range(ORDER + 1)])


@cache
def _diffuse(frequency: tuple[float, ...]) -> Complex:
    """Return (F, 4, 4): the loaded covariance of a diffuse field of unit power."""
    response = plane_wave_responses(np.array(frequency), fibonacci_sphere().T)
    field = np.einsum("fdm,fdn->fmn", response, response.conj()) / response.shape[1]
    return np.asarray(field + LOADING * np.eye(len(TETRAHEDRON)))


def beam_weights(
    frequency: NDArray[np.floating],
    look: NDArray[np.floating],
    nulls: NDArray[np.floating] | None = None,
) -> Complex:
    """Return (F, 4) weights w; the beam of capsule spectra x is ``w^H x``.

    Parameters
    ----------
    frequency
        (F,) in Hz.
    look
        (3,) unit vector that the beam passes unchanged, as it would be at the centre of the array
        without the sphere.
    nulls
        (J, 3) unit vectors of directions that are suppressed; none without it.
    """
    directions = look[None] if nulls is None else np.concatenate([look[None], nulls])
    response = plane_wave_responses(frequency, directions)
    target, nulled = response[:, 0], response[:, 1:]
    covariance = _diffuse(tuple(np.asarray(frequency).tolist()))
    if nulled.shape[1]:
        covariance = covariance + NULL_POWER * np.einsum("fjm,fjn->fmn", nulled, nulled.conj())
    steered = np.linalg.solve(covariance, target[..., None])[..., 0]
    gain = np.einsum("fm,fm->f", target.conj(), steered)
    return np.asarray(steered / gain[:, None])


def beam_filters(
    look: NDArray[np.floating], nulls: NDArray[np.floating] | None = None
) -> NDArray[np.float32]:
    """Return the (4, TAPS) filters at 24 kHz whose sum over the capsules is a beam.

    A plane wave from the look direction comes out as it would be heard at the centre without the
    sphere, `DELAY` samples late. Parameters are those of `beam_weights`.
    """
    frequency = np.fft.rfftfreq(TAPS, 1 / SAMPLE_RATE)
    weights = beam_weights(frequency, look, nulls)
    shift = np.exp(-2j * np.pi * np.arange(len(weights)) * DELAY / TAPS)
    filters = np.fft.irfft(weights.conj().T * shift, TAPS)
    return np.asarray(filters * np.hanning(TAPS + 1)[:-1], np.float32)
