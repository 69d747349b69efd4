"""Well-formed sound files, videos, pictures and HDF5 whose parts say what no writer says.

Lengths, checksums and offsets around a changed part are made right again, so that the change
reaches what reads the part.
"""

from __future__ import annotations

import copy
import io
import math
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any

import numpy as np

from tests.robustness.mutate import mutated

Change = Callable[[bytes, Sequence[bytes], Random], bytes]

NUMBERS = (0, 1, 2, 7, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


# Chunks of a name and a length, some inside others.


@dataclass
class Chunk:
    """A part of a container: what it is called, and other parts or bytes inside.

    ``prefix`` are the bytes before the parts inside, ``claims`` a length that is not its own.
    """

    name: bytes
    body: bytes = b""
    inside: list[Chunk] | None = None
    prefix: bytes = b""
    claims: int | None = None

    def all(self) -> Iterator[tuple[list[Chunk], int]]:
        """Yield where each part inside is: a list and a place in it."""
        for number, chunk in enumerate(self.inside or ()):
            yield self.inside or [], number
            yield from chunk.all()


@dataclass(frozen=True)
class Grammar:
    """How a container writes names and lengths, and which parts hold others."""

    take: Callable[[bytes, int], tuple[bytes, int, int, int] | None]
    """Name, start, end of the content and of the part that begins at a place."""
    head: Callable[[bytes, int], bytes]
    order: str
    nested: dict[bytes, int] = field(default_factory=dict)
    """Names of parts that hold others, and how many bytes come before these."""
    pads: bool = False

    def parse(self, content: bytes) -> list[Chunk]:
        """Return the parts of a file or of a part."""
        place, chunks = 0, []
        while (found := self.take(content, place)) is not None:
            name, start, end, place = found
            body = content[start:end]
            if name in self.nested:
                skip = self.nested[name]
                chunks.append(Chunk(name, b"", self.parse(body[skip:]), body[:skip]))
            else:
                chunks.append(Chunk(name, body))
        return chunks

    def write(self, chunk: Chunk) -> bytes:
        """Return a part as bytes, with the lengths that belong to it."""
        parts = b"".join(map(self.write, chunk.inside or ()))
        body = chunk.prefix + parts if chunk.inside is not None else chunk.body
        size = len(body) if chunk.claims is None else chunk.claims
        return self.head(chunk.name, size) + body + b"\0" * (self.pads and len(body) % 2)

    def changed(self, content: bytes, others: Sequence[bytes], random: Random) -> bytes:
        """Return a file of which one or two parts are others."""
        whole = Chunk(b"", inside=self.parse(content))
        for _ in range(random.choice((1, 1, 1, 2))):
            places = list(whole.all())
            if not places:
                return mutated(content, others, random)
            self._change(*random.choice(places), places, others, random)
        return b"".join(map(self.write, whole.inside or ()))

    def _change(
        self,
        among: list[Chunk],
        number: int,
        places: list[tuple[list[Chunk], int]],
        others: Sequence[bytes],
        random: Random,
    ) -> None:
        own = among[number] = copy.deepcopy(among[number])
        held, where = random.choice(places)
        other = copy.deepcopy(held[where]) if where < len(held) else own
        what = random.randrange(10)
        if what <= 2 and own.body:  # a number, at a place where numbers stand
            body, size = bytearray(own.body), random.choice((1, 2, 4, 4, 8))
            at = random.randrange(0, len(body), size) if len(body) > size else 0
            value = random.choice((*NUMBERS, 1 << 40, (1 << 63) - 1)) % (1 << 8 * size)
            body[at : at + size] = value.to_bytes(size, "big" if self.order == ">" else "little")
            own.body = bytes(body)
        elif what == 3:
            own.body = mutated(own.body, others, random)
        elif what == 4:
            own.claims = random.choice((*NUMBERS, len(own.body) + 1, max(len(own.body) - 1, 0)))
        elif what == 5:
            del among[number]
        elif what == 6:
            among[number:number] = [own] * random.choice((1, 1, 2, 20, 500))
        elif what == 7:
            among[number] = other
        elif what == 8:
            own.name = other.name
        else:
            among.insert(number, Chunk(other.name, random.randbytes(random.choice((0, 8, 40)))))


def _take_riff(content: bytes, place: int) -> tuple[bytes, int, int, int] | None:
    if place + 8 > len(content):
        return None
    name, size = struct.unpack("<4sI", content[place : place + 8])
    end = min(place + 8 + size, len(content))
    return name, place + 8, end, end + size % 2


def _take_aiff(content: bytes, place: int) -> tuple[bytes, int, int, int] | None:
    if place + 8 > len(content):
        return None
    name, size = struct.unpack(">4sI", content[place : place + 8])
    end = min(place + 8 + size, len(content))
    return name, place + 8, end, end + size % 2


def _take_box(content: bytes, place: int) -> tuple[bytes, int, int, int] | None:
    if place + 8 > len(content):
        return None
    size, name = struct.unpack(">I4s", content[place : place + 8])
    end = min(place + max(size, 8), len(content))
    return name, place + 8, end, end


def _take_caf(content: bytes, place: int) -> tuple[bytes, int, int, int] | None:
    if place == 0:  # the file's own header
        return content[:4], 4, 8, 8
    if place + 12 > len(content):
        return None
    name, size = struct.unpack(">4sq", content[place : place + 12])
    end = len(content) if size < 0 else min(place + 12 + size, len(content))
    return name, place + 12, end, end


def _vint(content: bytes, place: int, *, keep: bool) -> tuple[int, int]:
    """Return a number of variable length and where it ends; an ID keeps the bit of its length."""
    first = content[place]
    length = 9 - first.bit_length() if first else 9
    value = int.from_bytes(content[place : place + length], "big")
    return (value if keep else value & ((1 << 7 * length) - 1)), place + length


def _take_ebml(content: bytes, place: int) -> tuple[bytes, int, int, int] | None:
    if place + 2 > len(content):
        return None
    _, after = _vint(content, place, keep=True)
    if after >= len(content):
        return None
    size, start = _vint(content, after, keep=False)
    unknown = size == (1 << 7 * (start - after)) - 1
    end = len(content) if unknown else min(start + size, len(content))
    return content[place:after], start, end, end


RIFF = Grammar(
    _take_riff,
    lambda name, size: struct.pack("<4sI", name, size & 0xFFFFFFFF),
    "<",
    {b"RIFF": 4, b"RF64": 4, b"LIST": 4},
    pads=True,
)
AIFF = Grammar(
    _take_aiff,
    lambda name, size: struct.pack(">4sI", name, size & 0xFFFFFFFF),
    ">",
    {b"FORM": 4},
    pads=True,
)
BOXES = Grammar(
    _take_box,
    lambda name, size: struct.pack(">I4s", (size + 8) & 0xFFFFFFFF, name),
    ">",
    dict.fromkeys((b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"udta", b"dinf"), 0)
    | {b"stsd": 8, b"meta": 4},
)
CAF = Grammar(
    _take_caf,
    lambda name, size: name if name == b"caff" else struct.pack(">4sq", name, size),
    ">",
)
EBML = Grammar(
    _take_ebml,
    lambda name, size: name + (size & ((1 << 56) - 1) | 1 << 56).to_bytes(8, "big"),
    ">",
    dict.fromkeys(
        map(
            bytes.fromhex,
            ("18538067", "1f43b675", "1654ae6b", "ae", "1549a966", "1c53bb6b", "bb", "b7", "e0",
             "e1", "114d9b74", "4dbb", "1254c367", "7373", "67c8", "a0", "1a45dfa3"),
        ),
        0,
    ),
)  # fmt: skip


def wav(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Change a sound file by the grammar that its first bytes name."""
    grammars = {b"FORM": AIFF, b"caff": CAF}
    return grammars.get(content[:4], RIFF).changed(content, others, random)


def _box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body) + 8, name) + body


def mp4(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Change boxes of an MP4 file, or let a small table claim, repeat or unpack to much."""
    whole = Chunk(b"", inside=BOXES.parse(content))
    named = {held[at].name: (held, at) for held, at in whole.all()}
    if random.random() < 0.7 or not {b"moov", b"trak", b"edts"} <= named.keys():
        return BOXES.changed(content, others, random)
    count = random.choice((0, 2, 300, 1 << 16, 20_000_000, 60_000_000, 0xFFFFFFFF))
    what = random.randrange(4)
    if what == 0:  # edits that each show everything, or nothing
        edits = min(count, 1 << 14)
        held, at = named[b"edts"]
        begin = random.choice((0, 0, -1, 1 << 30))
        rows = struct.pack(">II", 0, edits) + struct.pack(">IiI", 1 << 20, begin, 1 << 16) * edits
        held[at] = Chunk(b"edts", inside=[Chunk(b"elst", rows)])
    elif what == 1:  # a table of contents that is compressed
        held, at = named[b"moov"]
        moov = random.choice((BOXES.write(held[at]), bytes(1 << random.choice((10, 24, 26)))))
        packed = zlib.compress(moov)
        claimed = random.choice((len(moov), count, 1_900_000_000))
        parts = _box(b"dcom", b"zlib") + _box(b"cmvd", struct.pack(">I", claimed) + packed)
        held[at] = Chunk(b"moov", _box(b"cmov", parts))
    elif what == 2:  # a fragment whose samples need no bytes
        header = _box(b"tfhd", struct.pack(">IIII", 0x8 | 0x10, 1, 1, random.choice((0, 1))))
        run = _box(b"trun", struct.pack(">IIi", 1, count, 0))
        assert whole.inside is not None
        whole.inside.append(Chunk(b"moof", _box(b"traf", header + run)))
    else:  # items of a picture file
        version = random.choice((1, 2))
        items = random.choice((
            _box(b"iloc", struct.pack(">BBHHI", version, 0, 0, 0x4400, count) + bytes(64)),
            _box(b"iinf", struct.pack(">BBHI", version, 0, 0, count) + bytes(64)),
        ))  # fmt: skip
        shown = _box(b"hdlr", bytes(8) + b"pict" + bytes(13))
        assert whole.inside is not None
        whole.inside.insert(random.choice((0, 1)), Chunk(b"meta", bytes(4) + shown + items))
    return b"".join(map(BOXES.write, whole.inside or ()))


# Pictures.


def png(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Change a chunk of a PNG and make its checksum right again."""
    place, parts = 8, []
    while place + 12 <= len(content):
        (size,) = struct.unpack(">I", content[place : place + 4])
        parts.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + size]))
        place += 12 + size
    if not parts:
        return mutated(content, others, random)
    number = random.randrange(len(parts))
    name, body = parts[number]
    if name == b"IHDR" and random.random() < 0.8:
        fields = list(struct.unpack(">IIBBBBB", body))
        index = random.randrange(7)
        sizes = (*NUMBERS, 8192, 20000)
        fields[index] = random.choice(sizes) if index < 2 else random.randrange(256)
        body = struct.pack(">IIBBBBB", *fields)
    elif name == b"IDAT" and random.random() < 0.5:
        body = zlib.compress(bytes(random.choice((10, 10**5, 10**7))))
    elif random.random() < 0.3:  # of those that say how a picture is to be shown, or that unpack
        name = random.choice((b"tRNS", b"PLTE", b"iCCP", b"zTXt", b"eXIf", b"acTL", b"sBIT"))
        packed = b"x\0\0" + zlib.compress(bytes(random.choice((10, 10**6, 10**7))))
        body = random.choice((packed, random.randbytes(random.choice((1, 6, 768)))))
        parts.insert(number, (name, body))
        body, name = parts[number + 1][1], parts[number + 1][0]
        number += 1
    else:
        body = mutated(body, others, random)
    parts[number : number + 1] = [(name, body)] * random.choice((0, 1, 1, 1, 2))
    written = content[:8]
    for name, body in parts:
        check = struct.pack(">I", zlib.crc32(name + body))
        written += struct.pack(">I", len(body)) + name + body + check
    return written


_SCAN = re.compile(rb"(?:[^\xff]|\xff[\0\xd0-\xd7])*", re.DOTALL)
"""Bits of a JPEG's scan: no marker but those of restarts."""


def _segments(content: bytes) -> list[tuple[int, bytes]]:
    """Return the segments of a JPEG, marker and content; a scan's bits are with its marker."""
    place, found = 2, []
    while place + 4 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xD9:
            break
        end = place + 2 + int.from_bytes(content[place + 2 : place + 4], "big")
        if marker == 0xDA:
            while end + 1 < len(content) and not (
                content[end] == 0xFF
                and content[end + 1] != 0
                and not 0xD0 <= content[end + 1] < 216
            ):
                end += 1
        found.append((marker, content[place + 4 : end]))
        place = end
    return found


def jpeg(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Change a segment of a JPEG: sizes, tables, sampling, scans; lengths stay right."""
    parts = _segments(content)
    if not parts:
        return mutated(content, others, random)
    number = random.randrange(len(parts))
    marker, body = parts[number]
    what = random.randrange(8)
    frames = [n for n, (m, _) in enumerate(parts) if 0xC0 <= m <= 0xC2]
    if what <= 2 and frames:
        number = frames[0]
        marker, found = parts[number][0], bytearray(parts[number][1])
        field_ = random.randrange(4)
        if field_ == 0:
            found[1:5] = struct.pack(">HH", *random.choices((0, 1, 7, 180, 5000, 65535), k=2))
        elif field_ == 1:
            found[0] = random.choice((0, 1, 8, 12, 16, 255))
        elif field_ == 2:
            marker = random.choice((0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA))
        else:
            found[random.randrange(5, len(found))] = random.choice((0, 1, 0x11, 0x22, 0x44, 0xFF))
        parts[number] = (marker, bytes(found))
    elif what == 3:
        parts[number] = (marker, mutated(body, others, random))
    elif what == 4:
        parts[number : number + 1] = [(marker, body)] * random.choice((0, 2, 3, 300))
    elif what == 5:
        other = random.randrange(len(parts))
        parts[number], parts[other] = parts[other], parts[number]
    elif what == 6:
        marker = random.choice((0xDD, 0xE0, 0xE1, 0xE2, 0xEE, 0xFE, 0xDC, 0xDF))
        exif = b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0" + bytes([random.randrange(20)])
        body = random.choice((exif + bytes(7), b"Adobe\0d\0\0\0\0" + bytes([random.randrange(4)])))
        parts.insert(number, (marker, random.choice((body, random.randbytes(2), b""))))
    else:
        parts[number] = (random.randrange(0xC0, 0xFF), body)
    written = bytearray(b"\xff\xd8")
    for marker, body in parts:
        header = body
        bits = b""
        if marker == 0xDA and body:  # its length is of the header alone
            size = 1 + 2 * body[0] + 3
            header, bits = body[:size], body[size:]
        written += bytes((0xFF, marker)) + struct.pack(">H", (len(header) + 2) & 0xFFFF)
        written += header + bits
    return bytes(written + b"\xff\xd9")


# Sound with checksums of its own.


def _check_of(content: bytes, polynomial: int, bits: int) -> int:
    table = _table_of(polynomial, bits)
    check, top, most = 0, bits - 8, (1 << bits) - 1
    for byte in content:
        check = (check << 8) & most ^ table[(check >> top) ^ byte]
    return check


@cache
def _table_of(polynomial: int, bits: int) -> list[int]:
    table = []
    for byte in range(256):
        check = byte << (bits - 8)
        for _ in range(8):
            check = (check << 1) ^ (polynomial if check >> (bits - 1) else 0)
            check &= (1 << bits) - 1
        table.append(check)
    return table


def ogg(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Drop, repeat, swap or change pages of an Ogg file, their checksums made right again."""
    pages = [b"OggS" + part for part in content.split(b"OggS")[1:]]
    if not pages:
        return mutated(content, others, random)
    first, second = random.randrange(len(pages)), random.randrange(len(pages))
    what = random.randrange(6)
    page = bytearray(pages[first])
    if what == 0:
        del pages[first]
    elif what == 1:
        pages[first], pages[second] = pages[second], pages[first]
    elif what == 2:
        pages.insert(second, pages[first])
    elif what == 3:
        page[6:14] = struct.pack("<q", random.choice((0, -1, 1, 2**40, 2**62)))
        pages[first] = bytes(page)
    elif what == 4:  # the first packet says rate, channels and sizes of blocks
        page = bytearray(pages[0])
        at = 28 + random.randrange(30)
        page[at : at + 4] = struct.pack("<I", random.choice(NUMBERS))
        pages[0] = bytes(page)
    else:
        page[random.randrange(min(27, len(page) - 1), len(page))] ^= 1 << random.randrange(8)
        pages[first] = bytes(page)
    written = b""
    for one in pages:
        blank = one[:22] + bytes(4) + one[26:]
        written += one[:22] + struct.pack("<I", _check_of(blank, 0x04C11DB7, 32)) + one[26:]
    return written


def flac(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Change the header, other metadata or the frames of a FLAC; checksums are made right."""
    place, blocks, is_last = 4, [], False
    while not is_last and place + 4 <= len(content):
        kind, size = content[place], int.from_bytes(content[place + 1 : place + 4], "big")
        is_last = bool(kind & 0x80)
        blocks.append((kind & 0x7F, content[place + 4 : place + 4 + size]))
        place += 4 + size
    frames = _flac_frames(content[place:])
    if not blocks or len(blocks[0][1]) < 34 or not frames:
        return mutated(content, others, random)
    what, number = random.randrange(8), random.randrange(len(frames))
    if what <= 2:
        blocks[0] = (0, _stream_info(blocks[0][1], random))
    elif what == 3:
        kind = random.choice((1, 2, 3, 4, 5, 6, 0, 126))
        body = random.choice(
            (b"", random.randbytes(40), struct.pack("<IIII", *random.choices(NUMBERS, k=4)))
        )
        blocks.insert(random.randrange(len(blocks) + 1), (kind, body))
    elif what == 4:
        one = random.randrange(len(blocks))
        blocks[one : one + 1] = [blocks[one]] * random.choice((0, 2, 100))
    elif what == 5:
        frames[number : number + 1] = [frames[number]] * random.choice((0, 2, 2, 50))
    elif what == 6:
        other = random.randrange(len(frames))
        frames[number], frames[other] = frames[other], frames[number]
    else:
        frame = bytearray(frames[number])
        frame[random.randrange(2, len(frame) - 2)] = random.choice((0, 1, 0x7F, 0xC9, 0xFF))
        frames[number] = _checked_frame(bytes(frame))
    written = b"fLaC"
    for one, (kind, body) in enumerate(blocks):
        last = 0x80 if one == len(blocks) - 1 else 0
        written += bytes([kind | last]) + len(body).to_bytes(3, "big") + body
    return written + b"".join(frames)


def _stream_info(body: bytes, random: Random) -> bytes:
    """Return a FLAC's header with another size of block, rate, channels, width or length."""
    value = bytearray(body)
    bits = int.from_bytes(value[10:18], "big")  # rate 20, channels 3, width 5, samples 36
    what = random.randrange(6)
    if what == 0:
        value[0:4] = struct.pack(">HH", *random.choices((0, 15, 16, 4096, 65535), k=2))
    elif what == 1:
        rate = random.choice((0, 1, 8000, 48000, 655350, (1 << 20) - 1))
        bits = bits & (1 << 44) - 1 | rate << 44
    elif what == 2:
        bits = bits & ~(7 << 41) | random.randrange(8) << 41
    elif what == 3:
        bits = bits & ~(31 << 36) | random.randrange(32) << 36
    elif what == 4:
        bits = bits >> 36 << 36 | random.choice((0, 1, 2400, 4799, 1 << 31, (1 << 36) - 1))
    else:
        value[18:34] = random.choice((bytes(16), random.randbytes(16)))
    value[10:18] = bits.to_bytes(8, "big")
    return bytes(value)


def _flac_frames(content: bytes) -> list[bytes]:
    """Return the frames, found by the checksum of their header."""
    starts, place = [], 0
    while (place := content.find(b"\xff", place)) >= 0:
        if _flac_header(content, place):
            starts.append(place)
        place += 1
    return [content[a:b] for a, b in zip(starts, [*starts[1:], len(content)], strict=True)]


def _flac_header(content: bytes, place: int) -> int:
    """Return the length of a frame's header without its checksum, 0 where there is none."""
    if content[place + 1 : place + 2] not in (b"\xf8", b"\xf9"):
        return 0
    for length in range(5, 16):
        check = content[place + length : place + length + 1]
        if check and _check_of(content[place : place + length], 0x07, 8) == check[0]:
            return length
    return 0


def _checked_frame(frame: bytes) -> bytes:
    length = 5 + (frame[2] >> 4 == 6) + 2 * (frame[2] >> 4 == 7)
    head = frame[:length] + bytes([_check_of(frame[:length], 0x07, 8)])
    body = head + frame[length + 1 : -2]
    return body + struct.pack(">H", _check_of(body, 0x8005, 16))


# HDF5.


def hdf5(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Change a dataset, attribute or link of an HDF5 file, as its library writes it."""
    import h5py

    held = io.BytesIO(content)
    try:
        with h5py.File(held, "a") as file:
            for _ in range(random.choice((1, 1, 2))):
                _change_dataset(h5py, file, random)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, MemoryError):
        return mutated(content, others, random)
    return held.getvalue()


def _change_dataset(h5py: Any, file: Any, random: Random) -> None:
    name = random.choice([n for n in file if isinstance(file.get(n), h5py.Dataset)])
    attributes = dict(file[name].attrs)
    # What the change before made of it may claim more than there is memory.
    claimed = max(file[name].size, math.prod(file[name].chunks or ()))
    values = file[name][()] if claimed < 1 << 20 else np.zeros(3)
    what = random.randrange(10)
    options: dict[str, Any] = {}
    if what == 0:
        wide = random.choice(("f2", "f4", "f8", "i1", "i8", "u4", ">f8", "S8", "c16", "?", "f16"))
        values = np.asarray(values).astype(wide)
    elif what == 1:
        values = np.array(values, float)
        values.flat[random.randrange(values.size)] = random.choice(
            (np.nan, np.inf, -np.inf, 1e308, -1.0, 0.0, 1e30)
        )
    elif what == 2:
        values = np.asarray(values)
        values = random.choice(
            (values[None], values[..., None], values.ravel(), values[:1], values.T)
        )
    elif what == 3:
        size = random.choice((1, 1 << 20, 1 << 26, 1 << 32))
        del file[name]
        # In chunks, one of which is written: the file claims much and stays small.
        claimed = (*np.shape(values)[:-1], size)
        held = file.create_dataset(name, claimed, "f8", chunks=(1,) * len(claimed))
        held[(0,) * len(claimed)] = 1.0
        held.attrs.update(attributes)
        return
    elif what == 4:
        packed = random.choice(({"compression": "gzip"}, {"shuffle": True}, {"fletcher32": True}))
        options = {"chunks": True, **packed} if np.ndim(values) else {}
    elif what == 5:
        key = random.choice([*attributes, "Type", "Units"])
        attributes[key] = random.choice(
            (np.bytes_("spherical"), np.bytes_("cartesian"), np.bytes_("radian"), 1.0, "x" * 9000)
        )
    elif what == 6:
        key = random.choice(("Conventions", "DataType", "SOFAConventions"))
        file.attrs[key] = random.choice((np.bytes_("SOFA"), np.bytes_("FIR-E"), 3, [b"SOFA"] * 3))
    elif what == 7:
        links = (h5py.SoftLink(f"/{name}"), h5py.ExternalLink("/etc/passwd", "/x"))
        del file[name]
        file[name] = random.choice((*links, h5py.SoftLink("/nowhere")))
        return
    elif what == 8:
        # Chunks that are larger than all numbers, or unpack to more than they are.
        shape, beyond = np.shape(values) or (1,), random.choice((0, 1 << 16, 1 << 28))
        chunk = (*(1 for _ in shape[:-1]), shape[-1] + beyond)
        del file[name]
        held = file.create_dataset(
            name, shape, "f8", chunks=chunk, maxshape=(None,) * len(shape), compression="gzip"
        )
        packed = zlib.compress(bytes(random.choice((1, 1 << 16, 1 << 26))))
        held.id.write_direct_chunk((0,) * len(shape), packed)
        held.attrs.update(attributes)
        return
    else:
        del file[name]
        if random.random() < 0.5:
            file.create_group(name)
        return
    del file[name]
    file.create_dataset(name, data=values, **options)
    file[name].attrs.update(attributes)
