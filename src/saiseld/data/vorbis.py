"""Vorbis in Ogg: how much its codebooks claim (Vorbis I specification, section 3.2.1).

libvorbis makes place for all entries of all codebooks, up to 4 million in each of 256, before it
finds that they make no sense: a file of some kilobytes takes a gigabyte.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from saiseld.runtime.errors import InputError

ENTRIES = 1 << 20
"""Of all codebooks together; encoders make some ten thousand."""

_LOOKED_INTO = 1 << 20
"""Bytes from the beginning of a file, where headers are."""
_PAGE = b"OggS"
_SETUP = b"\x05vorbis"
_BOOK = 0x564342
_FLOATS_AND_MORE = 32 + 32


def check_codebooks(path: Path, kind: type[InputError]) -> None:
    """Refuse a file with Vorbis whose codebooks have more than `ENTRIES` entries.

    Raises
    ------
    InputError
        Of ``kind``.
    """
    with path.open("rb") as file:
        if file.read(len(_PAGE)) != _PAGE:
            return
        start = _PAGE + file.read(_LOOKED_INTO)
    for packet in _packets(start):
        if packet.startswith(_SETUP) and (found := _entries(packet)) > ENTRIES:
            raise kind(
                path,
                place="codebooks",
                expected=f"at most {ENTRIES:,} entries",
                found=f"{found:,} or more",
            )


def _packets(content: bytes) -> Iterator[bytes]:
    """Yield the packets of the streams of an Ogg file's beginning, the last of each maybe cut."""
    begun: dict[bytes, bytes] = {}
    at = 0
    while content[at : at + 4] == _PAGE and len(content) >= at + 27:
        serial, count = content[at + 14 : at + 18], content[at + 26]
        lacing = content[at + 27 : at + 27 + count]
        at += 27 + count
        for length in lacing:
            begun[serial] = begun.get(serial, b"") + content[at : at + length]
            at += length
            if length < 255:
                yield begun.pop(serial)
    yield from begun.values()


def _entries(setup: bytes) -> int:
    """Return the entries of all codebooks up to where a header ends or makes no sense."""
    bits = _Bits(setup[len(_SETUP) :])
    total = 0
    for _ in range(bits.take(8) + 1):
        if bits.take(24) != _BOOK:
            break
        dimensions, entries = bits.take(16), bits.take(24)
        total += entries
        if total > ENTRIES or bits.is_over:
            break
        _skip_lengths(bits, entries)
        lookup = bits.take(4)
        if lookup in (1, 2):
            bits.take(_FLOATS_AND_MORE)
            width = bits.take(4) + 1
            bits.take(1)
            values = entries * dimensions if lookup == 2 else _root(entries, dimensions)
            bits.skip(values * width)
    return total


def _skip_lengths(bits: _Bits, entries: int) -> None:
    if bits.take(1):  # ordered: how many of each length
        bits.take(5)
        while entries > 0 and not bits.is_over:
            entries -= bits.take(entries.bit_length())
    elif bits.take(1):  # sparse
        for _ in range(entries):
            if bits.is_over:
                break
            if bits.take(1):
                bits.take(5)
    else:
        bits.skip(5 * entries)


def _root(entries: int, dimensions: int) -> int:
    """Return the greatest whole number whose power of so many dimensions is within the entries."""
    found = int(entries ** (1 / dimensions)) if dimensions else 0
    return next(n for n in (found + 1, found, found - 1, 0) if n**dimensions <= entries)


class _Bits:
    """Bits of bytes, the lowest of each first; zeros where there are no more."""

    def __init__(self, content: bytes) -> None:
        self._content, self._place = content, 0

    @property
    def is_over(self) -> bool:
        """Whether more was taken than there is."""
        return self._place > 8 * len(self._content)

    def take(self, count: int) -> int:
        """Return the next bits as a number."""
        first, self._place = self._place, self._place + count
        held = int.from_bytes(self._content[first // 8 : self._place // 8 + 1], "little")
        return held >> first % 8 & (1 << count) - 1

    def skip(self, count: int) -> None:
        """Pass over bits."""
        self._place += count
