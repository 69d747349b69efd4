"""What each microphone of an array hears of a plane wave, by the array's model.

Time dependence exp(+j w t), phase zero at the origin: a microphone in free air at p hears a unit
wave from the direction u as ``exp(j k p . u)``. A cardioid along a weighs it by (1 + a . u) / 2;
the sphere is `saiseld.conventions.rigid_sphere`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import eval_legendre

from saiseld.arrays.description import MicrophoneArray
from saiseld.conventions.rigid_sphere import ORDER, SPEED_OF_SOUND, radial_term

FloatArray = NDArray[np.float64]
Complex = NDArray[np.complex128]


def array_response(
    array: MicrophoneArray, frequency_hz: FloatArray, directions: FloatArray
) -> Complex:
    """Return the response (F, D, M) of an array at frequencies (F,) to unit vectors (D, 3).

    Directions are the scene's: the array is turned to the left by its ``yaw_deg``.
    """
    yaw = np.radians(array.yaw_deg)
    cos, sin = np.cos(yaw), np.sin(yaw)
    seen = directions @ np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    if array.measured is not None:
        return array.measured.response(frequency_hz, seen)
    wave_number = 2 * np.pi * np.asarray(frequency_hz, float) / SPEED_OF_SOUND
    if array.model == "rigid-sphere":
        radius = float(np.linalg.norm(array.positions_m, axis=1).mean())
        return _on_sphere(wave_number * radius, np.clip(seen @ array.axes.T, -1, 1))
    phase = np.multiply.outer(wave_number, seen @ array.positions_m.T)
    response = np.exp(1j * phase)
    if array.model == "cardioid":
        response *= (1 + seen @ array.axes.T) / 2
    return np.asarray(response)


def _on_sphere(ka: FloatArray, cosine: FloatArray) -> Complex:
    """`rigid_sphere_response` as one matrix product, for many directions and microphones."""
    radial = np.stack([radial_term(n, ka) for n in range(ORDER + 1)], axis=1)
    legendre = np.stack([eval_legendre(n, cosine) for n in range(ORDER + 1)])
    return np.asarray(np.tensordot(radial, legendre, 1))
