"""Ambisonics as the four capsules of the tetrahedron would have recorded it.

A plane wave from direction u has W = 1 and (X, Y, Z) = u in SN3D. On the rigid sphere of the em32 a
capsule receives it through the series of `saiseld.conventions.rigid_sphere`. Components that are
recorded reach a capsule through their terms of it, exactly: two of first order. Those alone miss a
tenth of the pressure at 750 Hz and most of it above 2.5 kHz, just where acoustic images are made.
So each bin of a short-time spectrum is taken for one plane wave and what is around it. The wave is
where the intensity Re(W* (X, Y, Z)) points (Pulkki, "Spatial Sound Reproduction with Directional
Audio Coding", JAES 55, 2007), and as strong as the narrowest beam of first order hears there,
(W + 3 u . (X, Y, Z)) / 4; it reaches a capsule through the rest of the series. One source is exact,
several are as apart as they are in time and frequency. docs/research-log.md has the measured error.
A-format is converted as the array that it is (`saiseld.arrays.converter`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft
from scipy.ndimage import uniform_filter
from scipy.special import eval_legendre

from saiseld.arrays.converter import ArrayConverter
from saiseld.arrays.description import read_array
from saiseld.conventions.arrays import RADIUS_M, TETRAHEDRON, eigenmike_xyz
from saiseld.conventions.rigid_sphere import (
    SPEED_OF_SOUND,
    radial_term,
    rigid_sphere_response,
)
from saiseld.conventions.sphere import real_harmonics
from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.runtime.errors import AudioError

AmbisonicFormat = Literal["ambix", "n3d", "fuma", "a-format"]
"""``ambix``: W, Y, Z, X (ACN) in SN3D. ``n3d``: the same in N3D, Y, Z and X sqrt(3) larger.
``fuma``: W, X, Y, Z with W 3 dB lower. ``a-format``: four cardioids, front left up, front right
down, back left down, back right up. What follows the first four channels are higher orders."""

MAX_ORDER = 3
"""Of the components that are used: capsules hear little of what is above up to 4 kHz."""

_WINDOW, _HOP = 512, 128
_MARGIN = 8 * _HOP
_FILE_CHUNK, _LIVE_CHUNK = 200 * _HOP, 8 * _HOP
_SMOOTH = (5, 3)
"""Short-time frames and bins over which an intensity is averaged."""
_ANGLES = 361
_FIRST_ORDER = 4
FUMA_WITHOUT_Z = (3, 5, 7)
"""Numbers of channels of FuMa that is horizontal: W, X, Y and what follows of U, V, P, Q (Dobson,
"The AMB Ambisonic File Format", which tells the order by the number of channels)."""
_FUMA_HIGHER = (2, 3, 1, 4, 0, 8, 9, 7, 10, 6, 11, 5)
"""Where R, S, T, U, V and K to Q are among the ACN components of second and third order."""
_FUMA_GAINS = np.sqrt([1, *[4 / 3] * 4, 1, 45 / 32, 45 / 32, 9 / 5, 9 / 5, 8 / 5, 8 / 5])
"""Of the same against SN3D (Malham)."""
_OUTWARD = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
"""Signs of x, y and z of the four cardioids."""

Complex = NDArray[np.complex128]
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

    def stream(self, *, live: bool = False) -> ConverterStream:
        """Return a new stream; ``live`` ones are less late, and cost more."""
        ...


@dataclass(frozen=True, slots=True)
class AmbisonicConverter:
    """Ambisonics to capsules.

    Parameters
    ----------
    format
        Which ambisonics.
    order
        1 to `MAX_ORDER`: of the components to use, all of which have to be there.
    """

    format: AmbisonicFormat = "ambix"
    order: int = 1

    @property
    def name(self) -> str:
        """The format, and its order where that is above the first."""
        return self.format if self.order == 1 else f"{self.format}, order {self.order}"

    @property
    def elevation_assumed(self) -> bool:
        """False: the height is in the sound, or is 0 in all of it."""
        return False

    def check(self, channels: int, source: str | Path) -> None:
        """Raise ``AudioError`` where there are too few channels."""
        fewest = 3 if self.format == "fuma" else _FIRST_ORDER
        if self.order > 1:
            fewest = (self.order + 1) ** 2
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

    def stream(self, *, live: bool = False) -> ConverterStream:
        """Return a new stream; see `Converter`."""
        if self.format == "a-format":
            return _cardioids().stream(live=live)
        return AmbisonicStream(self.format, _LIVE_CHUNK if live else _FILE_CHUNK, self.order)


@cache
def _cardioids() -> ArrayConverter:
    """Return what converts A-format: better than by W, X, Y and Z, whose cardioids are apart."""
    return ArrayConverter(read_array("a-format"))


class AmbisonicStream:
    """Turns blocks of ambisonics into capsules; the same numbers whatever the blocks' sizes.

    Parameters
    ----------
    format_
        Which ambisonics.
    chunk
        Samples that are computed at a time, a multiple of the hop. The output is later than the
        input by up to this and 43 ms.
    order
        As in `AmbisonicConverter`.
    """

    def __init__(
        self, format_: AmbisonicFormat = "ambix", chunk: int = _FILE_CHUNK, order: int = 1
    ) -> None:
        self._format, self._chunk, self._order = format_, chunk, order
        self._held = np.zeros((_MARGIN, (order + 1) ** 2))
        self._due = 0

    def push(self, samples: Samples) -> NDArray[np.float32]:
        """Take (n, channels) samples and return the (m, 4) that they complete."""
        self._due += len(samples)
        components = [wxyz(samples, self._format), *self._higher(samples)]
        self._held = np.concatenate([self._held, np.column_stack(components)])
        whole = (len(self._held) - 2 * _MARGIN) // self._chunk
        return self._give([self._next() for _ in range(whole)])

    def close(self) -> NDArray[np.float32]:
        """Return what is left: in all as many samples as were taken."""
        missing = -(-self._due // self._chunk) * self._chunk + 2 * _MARGIN - len(self._held)
        self._held = np.pad(self._held, ((0, max(missing, 0)), (0, 0)))
        return self._give([self._next() for _ in range(-(-self._due // self._chunk))])

    def _higher(self, samples: Samples) -> list[NDArray[np.float64]]:
        """Return the components (n, (order + 1)^2 - 4) of second order and above, if any."""
        if self._order == 1:
            return []
        higher = np.asarray(samples[:, _FIRST_ORDER : (self._order + 1) ** 2], float)
        if self._format == "fuma":
            count = higher.shape[1]
            ordered = np.empty_like(higher)
            ordered[:, _FUMA_HIGHER[:count]] = higher / _FUMA_GAINS[:count]
            return [ordered]
        return [higher / np.sqrt(2 * _degrees(self._order) + 1 if self._format == "n3d" else 1)]

    def _next(self) -> NDArray[np.float32]:
        part = self._held[: self._chunk + 2 * _MARGIN]
        self._held = self._held[self._chunk :]
        return _capsules(part)

    def _give(self, parts: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        given = np.concatenate([np.zeros((0, 4), np.float32), *parts])[: self._due]
        self._due -= len(given)
        return given


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
        if block.shape[1] in FUMA_WITHOUT_Z:
            first = np.pad(first[:, :3], ((0, 0), (0, 1)))
        return np.asarray(first * [np.sqrt(2), 1, 1, 1])
    ordered = first[:, [0, 3, 1, 2]]
    return ordered / np.sqrt([1, 3, 3, 3]) if format_ == "n3d" else ordered


def _degrees(order: int) -> NDArray[np.intp]:
    """Return the order n of each component of second order and above."""
    return np.repeat(np.arange(2, order + 1), 2 * np.arange(2, order + 1) + 1)


def _capsules(components: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the capsule signals (n - 2 _MARGIN, 4) of W, X, Y, Z and higher orders (n, K)."""
    starts = np.arange(0, len(components) - _WINDOW + 1, _HOP)
    window = np.sqrt(np.hanning(_WINDOW + 1)[:-1])
    frames = components[starts[:, None] + np.arange(_WINDOW)] * window[:, None]
    spectra = rfft(frames, axis=1)
    rendered = _rendered(spectra[..., 0], spectra[..., 1:4], spectra[..., 4:])
    parts = irfft(rendered, _WINDOW, axis=1) * (window[:, None] * 2 * _HOP / _WINDOW)
    out = np.zeros((len(components), 4))
    for start, part in zip(starts, parts, strict=True):
        out[start : start + _WINDOW] += part
    return out[_MARGIN:-_MARGIN].astype(np.float32)


def _rendered(pressure: Complex, velocity: Complex, higher: Complex) -> Complex:
    """Return capsule spectra (T, F, 4) of W (T, F), X, Y, Z (T, F, 3) and what is above."""
    order = int(np.sqrt(_FIRST_ORDER + higher.shape[-1])) - 1
    rest, radial = _responses(order)
    facing = eigenmike_xyz()[list(TETRAHEDRON)] / RADIUS_M
    intensity = uniform_filter((pressure.conj()[..., None] * velocity).real, (*_SMOOTH, 0))
    length = np.linalg.norm(intensity, axis=-1, keepdims=True)
    direction = np.divide(intensity, length, out=np.zeros_like(intensity), where=length > 0)
    cosine = np.clip(direction @ facing.T, -1, 1)
    angle = np.rint(np.arccos(cosine) * ((_ANGLES - 1) / np.pi)).astype(int)
    wave = (pressure + 3 * (direction * velocity).sum(axis=-1)) / 4
    rendered = rest[np.arange(len(rest))[None, :, None], angle] * wave[..., None]
    rendered += (radial[:, 0] * pressure)[..., None]
    rendered += radial[:, 1, None] * (velocity @ facing.T)
    if order > 1:
        # The sum over m of Y_nm(u) Y_nm(v) in SN3D is P_n(u . v), of which the series is made.
        at_capsules = real_harmonics(facing, order)[:, _FIRST_ORDER:]
        rendered += (higher * radial[:, _degrees(order)]) @ at_capsules.T
    return np.asarray(rendered)


@cache
def _responses(order: int) -> tuple[Complex, Complex]:
    """Return the series above an order by frequency and angle (F, _ANGLES), and its terms below.

    Those (F, order + 1) are of components that are recorded.
    """
    hz = np.fft.rfftfreq(_WINDOW, 1 / SAMPLE_RATE)
    ka = 2 * np.pi * hz * RADIUS_M / SPEED_OF_SOUND
    cosine = np.cos(np.linspace(0, np.pi, _ANGLES))
    rest = rigid_sphere_response(ka, cosine)
    radial = np.stack([radial_term(n, ka) for n in range(order + 1)], axis=1)
    for n in range(order + 1):
        rest -= np.multiply.outer(radial[:, n], eval_legendre(n, cosine))
    return rest, radial
