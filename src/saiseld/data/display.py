"""How a video is to be shown: which way up, and of which projection.

A camera that hangs upside down stores its pictures so and says it beside them; a 360° camera says
whether they are one panorama, six faces of a cube or one for each eye. Sources: ISO/IEC 14496-12
(the matrix of a track), Google's Spherical Video V2 RFC (``sv3d``, ``st3d``).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, cast

import av
import numpy as np
from av.sidedata.sidedata import SideData, Type
from numpy.typing import NDArray

from saiseld.data.mp4 import top_level_box
from saiseld.runtime.errors import VideoError

_PROJECTIONS = (
    *("equirectangular", "cubemap", "a part of a sphere", "half equirectangular (VR180)"),
    *("rectilinear", "fisheye", "parametric immersive"),
)
"""FFmpeg's AVSphericalProjection, in order."""
_READ_BOXES = {b"equi", b"cbmp"}
_BOX_NAMES = {b"mshp": "a mesh (VR180)"}
_EYE_BOXES = {3: "a mesh for each eye", 4: "right eye beside left"}
"""``st3d`` modes that FFmpeg leaves out."""
_V360 = {1: "c3x2", 3: "hequirect"}
_STEREO = {
    1: ("side by side", "crop=iw/2:ih:0:0"),
    2: ("one above the other", "crop=iw:ih/2:0:0"),
    3: ("in turn", ""),
}
"""FFmpeg's AVStereo3D types, and the filter that leaves one eye's picture."""


class Display(NamedTuple):
    """What turns a stored picture upright: transposed first, then mirrored."""

    is_transposed: bool = False
    is_mirrored: bool = False
    is_upside_down: bool = False

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the size (width, height) that a stored picture is shown in, and the other way."""
        return (height, width) if self.is_transposed else (width, height)

    def upright(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a stored picture (H, W, 3) as it is to be shown."""
        if self.is_transposed:
            picture = picture.transpose(1, 0, 2)
        rows, columns = (slice(None, None, -1 if m else 1) for m in (self[2], self[1]))
        return np.ascontiguousarray(picture[rows, columns])


AS_STORED = Display()


def display_of(frame: av.VideoFrame) -> Display:
    """Return how a frame is to be shown; the nearest quarter turn of its matrix."""
    data = _side_data(frame, Type.DISPLAYMATRIX)
    if data is None:
        return AS_STORED
    a, b, _, c, d = struct.unpack("=5i", data[:20])
    # A stored (x, y) is shown at (a x + c y, b x + d y).
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Display(False, a < 0, d < 0)
    return Display(True, c < 0, b < 0)


class Displays:
    """How the frames of one video are to be shown: as the first of each size and rotation says.

    A frame whose side data was asked for stays in memory until Python looks for cycles, which is
    seldom: those of a large video would fill it meanwhile.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, int, int], Display] = {}

    def is_new(self, frame: av.VideoFrame) -> bool:
        """Return whether no frame of this size and rotation has been asked yet."""
        return _shape_of(frame) not in self._known

    def of(self, frame: av.VideoFrame) -> Display:
        """Return how a frame is to be shown."""
        shape = _shape_of(frame)
        if shape not in self._known:
            self._known[shape] = display_of(frame)
        return self._known[shape]


def _shape_of(frame: av.VideoFrame) -> tuple[int, int, int]:
    return frame.width, frame.height, frame.rotation


def rgb_of(
    frame: av.VideoFrame, display: Display, size: tuple[int, int], scaling: str
) -> NDArray[np.uint8]:
    """Return a frame upright, scaled to a size (width, height), in RGB (H, W, 3)."""
    scaled = frame.reformat(*display.size(*size), "rgb24", interpolation=scaling.upper())
    stored = np.asarray(scaled.to_ndarray(), np.uint8)
    return stored if display == AS_STORED else display.upright(stored)


def upright(frame: av.VideoFrame, display: Display) -> av.VideoFrame | NDArray[np.uint8]:
    """Return a frame itself where it is stored upright, else upright in RGB (H, W, 3)."""
    if display == AS_STORED:
        return frame
    return rgb_of(frame, display, display.size(frame.width, frame.height), "bicubic")


def check_projection(
    frame: av.VideoFrame, path: str | Path, tags: Mapping[str, str] | None = None
) -> None:
    """Raise ``VideoError`` where a frame is said to be no single equirectangular panorama.

    By the frame itself, and by its stream's ``tags``: both eyes in complementary colours, which
    Matroska has a tag for (``stereo_mode``), are no layout that FFmpeg tells with the frame.
    """
    found, filters = [], []
    if (tags or {}).get("stereo_mode", "").startswith("anaglyph"):
        found.append("a stereo picture, both eyes in one (anaglyph)")
    if (data := _side_data(frame, Type.STEREO3D)) is not None:
        kind = struct.unpack("=i", data[:4])[0]
        if kind:
            how, cropping = _STEREO.get(kind, ("of a kind of its own", ""))
            found.append(f"a stereo picture, two {how}" if kind < 3 else f"a stereo picture {how}")
            filters += [cropping] if cropping else []
    if (data := _side_data(frame, Type.SPHERICAL)) is not None:
        kind = struct.unpack("=i", data[:4])[0]
        if kind:
            named = _PROJECTIONS[kind] if kind < len(_PROJECTIONS) else f"number {kind}"
            found.append(f"the projection {named}")
            filters += [f"v360={_V360[kind]}:e"] if kind in _V360 else []
    if Path(path).is_file():  # no camera's address
        found += _boxes_left_out(Path(path))
    if found:
        how = f" (ffmpeg -i IN -vf {','.join(filters)} OUT)" if filters else ""
        raise VideoError(
            path,
            place="spherical metadata",
            expected="one equirectangular panorama",
            found=", ".join(found),
            advice=f"Convert it{how}, or write it without that metadata if it is none",
        )


def pose_of(frame: av.VideoFrame) -> tuple[float, float, float]:
    """Return yaw, pitch and roll in degrees by which players turn a panorama."""
    data = _side_data(frame, Type.SPHERICAL)
    if data is None:
        return 0.0, 0.0, 0.0
    yaw, pitch, roll = (angle / (1 << 16) for angle in struct.unpack("=3i", data[4:16]))
    return yaw, pitch, roll


def _boxes_left_out(path: Path) -> list[str]:
    """Return what an MP4 file's ``sv3d`` and ``st3d`` say that FFmpeg does not read."""
    moov = top_level_box(path, b"moov")
    found = []
    for stereo in _bodies(moov, b"st3d"):
        if stereo[4:5] and stereo[4] in _EYE_BOXES:
            found.append(f"a stereo picture, {_EYE_BOXES[stereo[4]]}")
    for spherical in _bodies(moov, b"sv3d"):
        for projection in _bodies(spherical, b"proj"):
            kinds = [projection[at + 4 : at + 8] for at in _starts(projection)]
            others = [kind for kind in kinds if kind not in (b"prhd", *_READ_BOXES)]
            names = [_BOX_NAMES.get(kind, kind.decode("latin-1")) for kind in others]
            found += [f"the projection {name}" for name in names]
    return found


def _bodies(content: bytes, kind: bytes) -> Iterator[bytes]:
    """Yield the bodies of the boxes of a kind, wherever in a box they are."""
    at = content.find(kind)
    while at >= 4:
        size = int.from_bytes(content[at - 4 : at], "big")
        if 8 <= size <= len(content) - at + 4:
            yield content[at + 4 : at - 4 + size]
        at = content.find(kind, at + 4)


def _starts(content: bytes) -> Iterator[int]:
    """Yield where the boxes in a box's body begin."""
    at = 0
    while at + 8 <= len(content):
        yield at
        at += max(int.from_bytes(content[at : at + 4], "big"), 8)


def _side_data(frame: av.VideoFrame, kind: Type) -> bytes | None:
    # A container of its own kind: iterating gives the data, though it is typed as a mapping.
    parts = cast(Iterable[SideData], frame.side_data)
    return next((bytes(part) for part in parts if part.type == kind), None)
