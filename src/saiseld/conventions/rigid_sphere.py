"""Sound on a rigid sphere: what each capsule of an em32 hears of a plane wave.

With time dependence exp(+j w t) and phase zero at the centre of the sphere, a plane wave of unit
amplitude from a direction at angle Theta to a point on the surface gives there

    H(ka, cos Theta) = sum_n (2n + 1) j^n P_n(cos Theta) b_n(ka),   b_n = -j / ((ka)^2 h_n'(ka)),

with h_n the spherical Hankel function of the second kind (Williams, "Fourier Acoustics", 1999,
ch. 6; the Wronskian has turned j_n - j_n'/h_n' h_n into b_n). The response depends on Theta alone,
so one table of short impulse responses over Theta serves every capsule and arrival.
"""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import irfft, rfft
from scipy.special import eval_legendre, spherical_jn, spherical_yn

from saiseld.conventions.sphere import fibonacci_sphere
from saiseld.conventions.timebase import SAMPLE_RATE

SPEED_OF_SOUND = 343.0
"""Metres a second, of air; public code steers with another (`saiseld.conventions.arrays`)."""

ORDER = 32
"""Terms of the series: at 12 kHz an em32 has ka = 9.2, where order 24 already leaves 1e-8."""

FloatArray = NDArray[np.float64]


def rigid_sphere_response(ka: ArrayLike, cos_angle: ArrayLike) -> NDArray[np.complex128]:
    """Return the pressure on a rigid sphere for a unit plane wave.

    Parameters
    ----------
    ka
        Wave number times radius, (F,), 0 or more.
    cos_angle
        Cosine of the angle between arrival and surface point, any shape.

    Returns
    -------
    complex array (F, *cos_angle.shape), phase relative to the centre of the sphere.
    """
    ka = np.atleast_1d(np.asarray(ka, float))
    cos_angle = np.asarray(cos_angle, float)
    response = np.zeros((ka.size, *cos_angle.shape), complex)
    for n, radial in enumerate(_radial_terms(ka.tobytes())):
        response += np.multiply.outer(radial, eval_legendre(n, cos_angle))
    return response


@lru_cache(maxsize=4)
def _radial_terms(ka: bytes) -> NDArray[np.complex128]:
    """Return (`ORDER` + 1, F): `radial_term` of every order; many angles are asked for each ka."""
    return np.stack([radial_term(n, np.frombuffer(ka)) for n in range(ORDER + 1)])


def radial_term(n: int, ka: ArrayLike) -> NDArray[np.complex128]:
    """Return ``(2n + 1) j^n b_n(ka)``, what order n weighs in the series; 0 or 1 where ka is 0."""
    ka = np.asarray(ka, float)
    positive = np.where(ka > 0, ka, 1.0)
    slope = spherical_jn(n, positive, True) - 1j * spherical_yn(n, positive, True)
    radial = (2 * n + 1) * 1j**n * -1j / (positive**2 * slope)
    return np.asarray(np.where(ka > 0, radial, float(n == 0)))


class RigidSphereArray:
    """Microphones on a rigid sphere, as short impulse responses at 24 kHz.

    Parameters
    ----------
    capsules_xyz
        Capsule positions (M, 3) in metres, all at the sphere's radius.
    """

    TAPS = 64
    LATENCY = 24
    """Samples by which every stored response is late, so that it is causal."""
    FRACTIONS = 32
    """Arrivals fall on this many steps a sample; all capsules share the step, so no angle moves."""
    ANGLES = 361

    def __init__(self, capsules_xyz: ArrayLike) -> None:
        capsules = np.asarray(capsules_xyz, float)
        self.radius_m = float(np.linalg.norm(capsules, axis=1).mean())
        self.capsules = capsules / np.linalg.norm(capsules, axis=1, keepdims=True)

    @property
    def channels(self) -> int:
        """Number of capsules."""
        return len(self.capsules)

    @cached_property
    def _table(self) -> NDArray[np.float32]:
        """Responses (ANGLES, FRACTIONS, TAPS), tapered to zero from 10 to 12 kHz."""
        frequency = np.fft.rfftfreq(self.TAPS, 1 / SAMPLE_RATE)
        angle = np.linspace(0, np.pi, self.ANGLES)
        response = rigid_sphere_response(
            2 * np.pi * frequency * self.radius_m / SPEED_OF_SOUND, np.cos(angle)
        ).T
        taper = np.cos(np.pi / 2 * np.clip((frequency - 10e3) / 2e3, 0, 1)) ** 2
        delay = self.LATENCY + np.arange(self.FRACTIONS) / self.FRACTIONS
        shift = np.exp(-2j * np.pi * np.outer(delay, frequency) / SAMPLE_RATE)
        spectrum = (response * taper)[:, None, :] * shift
        return np.asarray(irfft(spectrum, self.TAPS, axis=-1), np.float32)

    def responses(self, direction: ArrayLike, fraction: ArrayLike = 0) -> NDArray[np.float32]:
        """Return the (..., M, TAPS) responses to arrivals, `LATENCY` samples late.

        Parameters
        ----------
        direction
            Unit vectors (..., 3).
        fraction
            Further delay (...) in steps of ``1 / FRACTIONS`` of a sample.
        """
        cosine = np.clip(np.asarray(direction, float) @ self.capsules.T, -1, 1)
        position = np.arccos(cosine) * ((self.ANGLES - 1) / np.pi)
        low = np.minimum(position.astype(int), self.ANGLES - 2)
        weight = (position - low).astype(np.float32)[..., None]
        step = np.asarray(fraction)[..., None]
        return np.asarray(
            (1 - weight) * self._table[low, step] + weight * self._table[low + 1, step]
        )

    def arrivals(
        self, directions: FloatArray, delays: FloatArray, gains: FloatArray, samples: int
    ) -> NDArray[np.float32]:
        """Return the (B, M, samples) responses to many arrivals, by band.

        Parameters
        ----------
        directions
            Unit vectors (I, 3).
        delays
            In samples, (I,), each `LATENCY` or more.
        gains
            (I, B).
        """
        starts, fractions = np.divmod(
            np.rint((delays - self.LATENCY) * self.FRACTIONS).astype(int), self.FRACTIONS
        )
        responses = self.responses(directions, fractions)
        out = np.zeros((gains.shape[1], self.channels, samples + self.TAPS), np.float32)
        weights = gains.astype(np.float32)[:, :, None, None]
        for start, weight, response in zip(starts, weights, responses, strict=True):
            if start < samples:
                out[:, :, start : start + self.TAPS] += weight * response
        return out[..., :samples]

    @cached_property
    def _diffuse_spectra(self) -> NDArray[np.complex64]:
        """Responses of `DIFFUSE_DIRECTIONS` as (bins, directions, M) for block convolution."""
        firs = np.stack([self.responses(direction) for direction in DIFFUSE_DIRECTIONS])
        return np.ascontiguousarray(rfft(firs, _BLOCK, axis=-1).transpose(2, 0, 1))

    def diffuse_field(
        self, envelope: NDArray[np.float32], rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return (M, N) diffuse noise: independent white plane waves from all round the sphere.

        The pressure at the centre, without the sphere, would be white with the standard deviation
        ``envelope`` (N,) at each sample.
        """
        samples, hop = len(envelope), _BLOCK - self.TAPS
        blocks = -(-samples // hop)
        directions = len(DIFFUSE_DIRECTIONS)
        scaled = np.zeros(blocks * hop, np.float32)
        scaled[:samples] = envelope / np.sqrt(directions)
        field = np.zeros((self.channels, (blocks + 1) * hop + self.TAPS), np.float32)
        for first in range(0, blocks, 128):
            part = slice(first, min(first + 128, blocks))
            shaped = scaled.reshape(blocks, hop)[part]
            noise = rng.standard_normal((*shaped.shape, directions), np.float32)
            spectra = rfft(noise * shaped[..., None], _BLOCK, axis=1).transpose(1, 0, 2)
            noise = irfft(spectra @ self._diffuse_spectra, _BLOCK, axis=0)
            for index in range(len(shaped)):
                start = (first + index) * hop
                field[:, start : start + _BLOCK] += noise[:, index].T
        return field[:, self.LATENCY : self.LATENCY + samples]


_BLOCK = 512
DIFFUSE_DIRECTIONS: FloatArray = fibonacci_sphere(3).T
"""The 64 unit vectors (64, 3) whose plane waves make a diffuse field."""
