"""Files of sound and pictures by FFmpeg: opened as what they are, and from themselves alone.

FFmpeg asked to guess takes a playlist by another name for one, and follows it to other files.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, Protocol

import av

from saiseld.data.mp4 import announced_bytes, check_claims
from saiseld.runtime.errors import InputError, refusing

_CONTAINERS = (
    (4, {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"}, "mov"),
    (0, {b"\x1aE\xdf\xa3"}, "matroska"),
    (8, {b"AVI "}, "avi"),
    (0, {b"OggS"}, "ogg"),
    (0, {b"fLaC"}, "flac"),
    (0, {b"wvpk"}, "wv"),
    (0, {b"TTA1"}, "tta"),
)
"""Where four bytes tell a container, which bytes, and FFmpeg's name of it."""

_FORWARDS = ("flac", "matroska", "ogg")
_STREAM_BUFFER = 1 << 12
_OGG_TAIL = 1 << 17
_OGG_END = 4
"""Flag of the last page of an Ogg stream (RFC 3533, section 6)."""
_WAVPACK_HEADER = struct.Struct("<4xI2xBBIIII4x")
_WAVPACK_OPEN, _WAVPACK_FINAL = 0xFFFFFFFF, 1 << 12
_MATROSKA_SEGMENT = b"\x18\x53\x80\x67"


def open_container(path: Path, kind: type[InputError]) -> av.container.InputContainer:
    """Open an MP4 (MOV, M4A), Matroska (WebM), AVI, Ogg, FLAC, WavPack or TTA file.

    Parameters
    ----------
    path
        The file.
    kind
        Of the error where it is anything else.
    """
    name, start = _container(path, kind)
    if name is None:
        expected = "MP4, MOV, M4A, Matroska, WebM, AVI, Ogg, FLAC, WavPack or TTA"
        raise kind(path, expected=expected, found=repr(start) if start else "an empty file")
    if name == "mov":
        check_claims(path, kind)
    with refusing(kind, path, "a readable file"):
        return av.open(
            f"file:{path}",
            format=name,
            options={"protocol_whitelist": "file"},
            metadata_errors="replace",
        )


def open_stream(
    stream: Readable, start: bytes, name: str, kind: type[InputError]
) -> av.container.InputContainer | None:
    """Open a FLAC, Matroska or Ogg stream that is read forwards; None where it is none of these.

    Parameters
    ----------
    stream
        Its bytes after the first of them.
    start
        The first twelve bytes.
    name
        What an error calls it.
    kind
        Of the error where it cannot be read.
    """
    container = _container_of(start)
    if container not in _FORWARDS:
        if container is None:
            return None
        raise kind(
            name,
            expected=f"a stream that can be read forwards: {', '.join(_FORWARDS)}, or WAV",
            found=container,
            advice="Give the file itself",
        )
    with refusing(kind, name, "a readable stream"):
        return av.open(
            _Forwards(stream, start),
            mode="r",
            format=container,
            buffer_size=_STREAM_BUFFER,
            options={"protocol_whitelist": "", "probesize": "32768", "analyzeduration": "0"},
            metadata_errors="replace",
        )


class Readable(Protocol):
    """What bytes are read from, forwards."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, none at the end."""
        ...


class _Forwards:
    """A stream with its first bytes put back; FFmpeg does not look back where there is no seek."""

    def __init__(self, stream: Readable, start: bytes) -> None:
        self._stream, self._start = stream, start

    def read(self, size: int) -> bytes:
        if self._start:
            content, self._start = self._start[:size], self._start[size:]
            return content
        return self._stream.read(size)


def missing_bytes(path: Path, kind: type[InputError]) -> int:
    """Return how many bytes a file lacks of what its outermost structure announces.

    0 where it lacks none, or announces no length. MP4, Matroska, AVI, Ogg and WavPack; an Ogg or
    WavPack file lacks an unknown number of bytes, at least 1, where its last part is not whole.
    """
    name, _ = _container(path, kind)
    size = path.stat().st_size
    with path.open("rb") as file:
        if name == "mov":
            return max(announced_bytes(file, size) - size, 0)
        if name == "matroska":
            return max(_matroska_end(file) - size, 0)
        if name == "avi":
            length = struct.unpack("<4xI", file.read(8))[0]
            return max(8 + int(length) - size, 0) if length else 0
        if name == "wv":
            return int(not _ends_with_the_last_block(file, size))
        return int(name == "ogg" and _last_page(file, size) is None)


def is_ended(path: Path, kind: type[InputError]) -> bool:
    """Return whether the last page of an Ogg file says that none follows; True for other files."""
    name, _ = _container(path, kind)
    if name != "ogg":
        return True
    with path.open("rb") as file:
        return bool((_last_page(file, path.stat().st_size) or 0) & _OGG_END)


def _container(path: Path, kind: type[InputError]) -> tuple[str | None, bytes]:
    with refusing(kind, path, "a readable file"), path.open("rb") as file:
        start = file.read(12)
    return _container_of(start), start


def _container_of(start: bytes) -> str | None:
    return next((n for at, marks, n in _CONTAINERS if start[at : at + 4] in marks), None)


def _matroska_end(file: BinaryIO) -> int:
    """Return where the segment ends, 0 if its length is open."""
    file.seek(4)
    header = _vint(file)
    if header is None:
        return 0
    file.seek(header, 1)
    if file.read(4) != _MATROSKA_SEGMENT:
        return 0
    length = _vint(file)
    return 0 if length is None else file.tell() + length


def _vint(file: BinaryIO) -> int | None:
    """Return a length of Matroska (RFC 8794); None where it is open."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    width = 9 - first[0].bit_length()
    rest = file.read(width - 1)
    value = int.from_bytes(bytes([first[0] & (0xFF >> width)]) + rest, "big")
    return None if value == (1 << 7 * width) - 1 else value


def _last_page(file: BinaryIO, size: int) -> int | None:
    """Return the flags of an Ogg file's last page; None where the file does not end with a page."""
    begin = max(size - _OGG_TAIL, 0)
    file.seek(begin)
    tail = file.read(_OGG_TAIL)
    at = tail.rfind(b"OggS")
    while at >= 0:
        page = tail[at:]
        if len(page) >= 27 and page[4] == 0 and len(page) >= 27 + page[26]:
            length = 27 + page[26] + sum(page[27 : 27 + page[26]])
            if length == len(page):
                return page[5]
        at = tail.rfind(b"OggS", 0, at)
    return None


def _ends_with_the_last_block(file: BinaryIO, size: int) -> bool:
    """Return whether all samples that a WavPack file announces are in it; True if it does not say.

    By its block headers (WavPack 5 Binary File / Block Format).
    """
    position = samples = total = flags = 0
    while position < size:
        file.seek(position)
        header = file.read(_WAVPACK_HEADER.size)
        if header[:4] != b"wvpk":
            break  # a tag
        if len(header) < _WAVPACK_HEADER.size:
            return False
        length, high, high_total, low_total, low, count, flags = _WAVPACK_HEADER.unpack(header)
        if length < _WAVPACK_HEADER.size - 8:  # no block is as short as that
            return False
        total = total or (high_total << 32 | low_total) * (low_total != _WAVPACK_OPEN)
        samples = max(samples, (high << 32 | low) + count)
        position += 8 + length
    return position <= size and samples >= total and bool(flags & _WAVPACK_FINAL or not position)
