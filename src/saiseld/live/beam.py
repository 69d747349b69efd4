"""Listen in one direction: a filter-and-sum beam of the four capsules on their rigid sphere.

At each frequency the weights let the wanted direction through unchanged and take as little as they
can of sound from all round (maximum directivity), with so much loading that the capsules' own
noise is hardly raised: ``w = (R + e I)^-1 h / (h^H (R + e I)^-1 h)`` with the responses h of
`saiseld.conventions.rigid_sphere` and their mean R over all directions (Van Trees, "Optimum Array
Processing", 2002, ch. 2.6 and 6.6).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import oaconvolve

from saiseld.conventions.arrays import RADIUS_M, TETRAHEDRON, eigenmike_xyz
from saiseld.conventions.rigid_sphere import SPEED_OF_SOUND, rigid_sphere_response
from saiseld.conventions.sphere import fibonacci_sphere, unit_vector
from saiseld.conventions.timebase import SAMPLE_RATE

TAPS = 256
DELAY = TAPS // 2
"""Samples by which a beam is late."""
_LOADING = 0.01

Complex = NDArray[np.complex128]


@cache
def _capsules() -> NDArray[np.float64]:
    return eigenmike_xyz()[list(TETRAHEDRON)] / RADIUS_M


def _responses(directions: NDArray[np.float64]) -> Complex:
    """Return the (F, D, 4) responses to unit vectors (D, 3)."""
    frequency = np.fft.rfftfreq(TAPS, 1 / SAMPLE_RATE)
    ka = 2 * np.pi * frequency * RADIUS_M / SPEED_OF_SOUND
    return rigid_sphere_response(ka, np.clip(directions @ _capsules().T, -1, 1))


@cache
def _loaded_inverse() -> Complex:
    """Return the (F, 4, 4) inverse of the loaded covariance of sound from all round."""
    heard = _responses(fibonacci_sphere().T)
    around = np.einsum("fdm,fdn->fmn", heard, heard.conj()) / heard.shape[1]
    return np.linalg.inv(around + _LOADING * np.eye(len(TETRAHEDRON)))


def beam_filters(azimuth: float, elevation: float) -> NDArray[np.float32]:
    """Return the (4, TAPS) filters whose sum over the capsules listens in a direction.

    A plane wave from there comes out as it would be heard at the centre without the sphere, `DELAY`
    samples late.
    """
    wanted = _responses(unit_vector(azimuth, elevation)[None])[:, 0]
    steered = np.einsum("fmn,fn->fm", _loaded_inverse(), wanted)
    weights = steered / np.einsum("fm,fm->f", wanted.conj(), steered)[:, None]
    shift = np.exp(-2j * np.pi * np.arange(len(weights)) * DELAY / TAPS)
    filters = np.fft.irfft(weights.conj().T * shift, TAPS)
    return np.asarray(filters * np.hanning(TAPS + 1)[:-1], np.float32)


class Beam:
    """A beam that may be turned while it listens.

    Parameters
    ----------
    azimuth, elevation
        Where it listens, in degrees; azimuth positive to the left.
    """

    def __init__(self, azimuth: float, elevation: float) -> None:
        self._before = np.zeros((TAPS - 1, len(TETRAHEDRON)), np.float32)
        self.turn(azimuth, elevation)

    def turn(self, azimuth: float, elevation: float) -> None:
        """Listen in another direction from the next samples on."""
        self._filters = beam_filters(azimuth, elevation)

    def hear(self, sound: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the next samples (n, 4) bring from there, (n,)."""
        joined = np.concatenate([self._before, sound])
        self._before = joined[len(joined) - len(self._before) :]
        heard = oaconvolve(joined, self._filters.T, mode="valid", axes=0).sum(axis=1)
        return np.asarray(heard, np.float32)
