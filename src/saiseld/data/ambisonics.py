"""First-order ambisonics as the four capsules of the tetrahedron would have recorded it.

A plane wave from direction u has W = 1 and (X, Y, Z) = u in SN3D: four coincident microphones whose
response is the same at all frequencies, converted as an array is (`saiseld.arrays.converter`). The
two terms of the rigid sphere's series that first order holds miss a tenth of a capsule's pressure
at 750 Hz and most of it above 2.5 kHz, just where acoustic images are made; a wave that is found in
W, X, Y and Z and recorded anew by the whole series has them. A-format is converted as the array of
cardioids that it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from saiseld.arrays.converter import ArrayConverter, CapsuleStream, Tables, grid, make_tables
from saiseld.arrays.description import read_array
from saiseld.runtime.errors import AudioError

AmbisonicFormat = Literal["ambix", "n3d", "fuma", "a-format"]
"""``ambix``: W, Y, Z, X (ACN) in SN3D. ``n3d``: the same in N3D, Y, Z and X sqrt(3) larger.
``fuma``: W, X, Y, Z with W 3 dB lower. ``a-format``: four cardioids, front left up, front right
down, back left down, back right up. What follows the first four channels are higher orders."""

_FIRST_ORDER = 4
_OUTWARD = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
"""Signs of x, y and z of the four cardioids."""

Samples = NDArray[np.floating]


class ConverterStream(Protocol):
    """Turns a recording into the four capsules' signals while it comes."""

    def push(self, samples: Samples) -> NDArray[np.float32]:
        """Take (n, channels) samples at 24 kHz and return the (m, 4) that they complete."""
        ...

    def close(self) -> NDArray[np.float32]:
        """Return what is left: in all as many samples as were taken."""
        ...


class Converter(Protocol):
    """What turns the channels of a recording into the signals of the tetrahedron's capsules."""

    @property
    def name(self) -> str:
        """What results that were made with it say of it."""
        ...

    @property
    def elevation_assumed(self) -> bool:
        """Whether elevations of its capsules' sound are assumed and not measured."""
        ...

    def check(self, channels: int, source: str | Path) -> None:
        """Raise ``AudioError`` where a recording has not the channels that it needs."""
        ...

    def stream(self) -> ConverterStream:
        """Return a new stream."""
        ...


@dataclass(frozen=True, slots=True)
class AmbisonicConverter:
    """First-order ambisonics to capsules.

    Parameters
    ----------
    format
        Which ambisonics.
    """

    format: AmbisonicFormat = "ambix"

    @property
    def name(self) -> str:
        """The format."""
        return self.format

    @property
    def elevation_assumed(self) -> bool:
        """False: the height is in the sound, or is 0 in all of it."""
        return False

    def check(self, channels: int, source: str | Path) -> None:
        """Raise ``AudioError`` where there are too few channels."""
        fewest = 3 if self.format == "fuma" else _FIRST_ORDER
        is_right = channels == 4 if self.format == "a-format" else channels >= fewest
        # No order of ambisonics has 32 channels, but the em32 has.
        if not is_right or channels == 32:
            expected = "4" if self.format == "a-format" else f"{fewest} or more, and not 32,"
            raise AudioError(
                source,
                place="channels",
                expected=f"{expected} for the format {self.format}",
                found=str(channels),
            )

    def stream(self) -> ConverterStream:
        """Return a new stream; see `Converter`."""
        if self.format == "a-format":
            return _cardioids().stream()
        return CapsuleStream(partial(wxyz, format_=self.format), _FIRST_ORDER, _wxyz_tables())


@cache
def _cardioids() -> ArrayConverter:
    """Return what converts A-format: better than by W, X, Y and Z, whose cardioids are apart."""
    return ArrayConverter(read_array("a-format"))


@cache
def _wxyz_tables() -> Tables:
    """Return the tables of W, X, Y and Z in SN3D."""
    directions = grid()
    return make_tables(np.concatenate([np.ones((len(directions), 1)), directions], axis=1)[None])


def converted(
    blocks: Iterable[NDArray[np.float32]], converter: Converter
) -> Iterator[NDArray[np.float32]]:
    """Yield the (n, 4) capsule signals of a recording's blocks at 24 kHz, as they are ready."""
    stream = converter.stream()
    for block in blocks:
        yield stream.push(block)
    yield stream.close()


def capsules_of_foa(
    blocks: Iterable[NDArray[np.float32]], kind: AmbisonicFormat = "ambix"
) -> Iterator[NDArray[np.float32]]:
    """Yield (n, 4) capsule signals of (n, 4) first-order blocks at 24 kHz, of the same lengths.

    The same numbers whatever the blocks' sizes.
    """
    stream = AmbisonicConverter(kind).stream()
    lengths: list[int] = []
    ready = np.zeros((0, 4), np.float32)
    for block in blocks:
        lengths.append(len(block))
        ready = np.concatenate([ready, stream.push(block)])
        while lengths and len(ready) >= lengths[0]:
            yield ready[: lengths[0]]
            ready = ready[lengths.pop(0) :]
    ready = np.concatenate([ready, stream.close()])
    for length in lengths:
        yield ready[:length]
        ready = ready[length:]


def wxyz(block: Samples, format_: AmbisonicFormat) -> NDArray[np.float64]:
    """Return W, X, Y and Z in SN3D (n, 4) of (n, channels) ambisonics.

    Gains are those of Malham, "Higher order Ambisonic systems" (2003); the sum and differences of
    four coincident cardioids are those of Gerzon, "The design of precisely coincident microphone
    arrays" (AES 1975), without the filters that make up for their distance.
    """
    first = np.asarray(block[:, :_FIRST_ORDER], float)
    if format_ == "a-format":
        velocity = first @ _OUTWARD * (np.sqrt(3) / 2)
        return np.column_stack([first.sum(axis=1) / 2, velocity])
    if format_ == "fuma":
        if first.shape[1] == 3:  # horizontal
            first = np.pad(first, ((0, 0), (0, 1)))
        return np.asarray(first * [np.sqrt(2), 1, 1, 1])
    ordered = first[:, [0, 3, 1, 2]]
    return ordered / np.sqrt([1, 3, 3, 3]) if format_ == "n3d" else ordered
