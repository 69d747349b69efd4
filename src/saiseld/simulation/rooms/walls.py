"""Shoeboxes whose walls absorb each octave differently, furnished from real materials.

Images are displaced a little at random, as by uneven walls (De Sena et al., "On the modeling of
rectangular geometries in room acoustic simulations", 2015). Absorption coefficients are typical
published ones (Vorlaender, "Auralization", 2008, appendix; Kuttruff, "Room Acoustics", 5th ed.,
table 9.1), rounded. Air absorbs as in ISO 9613-1 at 20 degrees and 50 % humidity.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import irfft, rfft

from saiseld.conventions.rigid_sphere import SPEED_OF_SOUND, RigidSphereArray
from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.simulation.rooms.room import EARLY_S, image_sources, mixing

FloatArray = NDArray[np.float64]

OCTAVES_HZ = (125, 250, 500, 1000, 2000, 4000, 8000)
"""Centres of the bands."""
MID = slice(2, 5)
"""The bands whose mean is called the reverberation time of a room."""

AIR: FloatArray = np.array([0.4, 1.0, 1.9, 3.7, 9.7, 33.0, 117.0]) / 1000 * np.log(10) / 10
"""Energy that air takes, in nepers a metre, by octave."""

WALLS = {
    "plaster on brick": (0.02, 0.02, 0.03, 0.04, 0.05, 0.05, 0.05),
    "painted concrete": (0.01, 0.01, 0.01, 0.02, 0.02, 0.02, 0.02),
    "plasterboard on studs": (0.29, 0.10, 0.05, 0.04, 0.07, 0.09, 0.09),
    "wood panelling": (0.30, 0.25, 0.20, 0.17, 0.15, 0.10, 0.10),
    "window glass": (0.35, 0.25, 0.18, 0.12, 0.07, 0.04, 0.04),
    "bookshelf": (0.30, 0.40, 0.40, 0.30, 0.30, 0.20, 0.20),
    "heavy curtain": (0.07, 0.31, 0.49, 0.75, 0.70, 0.60, 0.60),
    "foam panels": (0.10, 0.25, 0.60, 0.90, 0.95, 0.90, 0.90),
}
FLOORS = {
    "linoleum on concrete": (0.02, 0.02, 0.03, 0.03, 0.04, 0.04, 0.05),
    "parquet": (0.04, 0.04, 0.07, 0.06, 0.06, 0.07, 0.07),
    "thin carpet": (0.02, 0.04, 0.08, 0.20, 0.35, 0.40, 0.45),
    "heavy carpet": (0.08, 0.24, 0.57, 0.69, 0.71, 0.73, 0.73),
    "upholstery": (0.15, 0.30, 0.45, 0.55, 0.60, 0.60, 0.60),
}
CEILINGS = {
    "plaster on concrete": (0.01, 0.02, 0.02, 0.03, 0.04, 0.05, 0.05),
    "plasterboard ceiling": (0.20, 0.15, 0.10, 0.08, 0.04, 0.02, 0.02),
    "wood boards": (0.25, 0.15, 0.10, 0.09, 0.08, 0.07, 0.07),
    "acoustic tiles": (0.35, 0.50, 0.65, 0.80, 0.85, 0.80, 0.75),
}


_EARLY_SAMPLES = 2048


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """A source that beams.

    Parameters
    ----------
    aim
        Unit vector (3,) it faces.
    beaming
        (B,) share of its pattern that is a figure of eight, by octave; the rest is even.
    """

    aim: FloatArray
    beaming: FloatArray

    def gain(self, emitted: FloatArray) -> FloatArray:
        """Return amplitudes (I, B) to directions (I, 3)."""
        return np.asarray(1 - self.beaming + self.beaming * (emitted @ self.aim)[:, None])

    @property
    def power(self) -> FloatArray:
        """Mean power over all directions, (B,)."""
        return np.asarray((1 - self.beaming) ** 2 + self.beaming**2 / 3)


@dataclass(frozen=True, slots=True, eq=False)
class FurnishedRoom:
    """A shoebox with one corner at the origin and walls of materials.

    Parameters
    ----------
    size_m
        Length (x), width (y) and height (z).
    materials
        What covers the walls x = 0, x = size, y = 0, ... z = size.
    exponents
        (6, B): -ln(1 - absorption) of the walls by octave.
    displacements_m
        (K, 3) by which images are displaced after one reflection, in turn.
    """

    size_m: tuple[float, float, float]
    materials: tuple[str, ...]
    exponents: FloatArray
    displacements_m: FloatArray = field(default_factory=lambda: np.zeros((1, 3)))

    @property
    def volume_m3(self) -> float:
        """Volume."""
        return float(np.prod(self.size_m))

    @property
    def reflection(self) -> FloatArray:
        """Pressure reflection of the walls, (6, B)."""
        return np.asarray(np.exp(-0.5 * self.exponents))

    @property
    def rt60_s(self) -> FloatArray:
        """Reverberation time by octave, (B,): Eyring's formula with the air's absorption."""
        lost = _areas(self.size_m) @ self.exponents + 4 * AIR * self.volume_m3
        return np.asarray(24 * np.log(10) * self.volume_m3 / (SPEED_OF_SOUND * lost))

    def early_response(
        self,
        source: ArrayLike,
        receiver: ArrayLike,
        array: RigidSphereArray,
        pattern: Pattern | None = None,
    ) -> NDArray[np.float32]:
        """Return the (M, N) response of direct path and images, as `Room.early_response` does.

        ``pattern`` says where the source radiates to; evenly if None.
        """
        offset, gain, bounces = image_sources(self, source, receiver, EARLY_S * SPEED_OF_SOUND)
        # An image keeps its displacement along a walk: it is numbered by its bounces.
        number = bounces @ [1, 31, 961] + (offset > 0) @ [7, 14, 28]
        shift = self.displacements_m[number % len(self.displacements_m)]
        offset = offset + np.sqrt(bounces.sum(axis=1))[:, None] * shift
        distance = np.linalg.norm(offset, axis=1)
        gain = gain * np.exp(-0.5 * AIR * distance[:, None]) / distance[:, None]
        if pattern is not None:
            emitted = -offset / distance[:, None] * np.where(bounces % 2, -1, 1)
            gain *= pattern.gain(emitted)
        delay_s = distance / SPEED_OF_SOUND
        gain *= np.cos(np.pi / 2 * mixing(delay_s))[:, None]
        bands = array.arrivals(
            offset / distance[:, None], delay_s * SAMPLE_RATE, gain, _EARLY_SAMPLES
        )
        padded = 2 * _EARLY_SAMPLES
        spectrum = np.einsum("bmf,bf->mf", rfft(bands, padded, axis=-1), octave_filters(padded))
        return np.asarray(irfft(spectrum, padded, axis=-1)[:, :_EARLY_SAMPLES], np.float32)

    def diffuse_tail(
        self,
        array: RigidSphereArray,
        rng: np.random.Generator,
        pattern: Pattern | None = None,
        longest_s: float = 2.0,
    ) -> NDArray[np.float32]:
        """Return the (M, N) diffuse late response that decays by octave, cut at ``longest_s``."""
        samples = int(min(float(self.rt60_s.max()) + EARLY_S, longest_s) * SAMPLE_RATE)
        time_s = np.arange(samples) / SAMPLE_RATE
        field = rfft(array.diffuse_field(np.ones(samples, np.float32), rng), 2 * samples, axis=-1)
        decay = 10 ** (-3 * time_s / self.rt60_s[:, None]) * np.sin(np.pi / 2 * mixing(time_s))
        decay *= np.sqrt(4 * np.pi * SPEED_OF_SOUND / self.volume_m3 / SAMPLE_RATE)
        if pattern is not None:
            decay *= np.sqrt(pattern.power)[:, None]
        tail = np.zeros((array.channels, samples), np.float32)
        for spectrum, envelope in zip(octave_filters(2 * samples), decay, strict=True):
            tail += irfft(field * spectrum, 2 * samples, axis=-1)[:, :samples] * envelope
        return tail


def _areas(size_m: tuple[float, float, float]) -> FloatArray:
    x, y, z = size_m
    return np.repeat([y * z, x * z, x * y], 2)


def furnish(
    size_m: tuple[float, float, float],
    rt60_s: float,
    rng: np.random.Generator,
    roughness_m: float = 0.0,
) -> FurnishedRoom:
    """Cover the walls with two materials each, then scale all to a mid-frequency RT60.

    The scale stands for furniture and people, and lets few materials make many rooms: a room keeps
    the spectrum of its materials and which of its walls are lively. ``roughness_m`` is the standard
    deviation of an image's displacement.
    """
    choices = [WALLS] * 4 + [FLOORS, CEILINGS]
    names, exponents = [], []
    for choice in choices:
        first, second = (str(rng.choice(list(choice))) for _ in range(2))
        share = rng.uniform(0.5, 1.0)
        absorption = share * np.array(choice[first]) + (1 - share) * np.array(choice[second])
        absorption = np.clip(absorption * rng.uniform(0.7, 1.3, absorption.shape), 0.005, 0.98)
        names.append(first if first == second else f"{first}, {second}")
        exponents.append(-np.log(1 - absorption))
    volume = float(np.prod(size_m))
    needed = 24 * np.log(10) * volume / (SPEED_OF_SOUND * rt60_s) - 4 * AIR[MID].mean() * volume
    scale = max(needed, 0.0) / (_areas(size_m) @ np.array(exponents))[MID].mean()
    return FurnishedRoom(
        size_m,
        tuple(names),
        np.clip(scale * np.array(exponents), 0.005, 6.0),
        rng.normal(0, roughness_m, (4096, 3)),
    )


def octave_filters(samples: int) -> FloatArray:
    """Return zero-phase octave filters (B, samples // 2 + 1) for spectra of `rfft`; they sum to 1.

    Neighbours cross over as raised cosines on a logarithmic frequency axis; the lowest and highest
    band reach to zero and to half the sample rate.
    """
    frequency = np.maximum(np.fft.rfftfreq(samples, 1 / SAMPLE_RATE), 1.0)
    octave = np.clip(np.log2(frequency / OCTAVES_HZ[0]), 0, len(OCTAVES_HZ) - 1)
    away = np.abs(octave - np.arange(len(OCTAVES_HZ))[:, None])
    return np.asarray(np.cos(np.pi / 2 * np.clip(away, 0, 1)) ** 2)
