"""A shoebox room: image sources early, a diffuse tail late, both heard on a rigid sphere.

Image sources follow Allen and Berkley (1979). All images that arrive within `EARLY_S` are kept;
their density, 4 pi c^3 t^2 / V a second, times 1/(ct)^2 each, says what energy the diffuse tail
goes on with: 4 pi c / V, decaying by 60 dB in RT60. The two are crossfaded at equal power.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from saiseld.conventions.rigid_sphere import SPEED_OF_SOUND, RigidSphereArray
from saiseld.conventions.timebase import SAMPLE_RATE

EARLY_S = 0.06
"""Images are exact up to here."""
MIX_S = 0.03
"""The diffuse tail fades in from here to `EARLY_S`."""

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Room:
    """A shoebox with one corner at the origin.

    Parameters
    ----------
    size_m
        Length (x), width (y) and height (z).
    rt60_s
        Reverberation time.
    liveliness
        Six positive numbers, for the walls x = 0, x = size, y = 0, ... z = size: how much more or
        less than the average a wall absorbs.
    """

    size_m: tuple[float, float, float]
    rt60_s: float
    liveliness: tuple[float, ...] = (1.0,) * 6

    @property
    def volume_m3(self) -> float:
        """Volume."""
        return float(np.prod(self.size_m))

    @property
    def reflection(self) -> FloatArray:
        """Pressure reflection of the six walls, so that Eyring's formula gives ``rt60_s``."""
        x, y, z = self.size_m
        area = np.repeat([y * z, x * z, x * y], 2)
        weight = np.asarray(self.liveliness, float)
        # Eyring: RT60 = 24 ln(10) V / (c * sum of area * -ln(1 - absorption)).
        total = 24 * np.log(10) * self.volume_m3 / (SPEED_OF_SOUND * self.rt60_s)
        return np.asarray(np.exp(-0.5 * weight * total / (area @ weight)))

    def early_response(
        self, source: ArrayLike, receiver: ArrayLike, array: RigidSphereArray
    ) -> NDArray[np.float32]:
        """Return the (M, N) response of direct path and images, fading from `MIX_S` to `EARLY_S`.

        A source at 1 m has direct amplitude 1; the time origin is the moment of emission.
        """
        samples = int(EARLY_S * SAMPLE_RATE) + array.TAPS
        offset, gain, _ = image_sources(self, source, receiver, EARLY_S * SPEED_OF_SOUND)
        distance = np.linalg.norm(offset, axis=1)
        delay_s = distance / SPEED_OF_SOUND
        gain = gain / distance * np.cos(np.pi / 2 * mixing(delay_s))
        directions, delays = offset / distance[:, None], delay_s * SAMPLE_RATE
        return np.asarray(array.arrivals(directions, delays, gain[:, None], samples)[0])

    def diffuse_tail(
        self, array: RigidSphereArray, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return the (M, N) diffuse late response, on the time axis of `early_response`."""
        time_s = np.arange(int((MIX_S + self.rt60_s) * SAMPLE_RATE)) / SAMPLE_RATE
        density = 4 * np.pi * SPEED_OF_SOUND / self.volume_m3
        envelope = np.sqrt(density / SAMPLE_RATE) * 10 ** (-3 * time_s / self.rt60_s)
        envelope *= np.sin(np.pi / 2 * mixing(time_s))
        start = int(MIX_S * SAMPLE_RATE)
        tail = array.diffuse_field(envelope[start:].astype(np.float32), rng)
        return np.pad(tail, ((0, 0), (start, 0)))


class Shoebox(Protocol):
    """A room that can be rendered."""

    @property
    def size_m(self) -> tuple[float, float, float]:
        """Length, width and height."""

    @property
    def reflection(self) -> FloatArray:
        """Pressure reflection of the six walls, (6,) or by band (6, B)."""

    def early_response(
        self, source: ArrayLike, receiver: ArrayLike, array: RigidSphereArray
    ) -> NDArray[np.float32]:
        """Return the (M, N) direct sound and images."""

    def diffuse_tail(
        self, array: RigidSphereArray, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return the (M, N) late response, on the same time axis."""


class Images(NamedTuple):
    """Image sources of one source, the source itself included.

    Parameters
    ----------
    offset_m
        (I, 3) vectors from receiver to image.
    gain
        (I,) or by band (I, B): product of the walls' reflections, without the 1/r of the way.
    bounces
        (I, 3) number of reflections at the walls of each axis; an odd one mirrors the source.
    """

    offset_m: FloatArray
    gain: FloatArray
    bounces: NDArray[np.int64]


def image_sources(
    room: Shoebox, source: ArrayLike, receiver: ArrayLike, max_distance_m: float
) -> Images:
    """Return the images of a source within a distance of the receiver."""
    source, receiver = np.asarray(source, float), np.asarray(receiver, float)
    offsets, gains, bounces = [], [], []
    for axis, size in enumerate(room.size_m):
        count = int(np.ceil(max_distance_m / (2 * size))) + 1
        cell = np.arange(-count, count + 1)[:, None]
        mirrored = np.array([0, 1])[None, :]
        position = (1 - 2 * mirrored) * source[axis] + 2 * cell * size
        offsets.append((position - receiver[axis]).ravel())
        off_low, off_high = np.abs(cell - mirrored).ravel(), np.abs(cell + 0 * mirrored).ravel()
        low, high = room.reflection[2 * axis : 2 * axis + 2]
        gains.append(np.power.outer(low, off_low).T * np.power.outer(high, off_high).T)
        bounces.append(off_low + off_high)
    grid = np.stack(np.meshgrid(*offsets, indexing="ij"), axis=-1)
    gain = gains[0][:, None, None] * gains[1][None, :, None] * gains[2]
    near = np.einsum("...i,...i", grid, grid) <= max_distance_m**2
    count_of_axis = np.stack(np.meshgrid(*bounces, indexing="ij"), axis=-1)
    return Images(grid[near], gain[near], count_of_axis[near])


def mixing(time_s: FloatArray) -> FloatArray:
    """Return how far the sound field has gone over from images (0) to the diffuse tail (1)."""
    return np.clip((time_s - MIX_S) / (EARLY_S - MIX_S), 0, 1)
