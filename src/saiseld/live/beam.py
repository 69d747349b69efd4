"""Listen in one direction: a filter-and-sum beam of the four capsules on their rigid sphere.

The weights are those of `saiseld.acoustics.beamforming`, as filters.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import oaconvolve

from saiseld.acoustics.beamforming import beam_weights
from saiseld.conventions.arrays import TETRAHEDRON
from saiseld.conventions.sphere import unit_vector
from saiseld.conventions.timebase import SAMPLE_RATE

TAPS = 256
DELAY = TAPS // 2
"""Samples by which a beam is late."""


def beam_filters(azimuth: float, elevation: float) -> NDArray[np.float32]:
    """Return the (4, TAPS) filters whose sum over the capsules listens in a direction.

    A plane wave from there comes out as it would be heard at the centre without the sphere, `DELAY`
    samples late.
    """
    frequency = np.fft.rfftfreq(TAPS, 1 / SAMPLE_RATE)
    weights = beam_weights(frequency, unit_vector(azimuth, elevation))
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
        beam = oaconvolve(joined, self._filters.T, mode="valid", axes=0).sum(axis=1)
        return np.asarray(beam, np.float32)
