"""What a microphone array is: positions, how its microphones respond, where its front points.

A built-in array by name, or a TOML file::

    name = "my array"
    model = "open"                 # or "rigid-sphere", "cardioid", "responses"
    positions_m = [[0.03, 0, 0], [0, 0.03, 0], [-0.03, 0, 0], [0, -0.03, 0]]
    channels = [2, 3, 4, 5]        # of the recording, counted from 1
    half = "up"                    # of a planar array: the side that it listens to

x points to the front, y to the left, z up, as in `saiseld.conventions.sphere`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import blake2b
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from saiseld.arrays.measured import MeasuredResponses, read_sofa
from saiseld.conventions.arrays import TETRAHEDRON, eigenmike_xyz
from saiseld.runtime.errors import AudioError, DataError
from saiseld.runtime.files import is_plain_name, write_bytes
from saiseld.runtime.toml import parse_toml, read_toml

Model = Literal["open", "rigid-sphere", "cardioid", "responses"]
Half = Literal["up", "down", "front", "back", "left", "right"]

MIN_MICROPHONES = 3
"""Two microphones, or any number on one line, cannot tell left from right."""
MAX_MICROPHONES = 128
_MAX_CHANNELS = 256

_MIN_APART_M = 1e-3
_MAX_ACROSS_M = 0.6
"""Wider arrays alias in every band that counts; positions in millimetres come out far wider."""
_ON_A_LINE, _ON_A_PLANE = 0.05, 0.02
"""Second and third singular value of the positions, relative to the first, below which they are."""
_SPHERE_TOLERANCE = 0.05
_SAME = 1e-4
"""Metres within which positions are those of the em32."""

_HALF_AXIS: dict[Half, tuple[float, float, float]] = {
    "up": (0, 0, 1),
    "down": (0, 0, -1),
    "front": (1, 0, 0),
    "back": (-1, 0, 0),
    "left": (0, 1, 0),
    "right": (0, -1, 0),
}
_LEVEL_PLANE = 0.7
"""A plane whose normal is this much vertical hears azimuth, and elevation poorly."""

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class MicrophoneArray:
    """A described array, checked.

    Parameters
    ----------
    name
        What it is called.
    model
        How its microphones respond: ``open`` (omnidirectional, in free air), ``rigid-sphere`` (on
        the surface of a sphere around the origin), ``cardioid`` (in free air, along ``facing``),
        ``responses`` (measured).
    positions_m
        (M, 3) in metres.
    channels
        The recording's channel of each microphone, counted from 1; all different.
    polarity
        1, or -1 for a microphone wired the other way round, (M,).
    facing
        (M, 3) unit vectors that cardioids point along; outward from the origin if None.
    half
        The side that a planar array listens to; it hears no difference between its two sides.
    elevation
        Mean and standard deviation in degrees of the sources' elevation, as assumed for a level
        planar array, which hears elevation poorly.
    yaw_deg
        Degrees by which the array's front points to the left of the scene's.
    measured
        Of the model ``responses``: what was measured.
    source
        Where the positions are from.

    Raises
    ------
    DataError
        If the microphones are too few, coincide, are on a line, or the model does not fit them.
    """

    name: str
    model: Model
    positions_m: FloatArray
    channels: tuple[int, ...]
    polarity: tuple[int, ...] = ()
    facing: FloatArray | None = None
    half: Half | None = None
    elevation: tuple[float, float] = (0.0, 20.0)
    yaw_deg: float = 0.0
    measured: MeasuredResponses | None = None
    source: str = ""

    def __post_init__(self) -> None:
        if not self.polarity:
            object.__setattr__(self, "polarity", (1,) * len(self.positions_m))
        _check_counts(self)
        _check_positions(self)
        if self.ambiguous and self.half is None:
            raise DataError(
                self.name,
                place="half",
                expected='half = "up" or "down" (or "front", "back", "left", "right"): all '
                "microphones are in one plane, which hears no difference between its two sides",
                found="none",
                advice="Say which side the sources are on",
            )

    @property
    def microphones(self) -> int:
        """Number of microphones, M."""
        return len(self.positions_m)

    @property
    def normal(self) -> FloatArray | None:
        """Unit normal (3,) of the plane that all microphones are in; None if there is none.

        It points to ``half`` if that is given.
        """
        _, size, axes = np.linalg.svd(self.positions_m - self.positions_m.mean(axis=0))
        if size[2] > _ON_A_PLANE * size[0]:
            return None
        normal = axes[2]
        towards = _HALF_AXIS[self.half or "up"]
        return np.asarray(normal if normal @ towards >= 0 else -normal)

    @property
    def ambiguous(self) -> bool:
        """Whether two directions, mirrored at a plane, sound alike to this array."""
        if self.normal is None or self.model == "responses":
            return False
        if self.model != "cardioid":
            return True
        return bool(np.abs(self.axes @ self.normal).max() < _ON_A_LINE)

    @property
    def elevation_assumed(self) -> bool:
        """Whether elevations are assumed rather than measured: the array is planar and level."""
        normal = self.normal
        return self.ambiguous and normal is not None and bool(abs(normal[2]) > _LEVEL_PLANE)

    @property
    def axes(self) -> FloatArray:
        """Unit vectors (M, 3) that the microphones point along."""
        axes = self.positions_m if self.facing is None else self.facing
        return np.asarray(axes / np.linalg.norm(axes, axis=1, keepdims=True))

    @property
    def is_tetrahedron(self) -> bool:
        """Whether these are the em32's four capsules that the networks take, in order."""
        return self._is_at(eigenmike_xyz()[list(TETRAHEDRON)])

    @property
    def is_em32(self) -> bool:
        """Whether this is the whole em32, capsules in the maker's order."""
        return self._is_at(eigenmike_xyz())

    def _is_at(self, positions_m: FloatArray) -> bool:
        return (
            self.model == "rigid-sphere"
            and self.positions_m.shape == positions_m.shape
            and bool(np.abs(self.positions_m - positions_m).max() < _SAME)
        )

    @property
    def digest(self) -> str:
        """Eight characters that tell descriptions apart."""
        record = (self.model, self.channels, self.polarity, self.half, self.elevation, self.yaw_deg)
        digest = blake2b(repr(record).encode(), digest_size=4)
        digest.update(np.round(self.positions_m, 7).tobytes())
        digest.update(np.round(self.axes, 5).tobytes() if self.model == "cardioid" else b"")
        if self.measured is not None:
            digest.update(np.ascontiguousarray(self.measured.impulse_responses).tobytes())
        return digest.hexdigest()

    def select(self, samples: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        """Return the (n, M) microphone signals of (n, channels) samples of a recording.

        A recording of M channels holds the microphones in order, whatever ``channels`` says.

        Raises
        ------
        AudioError
            If a channel is not there.
        """
        picked = samples[:, self.channels_of(samples.shape[1])]
        return picked if min(self.polarity) > 0 else picked * np.array(self.polarity, picked.dtype)

    def channels_of(self, count: int, recording: str | Path = "recording") -> list[int]:
        """Return the zero-based channels of the microphones in a recording of ``count`` channels.

        Raises
        ------
        AudioError
            If a channel is not there.
        """
        if count == self.microphones:
            return (
                [c - 1 for c in self.channels]
                if max(self.channels) <= count
                else list(range(self.microphones))
            )
        if max(self.channels) > count:
            raise AudioError(
                recording,
                place="channels",
                expected=f"{self.microphones}, or {max(self.channels)} and more, for {self.name}",
                found=str(count),
                advice="Say which channels are the microphones with `channels` in the array's file",
            )
        return [c - 1 for c in self.channels]

    def turned(self, yaw_deg: float) -> MicrophoneArray:
        """Return the array with another ``yaw_deg``."""
        return replace(self, yaw_deg=yaw_deg)


def _check_counts(array: MicrophoneArray) -> None:
    count = len(array.positions_m)
    if count < MIN_MICROPHONES:
        raise DataError(
            array.name,
            place="positions_m",
            expected=f"{MIN_MICROPHONES} or more microphones; fewer cannot tell left from right",
            found=str(count),
        )
    if (
        len(array.channels) != count
        or len(set(array.channels)) != count
        or min(array.channels) < 1
        or max(array.channels) > _MAX_CHANNELS
    ):
        raise DataError(
            array.name,
            place="channels",
            expected=f"{count} different channels from 1, one for each microphone",
            found=str(list(array.channels)),
        )
    if len(array.polarity) != count or not set(array.polarity) <= {1, -1}:
        raise DataError(
            array.name,
            place="polarity",
            expected=f"{count} numbers, 1 or -1",
            found=str(list(array.polarity)),
        )


def _check_positions(array: MicrophoneArray) -> None:
    positions = array.positions_m
    apart = np.linalg.norm(positions[:, None] - positions, axis=-1)
    if (across := float(apart.max())) > _MAX_ACROSS_M:
        raise DataError(
            array.name,
            place="positions_m",
            expected=f"an array at most {_MAX_ACROSS_M} m across, positions in metres",
            found=f"{across:g} m across",
        )
    same = np.argwhere(np.triu(apart < _MIN_APART_M, 1))
    if len(same):
        first, second = same[0] + 1
        raise DataError(
            array.name,
            place="positions_m",
            expected="microphones at different places",
            found=f"microphones {first} and {second} {1000 * apart[first - 1, second - 1]:.1f} mm "
            "apart",
            advice="Directions are taken from the time between microphones",
        )
    size = np.linalg.svd(positions - positions.mean(axis=0), compute_uv=False)
    if size[1] < _ON_A_LINE * size[0]:
        raise DataError(
            array.name,
            place="positions_m",
            expected="microphones in a plane or in space",
            found="all on one line, which cannot tell left from right, nor up from down",
        )
    radius = np.linalg.norm(positions, axis=1)
    uneven = np.abs(radius - radius.mean()).max() > _SPHERE_TOLERANCE * radius.mean()
    if array.model == "rigid-sphere" and uneven:
        raise DataError(
            array.name,
            place="positions_m",
            expected="all microphones on one sphere around the origin",
            found=f"{1000 * radius.min():.1f} to {1000 * radius.max():.1f} mm from it",
            advice='Microphones in free air have model = "open"',
        )
    if array.model == "cardioid" and array.facing is None and radius.min() < _MIN_APART_M:
        raise DataError(
            array.name,
            place="facing",
            expected="where each cardioid points, as one of them is at the origin",
            found="none",
        )


Position = Annotated[list[float], Field(min_length=3, max_length=3)]


class _Keys(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=False)

    name: str = ""
    model: Model
    positions_m: list[Position] = Field(default=[], max_length=MAX_MICROPHONES)
    channels: list[int] | None = None
    polarity: list[int] | None = None
    facing: list[Position] | None = None
    half: Half | None = None
    elevation: tuple[float, float] = (0.0, 20.0)
    yaw_deg: float = 0.0
    responses: str | None = None
    source: str = ""


def array_names() -> tuple[str, ...]:
    """Return the names of the built-in arrays."""
    folder = resources.files("saiseld.arrays").joinpath("builtin")
    return tuple(sorted(f.name.removesuffix(".toml") for f in folder.iterdir()))


def read_array(name: str | Path) -> MicrophoneArray:
    """Return a built-in array by its name, or the one that a TOML file describes.

    Raises
    ------
    DataError
        If there is none, a key is unknown, a value impossible, or the array cannot be used.
    """
    names, expected = array_names(), "the description of an array (TOML)"
    if str(name) in names:
        text = resources.files("saiseld.arrays").joinpath(f"builtin/{name}.toml").read_text("utf-8")
    else:
        path = Path(name)
        if not path.is_file():
            raise DataError(
                name,
                expected=f"a built-in array ({', '.join(names)}) or a TOML file",
                found="neither",
            )
        return _checked(str(name), read_toml(path, DataError, expected), path.parent)
    return _checked(str(name), parse_toml(text, DataError, name), Path(name).parent)


def _checked(name: str, keys: dict[str, Any], folder: Path) -> MicrophoneArray:
    try:
        given = _Keys.model_validate(keys)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        expected = "the keys and values of an array (docs/howto/own-array.md)"
        raise DataError(name, place=place, expected=expected, found=first["msg"]) from None
    if given.elevation[1] <= 0 or abs(given.elevation[0]) > 90:
        raise DataError(
            name,
            place="elevation",
            expected="[mean, standard deviation] in degrees, the second above 0",
            found=str(list(given.elevation)),
        )
    measured = None
    if (given.model == "responses") != (given.responses is not None):
        raise DataError(
            name,
            place="responses",
            expected='a SOFA file for model = "responses", and for no other model',
            found=f'model = "{given.model}", responses = {given.responses!r}',
        )
    if given.responses is not None:
        if not is_plain_name(given.responses):
            raise DataError(
                name,
                place="responses",
                expected="the name of a file beside the description, without folders",
                found=repr(given.responses),
            )
        measured = read_sofa(folder / given.responses)
        if not given.positions_m:
            given.positions_m = measured.positions_m.tolist()
        if len(given.positions_m) != measured.receivers:
            raise DataError(
                name,
                place="positions_m",
                expected=f"{measured.receivers} positions, as receivers in {given.responses}",
                found=str(len(given.positions_m)),
            )
    count = len(given.positions_m)
    facing = None if given.facing is None else np.array(given.facing, float)
    if facing is not None and (len(facing) != count or np.linalg.norm(facing, axis=1).min() < 1e-6):
        raise DataError(
            name,
            place="facing",
            expected=f"{count} directions [x, y, z], none of them zero",
            found=str(given.facing),
        )
    return MicrophoneArray(
        name=given.name or Path(name).stem,
        model=given.model,
        positions_m=np.array(given.positions_m, float).reshape(-1, 3),
        channels=tuple(range(1, count + 1) if given.channels is None else given.channels),
        polarity=tuple(given.polarity or ()),
        facing=facing,
        half=given.half,
        elevation=given.elevation,
        yaw_deg=given.yaw_deg,
        measured=measured,
        source=given.source,
    )


def write_array(array: MicrophoneArray, path: Path) -> None:
    """Write an array's description as TOML, whole or not at all.

    Raises
    ------
    DataError
        For measured responses, which stay in their own file.
    """
    if array.model == "responses":
        raise DataError(path, expected="a model that TOML can hold", found="measured responses")
    lines = [f"name = {_text(array.name)}", f'model = "{array.model}"', "positions_m = ["]
    lines += [f"  [{x:.6g}, {y:.6g}, {z:.6g}]," for x, y, z in array.positions_m.tolist()]
    lines += ["]", f"channels = {list(array.channels)}", f"polarity = {list(array.polarity)}"]
    if array.facing is not None:
        rows = ", ".join(f"[{x:.6g}, {y:.6g}, {z:.6g}]" for x, y, z in array.facing.tolist())
        lines.append(f"facing = [{rows}]")
    if array.half is not None:
        lines.append(f'half = "{array.half}"')
    lines.append(f"elevation = [{array.elevation[0]:g}, {array.elevation[1]:g}]")
    lines.append(f"yaw_deg = {array.yaw_deg:g}")
    write_bytes(path, ("\n".join(lines) + "\n").encode())


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{"".join(c if c.isprintable() else " " for c in escaped)}"'


def em32() -> MicrophoneArray:
    """Return the em32 as a described array."""
    return MicrophoneArray("em32", "rigid-sphere", eigenmike_xyz(), tuple(range(1, 33)))


def tetrahedron() -> MicrophoneArray:
    """Return the em32's four capsules that the networks take, as a described array."""
    return MicrophoneArray(
        "em32 tetrahedron",
        "rigid-sphere",
        eigenmike_xyz()[list(TETRAHEDRON)],
        (1, 2, 3, 4),
    )
