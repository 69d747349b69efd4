"""The em32 as measured, in place of the ideal rigid sphere.

``EM32_Directivity.sofa`` (IEM Graz, F. Zotter; DIRPAT) lies in the source distribution of
pyroomacoustics 0.10.0. It gives no licence, so nothing of it is kept here: whoever makes a world
downloads it. It holds 480 directions, 32 capsules, 256 taps at 44.1 kHz. Read plainly (azimuth to
the left, colatitude) the responses correlate with the ideal sphere by 0.986 between 0.8 and
5 kHz; in the order that pyroomacoustics' own reader puts the directions in, by 0.33.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import irfft
from scipy.special import sph_harm_y

from saiseld.conventions.arrays import RADIUS_M, eigenmike_xyz
from saiseld.conventions.rigid_sphere import (
    SPEED_OF_SOUND,
    RigidSphereArray,
    rigid_sphere_response,
)
from saiseld.conventions.sphere import unit_vector
from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.runtime.errors import DataError

SHA256 = "50df6ff280aa6a84206cd3114735066d2bf451532da880e7464f64089fea3e16"
ORDER = 10
"""Of the spherical harmonics that interpolate between measured directions."""
_RIDGE = 1e-3


class MeasuredArray(RigidSphereArray):
    """The measured capsules as `RigidSphereArray` has the ideal ones.

    Parameters
    ----------
    sofa
        ``EM32_Directivity.sofa``.
    capsules
        Which of the 32, zero-based.

    Raises
    ------
    DataError
        If it is another file.
    """

    TAPS = 160

    def __init__(self, sofa: str | Path, capsules: ArrayLike = range(32)) -> None:
        chosen = np.asarray(capsules, int)
        super().__init__(eigenmike_xyz()[chosen])
        self._spectra = _read(Path(sofa))[:, :, chosen]

    @cached_property
    def _harmonics(self) -> NDArray[np.complex128]:
        """Coefficients (harmonics, bins x capsules)."""
        spectra = self._spectra
        basis = _basis(measured_directions())
        gram = basis.T @ basis + _RIDGE * np.eye(basis.shape[1])
        flat = spectra.reshape(len(spectra), -1)
        return np.asarray(np.linalg.solve(gram, basis.T @ flat))

    def responses(self, direction: ArrayLike, fraction: ArrayLike = 0) -> NDArray[np.float32]:
        """Return the (..., M, TAPS) responses to arrivals; see `RigidSphereArray.responses`."""
        direction = np.asarray(direction, float)
        lead = direction.shape[:-1]
        spectrum = _basis(direction.reshape(-1, 3)) @ self._harmonics
        spectrum = spectrum.reshape(-1, self.TAPS // 2 + 1, self.channels)
        late = np.broadcast_to(np.asarray(fraction, float) / self.FRACTIONS, lead).reshape(-1, 1)
        bins = np.arange(self.TAPS // 2 + 1)
        spectrum = spectrum * np.exp(-2j * np.pi * bins * late / self.TAPS)[..., None]
        taps = irfft(spectrum, self.TAPS, axis=1).transpose(0, 2, 1)
        return np.asarray(taps.reshape(*lead, self.channels, self.TAPS), np.float32)


def measured_directions() -> NDArray[np.float64]:
    """Return the unit vectors (480, 3) of the measurement: 30 azimuths of 16 elevations each."""
    azimuth = np.repeat(np.arange(30) * 12.0, 16)
    elevation = np.tile(90 - (5.625 + 11.25 * np.arange(16)), 30)
    return unit_vector(azimuth, elevation)


def _basis(direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return real spherical harmonics (D, (ORDER + 1)^2)."""
    azimuth = np.arctan2(direction[:, 1], direction[:, 0])
    colatitude = np.arccos(np.clip(direction[:, 2], -1, 1))
    columns = []
    for n in range(ORDER + 1):
        columns.append(sph_harm_y(n, 0, colatitude, azimuth).real)
        for m in range(1, n + 1):
            value = sph_harm_y(n, m, colatitude, azimuth)
            columns += [np.sqrt(2) * value.real, np.sqrt(2) * value.imag]
    return np.stack(columns, axis=1)


def _read(path: Path) -> NDArray[np.complex128]:
    """Return spectra (480, bins, 32), a plane wave `RigidSphereArray.LATENCY` late at the centre.

    The level is that of the ideal sphere between 0.5 and 2 kHz; nothing else is equalised.
    """
    import h5py

    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        raise DataError(
            path,
            expected=f"EM32_Directivity.sofa with SHA-256 {SHA256}",
            found="another file" if path.is_file() else "no such file",
            advice="Take it from the source distribution of pyroomacoustics 0.10.0",
        )
    with h5py.File(path) as file:
        measured = np.asarray(file["Data.IR"], float)
        rate = float(file["Data.SamplingRate"][0])
    taps = MeasuredArray.TAPS
    frequency = np.arange(taps // 2 + 1) * SAMPLE_RATE / taps
    time = np.arange(measured.shape[2]) / rate
    spectra = (measured @ np.exp(-2j * np.pi * np.outer(time, frequency))).transpose(0, 2, 1)
    capsules = eigenmike_xyz() / np.linalg.norm(eigenmike_xyz(), axis=1, keepdims=True)
    wave = 2 * np.pi * frequency * RADIUS_M / SPEED_OF_SOUND
    ideal = rigid_sphere_response(wave, measured_directions() @ capsules.T).transpose(1, 0, 2)
    mid = (frequency >= 500) & (frequency <= 4000)
    cross = (spectra[:, mid] * ideal[:, mid].conj()).sum((0, 2))
    lags = np.arange(0, 2e-3, 1e-6)
    steered = np.abs(np.exp(2j * np.pi * np.outer(lags, frequency[mid])) @ cross)
    shift = RigidSphereArray.LATENCY / SAMPLE_RATE - lags[steered.argmax()]
    level = (frequency >= 500) & (frequency <= 2000)
    gain = np.sqrt(np.mean(np.abs(ideal[:, level]) ** 2) / np.mean(np.abs(spectra[:, level]) ** 2))
    taper = np.cos(np.pi / 2 * np.clip((frequency - 10e3) / 2e3, 0, 1)) ** 2
    phase = np.exp(-2j * np.pi * frequency * shift)
    return np.asarray(gain * spectra * (taper * phase)[:, None])
