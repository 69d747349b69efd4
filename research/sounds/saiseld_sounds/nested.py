"""Two archive formats that games keep their sounds in: Qt resource files and OpenClonk groups.

Both readers check every offset against the data and end on any input; on damage they raise
`ValueError`, `struct.error` or `zlib.error`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

Member = tuple[str, bytes]

MAX_DEPTH = 16
"""Folders inside one another."""


def read_qt_resource(data: bytes, max_bytes: int) -> Iterator[Member]:
    """Yield path and content of the files of a Qt resource file (``.rcc``, versions 1 to 3).

    The header gives the offsets of a tree of 14- or 22-byte nodes, of the contents (each after its
    32-bit length) and of the names (16-bit length, 32-bit hash, UTF-16); all big-endian.
    """
    magic, version, tree, contents, names = struct.unpack_from(">4sIIII", data)
    if magic != b"qres":
        raise ValueError("not a Qt resource file")
    node_bytes = 14 if version == 1 else 22

    def name_at(offset: int) -> str:
        (length,) = struct.unpack_from(">H", data, names + offset)
        return _cut(data, names + offset + 6, 2 * length).decode("utf-16-be")

    seen: set[int] = set()

    def walk(first: int, count: int, parent: str, depth: int) -> Iterator[Member]:
        for node in range(first, first + count):
            if node in seen or depth == 0:
                raise ValueError("a folder inside itself, or too deep")
            seen.add(node)
            at = tree + node * node_bytes
            name_offset, flags = struct.unpack_from(">IH", data, at)
            path = parent + name_at(name_offset)
            if flags & 2:
                children, first_child = struct.unpack_from(">II", data, at + 6)
                yield from walk(first_child, children, path + "/", depth - 1)
            else:
                (offset,) = struct.unpack_from(">I", data, at + 10)
                (length,) = struct.unpack_from(">I", data, contents + offset)
                content = _cut(data, contents + offset + 4, length)
                if flags & 1:  # deflated, after its unpacked length
                    content = zlib.decompressobj().decompress(content[4:], max_bytes)
                elif flags & 4:
                    raise ValueError(f"{path} is packed with Zstandard")
                yield path, content

    _, _, children, first_child = struct.unpack_from(">IHII", data, tree)
    yield from walk(first_child, children, "", MAX_DEPTH)


def read_openclonk_group(data: bytes, max_bytes: int) -> Iterator[Member]:
    """Yield path and content of the files of an OpenClonk group (``.ocg``, ``.ocd``).

    A group is a gzip stream whose two magic bytes are altered: a scrambled 204-byte header with the
    number of entries, one 316-byte entry each (name, packed, is-group, size, reserved, offset;
    little-endian), then the contents. Groups lie inside groups unpacked.
    """
    unpacker = zlib.decompressobj(wbits=31)
    yield from _read_group(unpacker.decompress(b"\x1f\x8b" + data[2:], max_bytes), "", MAX_DEPTH)


def _read_group(data: bytes, parent: str, depth: int) -> Iterator[Member]:
    header = bytearray(byte ^ 237 for byte in _cut(data, 0, 204))
    for at in range(0, 202, 3):
        header[at], header[at + 2] = header[at + 2], header[at]
    if not header.startswith(b"RedWolf Design GrpFolder"):
        raise ValueError("not an OpenClonk group")
    (entries,) = struct.unpack_from("<I", header, 36)
    contents = 204 + 316 * entries
    unread = len(data) - contents
    for at in range(204, contents, 316):
        name, _, is_group, size, _, offset = struct.unpack_from("<260siiIiI", data, at)
        path = parent + name.split(b"\0")[0].decode("latin-1")
        unread -= size
        if unread < 0 or depth == 0:
            raise ValueError(f"{path} overlaps another entry or is too deep")
        content = _cut(data, contents + offset, size)
        if is_group:
            yield from _read_group(content, path + "/", depth - 1)
        else:
            yield path, content


def _cut(data: bytes, offset: int, length: int) -> bytes:
    if offset + length > len(data):
        raise ValueError("an entry that ends after the file")
    return data[offset : offset + length]


NESTED_READERS: dict[str, Callable[[bytes, int], Iterator[Member]]] = {
    ".rcc": read_qt_resource,
    ".ocg": read_openclonk_group,
    ".ocd": read_openclonk_group,
}
"""Reader of each nested archive's suffix: content and size limit in, members out."""
