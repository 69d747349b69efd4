"""Files of sound and pictures by FFmpeg: opened as what they are, and from themselves alone.

FFmpeg asked to guess takes a playlist by another name for one, and follows it to other files.
"""

from __future__ import annotations

from pathlib import Path

import av

from saiseld.runtime.errors import InputError, refusing

_CONTAINERS = (
    (4, {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"}, "mov"),
    (0, {b"\x1aE\xdf\xa3"}, "matroska"),
    (8, {b"AVI "}, "avi"),
    (0, {b"OggS"}, "ogg"),
)
"""Where four bytes tell a container, which bytes, and FFmpeg's name of it."""


def open_container(path: Path, kind: type[InputError]) -> av.container.InputContainer:
    """Open an MP4 (MOV, M4A), Matroska (WebM), AVI or Ogg file.

    Parameters
    ----------
    path
        The file.
    kind
        Of the error where it is anything else.
    """
    with refusing(kind, path, "a readable file"), path.open("rb") as file:
        start = file.read(12)
    name = next((n for at, marks, n in _CONTAINERS if start[at : at + 4] in marks), None)
    if name is None:
        expected = "MP4, MOV, M4A, Matroska, WebM, AVI or Ogg"
        raise kind(path, expected=expected, found=repr(start))
    with refusing(kind, path, "a readable file"):
        return av.open(
            f"file:{path}",
            format=name,
            options={"protocol_whitelist": "file"},
            metadata_errors="replace",
        )
