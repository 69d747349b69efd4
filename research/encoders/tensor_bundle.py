"""TensorFlow's checkpoint format, as far as reading arrays of floats goes, without TensorFlow.

``variables.index`` is a sorted table of LevelDB: blocks of keys, each shortened by what it shares
with the one before, and a footer that says where the index of blocks lies. A value is a protocol
buffer (BundleEntryProto) that tells type, shape, and the place in the file of data.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_FOOTER = 48
_MAGIC = 0xDB4775248B80FB57
_FLOAT = 1


def read_bundle(index: bytes, data: bytes) -> dict[str, NDArray[np.float32]]:
    """Return the arrays of single floats by name.

    Raises
    ------
    ValueError
        If it is no such table, or is cut off or compressed.
    """
    if len(index) < _FOOTER or struct.unpack("<Q", index[-8:])[0] != _MAGIC:
        raise ValueError("not the index of a TensorFlow checkpoint")
    footer = index[-_FOOTER:]
    _, at = _varint(footer, 0)
    _, at = _varint(footer, at)
    offset, at = _varint(footer, at)
    size, _ = _varint(footer, at)
    arrays = {}
    for _, handle in _entries(index, offset, size):
        start, at = _varint(handle, 0)
        length, _ = _varint(handle, at)
        for key, value in _entries(index, start, length):
            entry = _message(value)
            if key and entry.get(1) == [_FLOAT]:
                arrays[key.decode()] = _array(entry, data)
    return arrays


def _array(entry: dict[int, list[int | bytes]], data: bytes) -> NDArray[np.float32]:
    shape = []
    for part in entry.get(2, []):
        shape += [_number(_message(dim).get(1, [0])[0]) for dim in _message(part).get(2, [])]
    start, size = _number(entry.get(4, [0])[0]), _number(entry[5][0])
    if start + size > len(data):
        raise ValueError("the data of a TensorFlow checkpoint are cut off")
    return np.frombuffer(data[start : start + size], "<f4").reshape(shape).copy()


def _number(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise ValueError("a number expected in a protocol buffer")
    return value


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """Return a number written seven bits a byte, and where it ends."""
    number = shift = 0
    while True:
        byte = content[at]
        at += 1
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return number, at


def _message(content: int | bytes) -> dict[int, list[int | bytes]]:
    """Return the values of a protocol buffer by field."""
    if isinstance(content, int):
        raise ValueError("a message expected in a protocol buffer")
    fields: dict[int, list[int | bytes]] = {}
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        kind = key & 7
        value: int | bytes
        if kind == 0:
            value, at = _varint(content, at)
        else:
            length = {1: 8, 5: 4}.get(kind)
            if length is None:
                length, at = _varint(content, at)
            value, at = content[at : at + length], at + length
        fields.setdefault(key >> 3, []).append(value)
    return fields


def _entries(table: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values of a block."""
    if table[offset + size] != 0:
        raise ValueError("a compressed TensorFlow checkpoint")
    block = table[offset : offset + size]
    end = len(block) - 4 - 4 * struct.unpack("<I", block[-4:])[0]
    key, at = b"", 0
    while at < end:
        shared, at = _varint(block, at)
        unshared, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + unshared]
        at += unshared
        yield key, block[at : at + length]
        at += length
