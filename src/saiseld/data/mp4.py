"""MP4 and QuickTime files (ISO/IEC 14496-12): their outermost boxes, and what their tables claim.

FFmpeg makes place for all that a table claims before it has read any of it, and lists every sample
of every edit: a file of some kilobytes takes gigabytes. So claims are held against the file first.
"""

from __future__ import annotations

import re
import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from saiseld.runtime.errors import InputError

TABLE_BYTES = 1 << 28
"""Of one outermost box that is looked into."""

UNPACKED_BYTES = 1 << 26
"""Of compressed tables of contents (``cmov``)."""

LISTED = 20_000_000
"""Samples that fragments may list, and edits may repeat; FFmpeg takes 24 bytes for each."""

_CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"mvex", b"moof", b"traf")
_NUMBERS = (b"stsz", b"stz2", b"stco", b"co64", b"stts", b"ctts", b"stss", b"stsc", b"sdtp")
_LOOKED_INTO = (
    *_CONTAINERS,
    *_NUMBERS,
    *(b"hoov", b"cmov", b"udta", b"meta", b"dinf", b"tref", b"stsd", b"wave", b"ilst"),
    *(b"iprp", b"ipco", b"iloc", b"iinf", b"elst", b"trun"),
)
"""Boxes that FFmpeg looks into wherever they are; it passes over others."""
_CLAIMS = re.compile(b"stsz|stz2|trun|elst|iloc|iinf|cmvd")
_ONLY_A_PAUSE = -1
"""Beginning of an edit that shows nothing."""
_EDITS_LOOKED_AT = 64
"""Of a list; all of a longer one count as if they show something."""


class Box(NamedTuple):
    """A box of a file: its kind, and where its header and contents begin and it ends."""

    kind: bytes
    begin: int
    body: int
    end: int


def check_claims(path: Path, kind: type[InputError]) -> None:
    """Refuse tables that claim more than the file can hold.

    Raises
    ------
    InputError
        Of ``kind``, with the box as its place.
    """
    size = path.stat().st_size
    claims = _Claims(path, size, kind)
    with path.open("rb") as file:
        for box in outermost(file, size):
            if box.kind not in _LOOKED_INTO:
                continue
            if box.end - box.begin > TABLE_BYTES:
                claims.refuse(box.kind, box.end - box.begin, f"at most {TABLE_BYTES:,} bytes")
            file.seek(box.begin)
            claims.add(file.read(box.end - box.begin))


def top_level_box(path: Path, kind: bytes) -> bytes:
    """Return the body of the first outermost box of a kind; empty where there is none."""
    with path.open("rb") as file:
        for box in outermost(file, path.stat().st_size):
            if box.kind == kind:
                file.seek(box.body)
                return file.read(min(box.end - box.body, TABLE_BYTES))
    return b""


def announced_bytes(file: BinaryIO, size: int) -> int:
    """Return where the last of the outermost boxes ends; ``size`` where nothing is missing."""
    return max((box.end for box in outermost(file, size, cut=False)), default=size)


def outermost(file: BinaryIO, size: int, *, cut: bool = True) -> Iterator[Box]:
    """Yield the outermost boxes of a file, those that end beyond it ``cut`` to its size."""
    begin = 0
    while begin < size:
        file.seek(begin)
        box = _box(file.read(16), begin, size)
        if box is None:
            return
        yield box._replace(end=min(box.end, size)) if cut else box
        begin = box.end


def _box(head: bytes, begin: int, end: int) -> Box | None:
    """Return the box that begins with some bytes, in one that ends at ``end``; None if none."""
    if len(head) < 8:
        return None
    length, body = int.from_bytes(head[:4], "big"), 8
    if length == 1 and len(head) >= 16:
        length, body = int.from_bytes(head[8:16], "big"), 16
    if length == 0:
        length = end - begin
    return Box(head[4:8], begin, begin + body, begin + length) if length >= body else None


class _Claims:
    """What the tables of a file claim so far."""

    def __init__(self, path: Path, size: int, kind: type[InputError]) -> None:
        self._path, self._size, self._kind = path, size, kind
        self._samples = self._fragmented = self._unpacked = 0
        self._edits = 1

    def refuse(self, box: bytes, found: int, expected: str, advice: str = "") -> None:
        """Raise the error."""
        raise self._kind(
            self._path,
            place=box.decode("latin-1"),
            expected=expected,
            found=f"{found:,}",
            advice=advice,
        )

    def add(self, content: bytes, *, is_unpacked: bool = False) -> None:
        """Add what an outermost box claims, whole, and refuse what is too much.

        Bytes that look like a box count wherever they are, but for the numbers of tables.
        """
        numbers = _numbers(content)
        begins = [begin for begin, _ in numbers]
        for found in _CLAIMS.finditer(content):
            at, box = found.end(), found.group()
            before = bisect_right(begins, found.start()) - 1
            if before >= 0 and found.start() < numbers[before][1]:
                continue
            if box == b"cmvd":
                if is_unpacked:
                    self.refuse(box, 2, "one table of contents, compressed once")
                self._unpack(content, at)
            elif box == b"elst":
                self._edits = max(self._edits, _edits(content, at))
            else:
                self._count(box, _claimed(box, content, at))
        if (repeated := (self._edits - 1) * self._samples) > LISTED:
            expected = f"edits that repeat at most {LISTED:,} samples"
            advice = "If the file is sound: ffmpeg -i IN -map 0 -c copy OUT joins its edits"
            self.refuse(b"elst", repeated, expected, advice)

    def _count(self, box: bytes, count: int) -> None:
        if count > self._size:
            self.refuse(box, count, f"at most one a byte, {self._size:,}")
        if box == b"trun":
            self._fragmented += count
            if self._fragmented > min(LISTED, self._size):
                self.refuse(box, self._fragmented, f"at most {min(LISTED, self._size):,} samples")
        if box in (b"stsz", b"stz2", b"trun"):
            self._samples += count

    def _unpack(self, content: bytes, at: int) -> None:
        claimed = _uint(content, at, 4)
        self._unpacked += claimed
        if self._unpacked > UNPACKED_BYTES:
            self.refuse(b"cmvd", self._unpacked, f"at most {UNPACKED_BYTES:,} bytes")
        try:
            packed = memoryview(content)[at + 4 :]
            unpacked = zlib.decompressobj().decompress(packed, claimed or 1)
        except zlib.error:
            return  # FFmpeg cannot unpack it either
        self.add(unpacked, is_unpacked=True)


def _claimed(box: bytes, content: bytes, at: int) -> int:
    """Return how many things a table claims; ``at`` is where its version is."""
    version = _uint(content, at, 1)
    if box in (b"stsz", b"stz2"):
        return _uint(content, at + 8, 4)
    if box == b"trun":
        return _uint(content, at + 4, 4)
    if box == b"iinf":
        return _uint(content, at + 4, 4 if version else 2)
    return _uint(content, at + 6, 4 if version >= 2 else 2)  # iloc


def _edits(content: bytes, at: int) -> int:
    """Return how many edits of a list show something."""
    row = struct.Struct(">8xq4x" if _uint(content, at, 1) == 1 else ">4xi4x")
    first, most = at + 8, _uint(content, at + 4, 4)
    count = min(most, max(len(content) - first, 0) // row.size)
    if count > _EDITS_LOOKED_AT:
        return count
    rows = row.iter_unpack(content[first : first + count * row.size])
    return sum(begin != _ONLY_A_PAUSE for (begin,) in rows)


def _uint(content: bytes, at: int, size: int) -> int:
    return int.from_bytes(content[at : at + size], "big")


def _numbers(content: bytes) -> list[tuple[int, int]]:
    """Return where numbers of tables begin and end that are in their place, in order.

    Nobody takes them for boxes, whatever bytes they are.
    """
    at, ends = 0, [len(content)]
    found = []
    while ends:
        box = _box(content[at : at + 16], at, ends[-1])
        if at >= ends[-1] or box is None or box.end > ends[-1]:
            at = ends.pop()
        elif box.kind in _CONTAINERS:
            at = box.body
            ends.append(box.end)
        else:
            at = box.end
            if box.kind in _NUMBERS:
                found.append((box.body, box.end))
    return found
