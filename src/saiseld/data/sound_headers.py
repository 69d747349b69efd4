"""What a sound file's header says, and whether the file keeps its word.

WAV and its relatives (RIFF, RIFX, RF64, BW64, W64), AIFF, CAF and AU. Headers are read forwards,
so that one of a pipe can be read too. libsndfile shortens a file that is cut off to what is there,
and believes a length that its writer left open or that no longer fitted 32 bits: both are found.

Sources: EBU Tech 3306 (RF64), ITU-R BS.2088 (BW64), Apple's AIFF-C and Core Audio Format
specifications, RFC 2361 and the B-format GUIDs of R. Dobson (2000).
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal

from saiseld.data.ambisonics import AmbisonicFormat
from saiseld.data.containers import Readable
from saiseld.data.pcm import SampleFormat

Extent = Literal["whole", "open", "wrapped", "cut"]
"""How the sound in a file compares with its header: as long as it says; of a length that it leaves
open; longer, by a multiple of 2**32 bytes or by whatever follows; or shorter."""

_LONGEST_HEADER = 1 << 26
_LONGEST_FORMAT = 1 << 12
_OPEN_32 = ((0x7F000000, 0x80000100), (0xFFFFF000, 0xFFFFFFFF))
"""Lengths of 32 bits that writers into pipes leave: sox 0x7ffff000 less a part of a sample, arecord
0x80000000, FFmpeg 0xffffffff, and the same less a header."""
_OPEN_64 = 1 << 62
_PADDING_BYTES = 1 << 16
_EXTENSIBLE = 0xFFFE
_WAV_CODINGS = {1: "integer", 3: "float", 6: "alaw", 7: "ulaw"}
_B_FORMAT_TAIL = bytes.fromhex("2107d3118644c8c1ca000000")
_W64_RIFF = uuid.UUID("66666972-912e-11cf-a5d6-28db04c10000").bytes_le
_AIFC_FORMATS = {
    b"NONE": ("integer", 0, True),
    b"twos": ("integer", 0, True),
    b"sowt": ("integer", 0, False),
    b"in24": ("integer", 3, True),
    b"in32": ("integer", 4, True),
    b"fl32": ("float", 4, True),
    b"FL32": ("float", 4, True),
    b"fl64": ("float", 8, True),
    b"FL64": ("float", 8, True),
    b"alaw": ("alaw", 1, True),
    b"ALAW": ("alaw", 1, True),
    b"ulaw": ("ulaw", 1, True),
    b"ULAW": ("ulaw", 1, True),
}
_AU_FORMATS = {
    1: SampleFormat("ulaw", 1),
    2: SampleFormat("integer", 1),
    3: SampleFormat("integer", 2, True),
    4: SampleFormat("integer", 3, True),
    5: SampleFormat("integer", 4, True),
    6: SampleFormat("float", 4, True),
    7: SampleFormat("float", 8, True),
    27: SampleFormat("alaw", 1),
}
_CAF_LAYOUTS: dict[int, AmbisonicFormat] = {107: "fuma", 190: "ambix", 191: "n3d"}
"""Upper halves of Core Audio's channel layout tags of ambisonics."""


@dataclass(frozen=True, slots=True)
class SoundHeader:
    """A header up to the first sample.

    Parameters
    ----------
    container
        ``RIFF``, ``RIFX``, ``RF64``, ``BW64``, ``W64``, ``AIFF``, ``CAF`` or ``AU``.
    channels, sample_rate
        Of the sound; 0 where the header does not say.
    format
        How samples are stored; None where they are compressed otherwise.
    start
        Bytes before the first sample.
    length
        Bytes of samples that the header announces; None where it leaves that open.
    ambisonics
        Which ambisonics it says they are; None if it says nothing.
    """

    container: str
    channels: int = 0
    sample_rate: int = 0
    format: SampleFormat | None = None
    start: int = 0
    length: int | None = None
    ambisonics: AmbisonicFormat | None = None

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample of all channels; 1 where samples are compressed."""
        return 1 if self.format is None else self.format.width * self.channels


@dataclass(frozen=True, slots=True)
class SoundExtent:
    """How many bytes of samples a file has, and how that compares with its header."""

    length: int
    verdict: Extent


class _Bytes:
    """Reads forwards, and knows where it is."""

    def __init__(self, source: Readable, start: bytes) -> None:
        self._source, self._start, self.position = source, start, 0

    def take(self, size: int) -> bytes:
        """Return just ``size`` bytes.

        Raises
        ------
        EOFError
            If there are fewer, or the header never ends.
        """
        if self.position + size > _LONGEST_HEADER:
            raise EOFError
        content, self._start = self._start[:size], self._start[size:]
        while len(content) < size:
            if not (more := self._source.read(size - len(content))):
                raise EOFError
            content += more
        self.position += size
        return content

    def skip(self, size: int) -> None:
        while size > 0:
            size -= len(self.take(min(size, 1 << 16)))


def read_sound_header(source: Readable, start: bytes = b"") -> SoundHeader | None:
    """Return the header of WAV and its relatives, AIFF, CAF or AU; None where it is none of these.

    Parameters
    ----------
    source
        Read up to the first sample, not beyond; up to 16 bytes where it is no such header.
    start
        What was read of it before, up to 16 bytes.
    """
    stream = _Bytes(source, start)
    try:
        head = stream.take(4)
        if head in (b"RIFF", b"RIFX", b"RF64", b"BW64"):
            return _riff(stream, head.decode())
        if head == b"FORM":
            return _aiff(stream)
        if head == b"caff":
            return _caf(stream)
        if head in (b".snd", b"dns."):
            return _au(stream, ">" if head == b".snd" else "<")
        if head == b"riff" and stream.take(12) == _W64_RIFF[4:]:
            return _w64(stream)
    except (EOFError, struct.error, OverflowError):
        pass
    return None


def announced_bytes(header: SoundHeader) -> int | None:
    """Return how many bytes of samples a header announces; None where it leaves that open."""
    length = header.length
    if not length or _is_open(header, length):
        return None
    return length


def header_of(path: Path) -> SoundHeader | None:
    """Return the header of a file; see `read_sound_header`."""
    with path.open("rb") as file:
        return read_sound_header(file)


def sound_extent(path: Path, header: SoundHeader) -> SoundExtent:
    """Return how many bytes of samples there are in a file, against what its header says."""
    size = path.stat().st_size
    held = max(size - header.start, 0)
    step = header.sample_bytes
    if header.length is None:
        return SoundExtent(held - held % step, "open")
    if held < header.length:
        verdict: Extent = "open" if _is_open(header, header.length) else "cut"
        return SoundExtent(held - held % step, verdict)
    if held == header.length:
        return SoundExtent(held, "whole")
    with path.open("rb") as file:
        for wraps in range(held // 2**32 + 1):
            length = header.length + wraps * 2**32
            if length <= held and _only_chunks_follow(file, header, length, size):
                return SoundExtent(length, "wrapped" if wraps else "whole")
    verdict = "wrapped" if header.length else "open"
    return SoundExtent(held - held % step, verdict)


def _is_open(header: SoundHeader, length: int) -> bool:
    is_wide = header.container in ("RF64", "BW64", "W64", "CAF")
    is_marked = any(low <= length <= high for low, high in _OPEN_32)
    return length >= _OPEN_64 or (not is_wide and is_marked)


def _riff(stream: _Bytes, container: str) -> SoundHeader | None:
    order = ">" if container == "RIFX" else "<"
    header = SoundHeader(container)
    stream.skip(4)
    if stream.take(4) != b"WAVE":
        return None
    wide: int | None = None
    while True:
        name, length = struct.unpack(f"{order}4sI", stream.take(8))
        if name == b"data":
            if container in ("RF64", "BW64") and length == 0xFFFFFFFF:
                return replace(header, start=stream.position, length=wide or None)
            return replace(header, start=stream.position, length=length)
        if name == b"ds64":
            body = stream.take(min(length, 24))
            wide = struct.unpack("<Q", body[8:16])[0]
            stream.skip(length - len(body) + length % 2)
        elif name == b"fmt ":
            body = stream.take(min(length, _LONGEST_FORMAT))
            stream.skip(length - len(body) + length % 2)
            header = _wav_format(header, body, order)
        else:
            stream.skip(length + length % 2)


def _wav_format(header: SoundHeader, body: bytes, order: str) -> SoundHeader:
    tag, channels, rate, _, align, _ = struct.unpack(f"{order}HHIIHH", body[:16])
    ambisonics: AmbisonicFormat | None = None
    if tag == _EXTENSIBLE and len(body) >= 40:
        tail = body[28:40]
        ambisonics = "fuma" if tail == _B_FORMAT_TAIL else None
        tag = struct.unpack(f"{order}I", body[24:28])[0]
    width = align // channels if channels else 0
    coding = _WAV_CODINGS.get(tag)
    if coding == "integer" and width == 1:
        coding = "unsigned"
    found = None if coding is None else _supported(SampleFormat(coding, width, order == ">"))  # type: ignore[arg-type]
    if found is not None and align != width * channels:
        found = None
    return replace(header, channels=channels, sample_rate=rate, format=found, ambisonics=ambisonics)


def _w64(stream: _Bytes) -> SoundHeader | None:
    header = SoundHeader("W64")
    stream.skip(8)
    if stream.take(16)[:4] != b"wave":
        return None
    while True:
        name, length = struct.unpack("<16sQ", stream.take(24))
        body_length = length - 24
        if name[:4] == b"data":
            is_open = body_length <= 0 or length >= _OPEN_64
            return replace(header, start=stream.position, length=None if is_open else body_length)
        if body_length < 0:
            return None
        body = b""
        if name[:4] == b"fmt ":
            body = stream.take(min(body_length, _LONGEST_FORMAT))
            header = _wav_format(header, body, "<")
        stream.skip(body_length - len(body) + -length % 8)


def _aiff(stream: _Bytes) -> SoundHeader | None:
    header = SoundHeader("AIFF")
    stream.skip(4)
    kind = stream.take(4)
    if kind not in (b"AIFF", b"AIFC"):
        return None
    while True:
        name, length = struct.unpack(">4sI", stream.take(8))
        if name == b"SSND":
            offset = struct.unpack(">I", stream.take(8)[:4])[0]
            stream.skip(offset)
            announced = None if length < 8 + offset else length - 8 - offset
            return replace(header, start=stream.position, length=announced)
        body = b""
        if name == b"COMM":
            body = stream.take(min(length, _LONGEST_FORMAT))
            channels, _, bits, exponent, mantissa = struct.unpack(">hIhHQ", body[:18])
            width = (bits + 7) // 8
            compression = body[18:22] if kind == b"AIFC" else b"NONE"
            coding = _AIFC_FORMATS.get(compression)
            found = None
            if coding is not None:
                found = _supported(SampleFormat(coding[0], coding[1] or width, coding[2]))  # type: ignore[arg-type]
            rate = int(mantissa * 2.0 ** ((exponent & 0x7FFF) - 16383 - 63))
            header = replace(header, channels=channels, sample_rate=rate, format=found)
        elif name == b"CHAN":
            body = stream.take(min(length, 4))
            header = replace(header, ambisonics=_caf_layout(body))
        stream.skip(length - len(body) + length % 2)


def _caf(stream: _Bytes) -> SoundHeader | None:
    header = SoundHeader("CAF")
    stream.skip(4)
    while True:
        name, length = struct.unpack(">4sq", stream.take(12))
        if name == b"data":
            stream.skip(4)
            announced = None if length < 4 else length - 4
            return replace(header, start=stream.position, length=announced)
        if length < 0:
            return None
        body = b""
        if name == b"desc":
            body = stream.take(min(length, 32))
            rate, coding, flags, _, _, channels, bits = struct.unpack(">d4sIIIII", body)
            kinds = {b"lpcm": "float" if flags & 1 else "integer", b"alaw": "alaw", b"ulaw": "ulaw"}
            found = None
            if coding in kinds:
                width = (bits + 7) // 8 if coding == b"lpcm" else 1
                found = _supported(SampleFormat(kinds[coding], width, not flags & 2))  # type: ignore[arg-type]
            header = replace(header, channels=channels, sample_rate=int(rate), format=found)
        elif name == b"chan":
            body = stream.take(min(length, 4))
            header = replace(header, ambisonics=_caf_layout(body))
        stream.skip(length - len(body))


def _au(stream: _Bytes, order: str) -> SoundHeader | None:
    start, length, coding, rate, channels = struct.unpack(f"{order}5I", stream.take(20))
    if start < 24:
        return None
    stream.skip(start - 24)
    found = _AU_FORMATS.get(coding)
    if found is not None:
        found = replace(found, big_endian=order == ">")
    return SoundHeader(
        "AU", channels, rate, found, start, None if length in (0, 0xFFFFFFFF) else length
    )


def _caf_layout(body: bytes) -> AmbisonicFormat | None:
    return _CAF_LAYOUTS.get(struct.unpack(">I", body)[0] >> 16) if len(body) == 4 else None


def _supported(format_: SampleFormat) -> SampleFormat | None:
    return format_ if format_.is_readable else None


def _only_chunks_follow(file: BinaryIO, header: SoundHeader, length: int, size: int) -> bool:
    """Return whether what comes after so many bytes of samples is chunks, or padding, to the end.

    A chunk has a name of four printable characters and ends within the file; samples that look so
    by chance are one in millions.
    """
    end = header.start + length
    if _is_padding(file, end, size):
        return True
    begins: tuple[int, ...]
    step: Callable[[BinaryIO], int | None]
    if header.container == "W64":
        begins, step = (end + -end % 8, end), _w64_step
    elif header.container == "CAF":
        begins, step = (end,), _caf_step
    else:
        # Many writers forget the byte that makes an odd length even.
        begins = (end + end % 2, end)
        step = _riff_step(">" if header.container in ("RIFX", "AIFF") else "<")
    return any(_chunks_to_end(file, begin, size, step) for begin in begins)


def _chunks_to_end(
    file: BinaryIO, position: int, size: int, step: Callable[[BinaryIO], int | None]
) -> bool:
    number = 0
    while size - position >= 8:
        file.seek(position)
        length = step(file)
        if length is None or position + length > size + 1:
            return number > 0 and _is_padding(file, position, size)
        position, number = position + length, number + 1
    return True


def _riff_step(order: str) -> Callable[[BinaryIO], int | None]:
    def step(file: BinaryIO) -> int | None:
        head = file.read(8)
        name, length = struct.unpack(f"{order}4sI", head)
        if head[:3] == b"TAG":  # ID3v1
            return 128
        return 8 + int(length) + length % 2 if _is_name(name) else None

    return step


def _caf_step(file: BinaryIO) -> int | None:
    head = file.read(12)
    if len(head) < 12:
        return None
    name, length = struct.unpack(">4sq", head)
    return 12 + int(length) if _is_name(name) and length >= 0 else None


def _w64_step(file: BinaryIO) -> int | None:
    head = file.read(24)
    if len(head) < 24:
        return None
    name, length = struct.unpack("<16sQ", head)
    is_chunk = _is_name(name[:4]) and length >= 24
    return int(length) + -int(length) % 8 if is_chunk else None


def _is_name(name: bytes) -> bool:
    return all(32 <= byte < 127 for byte in name)


def _is_padding(file: BinaryIO, position: int, size: int) -> bool:
    """Return whether a little zero, as fills a sector, is all that follows."""
    if size - position > _PADDING_BYTES:
        return False
    file.seek(position)
    return not any(file.read(_PADDING_BYTES))
