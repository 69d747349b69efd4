"""Listen in one direction: a filter-and-sum beam of the four capsules on their rigid sphere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import oaconvolve

from saiseld.acoustics.beamforming import TAPS, beam_filters
from saiseld.conventions.arrays import TETRAHEDRON
from saiseld.conventions.sphere import unit_vector


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
        self._filters = beam_filters(unit_vector(azimuth, elevation))

    def hear(self, sound: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the next samples (n, 4) bring from there, (n,)."""
        joined = np.concatenate([self._before, sound])
        self._before = joined[len(joined) - len(self._before) :]
        beam = oaconvolve(joined, self._filters.T, mode="valid", axes=0).sum(axis=1)
        return np.asarray(beam, np.float32)
