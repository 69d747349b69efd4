"""Whether a sound fits an array's geometry, and how well an array tells directions.

The sound of an array, piece by piece of 21 ms and band by band, is modelled as one plane wave in a
diffuse field: with the array's response a to the wave and its covariance G in a diffuse field, the
spectra are complex normal with the covariance ``p a a^H + q (G + eps I)``. Direction, p and q of
each piece have their most likely values (Stoica and Moses, "Spectral Analysis of Signals", 2005,
ch. 6, for the closed form with whitened signals). Of two arrays the one with the higher mean
log-likelihood fits: phases between microphones tell positions, levels tell directivity.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft

from saiseld.arrays.converter import WHITENING
from saiseld.arrays.description import MicrophoneArray, array_names, read_array
from saiseld.arrays.responses import array_response
from saiseld.conventions.sphere import (
    angles_of_vector,
    fibonacci_sphere,
    great_circle,
    wrap_azimuth,
)
from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.runtime.errors import DataError

_WINDOW = 512
_FIT_BANDS_HZ = ((700.0, 1100.0), (1100.0, 1700.0), (1700.0, 2600.0), (2600.0, 4000.0))
_ORDER = 6
"""Of the grid that fits are made on: 196 directions."""
_PIECES, _FEW_PIECES = 240, 60
_MANY_MICROPHONES = 8
_NOISE = 0.01
"""eps, of the mean diagonal of G."""
CLEARLY = 0.5
"""Nats a bin by which another array must be likelier. In simulated rooms the right one was beaten
by up to 0.23, in noise alone by 0.34; wrong ones were beaten by 0.69 and more."""

Array = NDArray[np.float32]
FloatArray = NDArray[np.float64]
Complex = NDArray[np.complex128]


@dataclass(frozen=True, slots=True)
class GeometryFit:
    """How an array fits a sound against others.

    Parameters
    ----------
    best
        The array that fits best, among those tried.
    gain
        Nats a bin by which it is likelier than the array asked about; 0 if that is the best.
    """

    best: MicrophoneArray
    gain: float

    @property
    def fits(self) -> bool:
        """Whether no array that was tried fits clearly better."""
        return self.gain < CLEARLY


def scaled(array: MicrophoneArray, radius_m: float) -> MicrophoneArray:
    """Return the array shrunk or widened to another mean distance of its microphones from 0."""
    radius = np.linalg.norm(array.positions_m, axis=1).mean()
    return replace(array, positions_m=array.positions_m * (radius_m / radius))


def loud_pieces(audio: Array) -> Complex:
    """Return the spectra (P, F, M) of the loudest pieces of 21 ms of samples (n, M) at 24 kHz."""
    count = len(audio) // _WINDOW
    pieces = audio[: count * _WINDOW].reshape(count, _WINDOW, -1).astype(float)
    loud = np.square(pieces).sum(axis=(1, 2))
    most = _PIECES if pieces.shape[2] <= _MANY_MICROPHONES else _FEW_PIECES
    chosen = np.sort(np.argsort(-loud, kind="stable")[:most])
    chosen = chosen[loud[chosen] > 0]
    chosen_pieces = pieces[chosen] / np.sqrt(loud[chosen])[:, None, None]
    return np.asarray(rfft(chosen_pieces * np.hanning(_WINDOW)[:, None], axis=1))


@dataclass(frozen=True, eq=False)
class GeometryModel:
    """An array's likelihood, ready for any sound."""

    array: MicrophoneArray

    @cached_property
    def _bands(self) -> list[tuple[NDArray[np.intp], Complex, Complex, float]]:
        """For each band its bins, whitening (F, M, M), whitened steering (F, D, M), log det."""
        frequency = np.asarray(np.fft.rfftfreq(_WINDOW, 1 / SAMPLE_RATE), np.float64)
        directions = fibonacci_sphere(_ORDER).T
        out = []
        for low, high in _FIT_BANDS_HZ:
            bins = np.flatnonzero((frequency >= low) & (frequency < high))[::2]
            response = array_response(self.array, frequency[bins], directions)
            whitening, log_det = _whitening(response, _NOISE)
            steered = _steering(response, whitening)
            out.append((bins, whitening, steered, float(log_det.mean())))
        return out

    def log_likelihood(self, pieces: Complex) -> float:
        """Return the mean over bins, pieces (P, F, M) and bands, in nats."""
        total = 0.0
        for bins, whitening, steered, log_det in self._bands:
            whitened = np.einsum("fkm,pfm->fpk", whitening, pieces[:, bins], optimize=True)
            power = np.square(np.abs(whitened)).sum(axis=(0, 2)) / len(bins)
            along = np.zeros((whitened.shape[1], steered.shape[1]))
            for one, directions in zip(whitened, steered, strict=True):
                along += np.abs(one @ directions.conj().T) ** 2
            wave = np.maximum(along.max(axis=1) / len(bins), 1e-30)
            others = whitened.shape[2] - 1
            rest = np.maximum(power - wave, 1e-12 * wave) / others
            total -= float(np.mean(others * np.log(rest) + np.log(wave)) + log_det)
        return total / len(self._bands)


def _whitening(response: Complex, loading: float) -> tuple[Complex, FloatArray]:
    """Return (F, M, M) that whiten a diffuse field of responses (F, D, M), and log det (F,)."""
    count = response.shape[2]
    diffuse = np.einsum("fdm,fdn->fmn", response, response.conj(), optimize=True)
    diffuse /= np.maximum(np.trace(diffuse, axis1=1, axis2=2).real / count, 1e-12)[:, None, None]
    value, vector = np.linalg.eigh(diffuse)
    value = np.maximum(value, 0) + loading
    whitening = (vector / np.sqrt(value)[:, None]).conj().transpose(0, 2, 1)
    return whitening, np.log(value).sum(axis=1)


def _steering(response: Complex, whitening: Complex) -> Complex:
    """Return the whitened responses (F, D, M), each of length 1."""
    steered = response @ whitening.transpose(0, 2, 1)
    length = np.linalg.norm(steered, axis=2, keepdims=True)
    return np.asarray(steered / np.maximum(length, 1e-9))


def check_geometry(
    audio: Array,
    array: MicrophoneArray | GeometryModel,
    others: Sequence[MicrophoneArray | GeometryModel] | None = None,
) -> GeometryFit | None:
    """Return how an array fits its sound, against others of as many microphones.

    Parameters
    ----------
    audio
        Microphone signals (n, M) at 24 kHz.
    array
        The array that they are said to be of, or its model.
    others
        What else it may be; `look_alikes` if None.

    Returns
    -------
    None for silence.
    """
    pieces = loud_pieces(audio)
    if not len(pieces):
        return None
    declared = array if isinstance(array, GeometryModel) else GeometryModel(array)
    if others is None:
        others = look_alikes(declared.array)
    likely = declared.log_likelihood(pieces)
    best, gain = declared.array, 0.0
    for other in others:
        model = other if isinstance(other, GeometryModel) else GeometryModel(other)
        better = model.log_likelihood(pieces) - likely
        if better > gain:
            best, gain = model.array, better
    return GeometryFit(best, gain)


def look_alikes(array: MicrophoneArray) -> list[MicrophoneArray]:
    """Return arrays of the same shape, of other radii and models, and built-in ones of its size."""
    radius = float(np.linalg.norm(array.positions_m, axis=1).mean())
    out = []
    for size in (0.01, 0.0147, 0.02, 0.03, 0.042, 0.06, 0.09):
        for model in ("open", "cardioid", "rigid-sphere"):
            if model == array.model and abs(size - radius) < 0.1 * radius:
                continue
            if model == "cardioid" and size > 0.025:
                continue
            with suppress(DataError):  # a shape that is no sphere, or no array any more
                alike = scaled(replace(array, measured=None, model="open"), size)
                name = f"{model}, radius {100 * size:.1f} cm"
                out.append(replace(alike, model=model, name=name))
    if array.microphones <= _MANY_MICROPHONES:
        out += [other for name in array_names() if _same_size(other := read_array(name), array)]
    return out


def _same_size(one: MicrophoneArray, other: MicrophoneArray) -> bool:
    return one.microphones == other.microphones and one.name != other.name


@dataclass(frozen=True, slots=True, eq=False)
class ExpectedErrors:
    """What an array tells of directions, by simulation.

    Parameters
    ----------
    frequency_hz
        Centres (B,) of third-octave bands.
    median_deg, worst_deg
        (B,) of the error over directions.
    worst_direction
        Azimuth and elevation whose error is the largest over all bands together.
    worst_error_deg
        That error.
    azimuth_only
        Whether errors are of azimuth: elevations are assumed.
    """

    frequency_hz: FloatArray
    median_deg: FloatArray
    worst_deg: FloatArray
    worst_direction: tuple[float, float]
    worst_error_deg: float
    azimuth_only: bool


CENTRES_HZ = (250.0, 500.0, 1000.0, 1500.0, 2000.0, 3000.0, 4000.0, 6000.0)


def expected_errors(
    array: MicrophoneArray,
    *,
    position_m: float = 1e-3,
    gain_db: float = 1.0,
    noise_db: float = -40.0,
    diffuse_db: float = -10.0,
    trials: int = 8,
    seed: int = 0,
) -> ExpectedErrors:
    """Return the direction error of one source, by frequency, of an array that is not quite exact.

    Parameters
    ----------
    array
        The array.
    position_m, gain_db
        Standard deviations of what its microphones are off by.
    noise_db, diffuse_db
        Sensor noise and a diffuse field, relative to the source.
    trials
        Arrays that are drawn.
    seed
        Of the draws.
    """
    rng = np.random.default_rng(seed)
    tried, grid = _directions(array)
    drawn = [
        (
            _moved(array, rng.normal(0, position_m, array.positions_m.shape)),
            10 ** (rng.normal(0, gain_db, array.microphones) / 20),
        )
        for _ in range(trials)
    ]
    errors = np.empty((len(CENTRES_HZ), trials, len(tried)))
    for band, centre in enumerate(CENTRES_HZ):
        frequency = centre * np.array([0.9, 0.95, 1.0, 1.05, 1.1])
        assumed = array_response(array, frequency, grid)
        diffuse = np.einsum("fdm,fdn->fmn", assumed, assumed.conj(), optimize=True) / len(grid)
        for trial, (moved, gains) in enumerate(drawn):
            real = array_response(moved, frequency, tried) * gains
            found = _found(real, assumed, diffuse, noise_db, diffuse_db)
            errors[band, trial] = _error(grid[found], tried, array.elevation_assumed)
    over_bands = np.median(errors, axis=0).mean(axis=0)
    worst = int(over_bands.argmax())
    azimuth, elevation = angles_of_vector(tried[worst])
    by_direction = errors.mean(axis=1)
    return ExpectedErrors(
        np.array(CENTRES_HZ),
        np.median(by_direction, axis=1),
        by_direction.max(axis=1),
        (float(azimuth), float(elevation)),
        float(over_bands[worst]),
        array.elevation_assumed,
    )


def _directions(array: MicrophoneArray) -> tuple[FloatArray, FloatArray]:
    """Return the directions that sound comes from, and the finer grid on which it is sought."""
    tried, grid = fibonacci_sphere(_ORDER).T, fibonacci_sphere(20).T
    normal = array.normal
    if array.ambiguous and normal is not None:
        tried, grid = tried[tried @ normal > 0.1], grid[grid @ normal > -0.02]
        if array.elevation_assumed:  # near the zenith azimuth means little
            tried = tried[np.abs(tried[:, 2]) < np.sin(np.radians(60))]
    return tried, grid


def _moved(array: MicrophoneArray, off: FloatArray) -> MicrophoneArray:
    """Return the array with its microphones moved; those on a sphere stay on it."""
    if array.measured is not None:
        return array
    positions = array.positions_m + off
    if array.model == "rigid-sphere":
        radius = np.linalg.norm(array.positions_m, axis=1, keepdims=True)
        positions *= radius / np.linalg.norm(positions, axis=1, keepdims=True)
    return replace(array, positions_m=positions, half=array.half or "up")


def _found(
    real: Complex, assumed: Complex, diffuse: Complex, noise_db: float, diffuse_db: float
) -> NDArray[np.intp]:
    """Return for each direction (D,) of a real array where the assumed one (G,) hears it."""
    count = real.shape[2]
    whitening, _ = _whitening(assumed, WHITENING)
    steered = _steering(assumed, whitening)
    power = np.zeros((len(real[0]), len(steered[0])))
    for whitened, steering, white, field in zip(real, steered, whitening, diffuse, strict=True):
        size = np.trace(field).real / count
        noise = 10 ** (diffuse_db / 10) * field + 10 ** (noise_db / 10) * size * np.eye(count)
        whitened_noise = white @ noise @ white.conj().T
        floor = np.einsum(
            "gm,mn,gn->g", steering.conj(), whitened_noise, steering, optimize=True
        ).real
        power += np.abs((whitened @ white.T) @ steering.conj().T) ** 2 + floor
    return np.asarray(np.argmax(power, axis=1))


def _error(found: FloatArray, true: FloatArray, azimuth_only: bool) -> FloatArray:
    one, other = angles_of_vector(found), angles_of_vector(true)
    if azimuth_only:
        return np.abs(wrap_azimuth(one[0] - other[0]))
    return great_circle(*one, *other)
