"""The microphone array: the Eigenmike em32, its tetrahedral subset, free-field steering.

Positions are metres, x to the front, y to the left, z up, like `saiseld.conventions.sphere`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.sphere import fibonacci_sphere, unit_vector

TETRAHEDRON = (5, 9, 25, 21)
"""Zero-based em32 capsules of the 4-channel input, in order (KIST2026, Sec. 2.1)."""

RADIUS_M = 0.042
"""Radius of the rigid sphere the capsules sit on, in metres."""

CHANNELS = 32
"""Capsules of the em32."""

_PUBLIC_SPEED_OF_SOUND = 340.5
FRONT_END_WAVELENGTH = _PUBLIC_SPEED_OF_SOUND / (13_000 / 3 + 500)
"""Wavelength in metres that the front end steers with in all of its bands (Baseline2026)."""

LABEL_WAVELENGTH = _PUBLIC_SPEED_OF_SOUND / 5000
"""Wavelength in metres that the label method steers with in all of its bands (AudibleLight)."""

# (colatitude, azimuth) in degrees, from the maker's table.
_CAPSULE_ANGLES = (
    *((69, 0), (90, 32), (111, 0), (90, 328), (32, 0), (55, 45), (90, 69), (125, 45)),
    *((148, 0), (125, 315), (90, 291), (55, 315), (21, 91), (58, 90), (121, 90), (159, 89)),
    *((69, 180), (90, 212), (111, 180), (90, 148), (32, 180), (55, 225), (90, 249), (125, 225)),
    *((148, 180), (125, 135), (90, 111), (55, 135), (21, 269), (58, 270), (122, 270), (159, 271)),
)


def eigenmike_xyz() -> NDArray[np.float64]:
    """Return the (32, 3) capsule positions of the em32 in metres."""
    colatitude, azimuth = np.array(_CAPSULE_ANGLES, float).T
    return RADIUS_M * unit_vector(azimuth, 90 - colatitude)


def steering(wavelength: float = FRONT_END_WAVELENGTH) -> NDArray[np.complex128]:
    """Return the (32, 484) free-field steering matrix of the em32 over the Fibonacci grid.

    ``A = exp(-2 pi j / wavelength * xyz @ R)``: a plane wave from direction p has the covariance
    ``A[:, p] A[:, p]^H`` in the convention ``conj(x_i) x_j`` of `saiseld.acoustics.covariance`.

    Parameters
    ----------
    wavelength
        In metres.
    """
    phase = 2 * np.pi / wavelength * (eigenmike_xyz() @ fibonacci_sphere())
    return np.asarray(np.exp(-1j * phase))
