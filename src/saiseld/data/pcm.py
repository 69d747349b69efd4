"""Samples as they are stored, from bytes to floats.

Scaled as libsndfile scales them: integers to [-1, 1), floats as they are. A-law and mu-law by ITU-T
G.711.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Coding = Literal["integer", "unsigned", "float", "alaw", "ulaw"]


@dataclass(frozen=True, slots=True)
class SampleFormat:
    """How one sample is stored.

    Parameters
    ----------
    coding
        ``integer`` (signed), ``unsigned`` (8 bits), ``float``, ``alaw`` or ``ulaw``.
    width
        Bytes of a sample.
    big_endian
        Whether the most significant byte comes first.
    """

    coding: Coding
    width: int
    big_endian: bool = False

    @property
    def is_lossy(self) -> bool:
        """Whether it keeps less than was recorded."""
        return self.coding in ("alaw", "ulaw")

    @property
    def is_readable(self) -> bool:
        """Whether `decode` reads it."""
        widths = {"integer": (1, 2, 3, 4), "float": (4, 8)}
        return self.width in widths.get(self.coding, (1,))

    def decode(self, content: bytes, channels: int) -> NDArray[np.floating]:
        """Return the (n, channels) samples of whole interleaved sample frames.

        They are float32; float64 where the file has those.
        """
        return self._values(content).reshape(-1, channels)

    def _values(self, content: bytes) -> NDArray[np.floating]:
        order = ">" if self.big_endian else "<"
        if self.coding == "float":
            values = np.frombuffer(content, f"{order}f{self.width}")
            return values.astype(f"f{self.width}")
        if self.coding == "integer":
            return _integers(content, self.width, order)
        if self.coding == "unsigned":
            return (np.frombuffer(content, np.uint8).astype(np.float32) - 128) / np.float32(128)
        table = _alaw() if self.coding == "alaw" else _ulaw()
        return np.asarray(table[np.frombuffer(content, np.uint8)])


def _integers(content: bytes, width: int, order: str) -> NDArray[np.float32]:
    if width == 3:
        parts = np.frombuffer(content, np.uint8).reshape(-1, 3)
        wide = np.zeros((len(parts), 4), np.uint8)
        # The three bytes become the upper ones of 32 bits, which keeps the sign.
        wide[:, 1:] = parts if order == "<" else parts[:, ::-1]
        values, full_scale = wide.view("<i4")[:, 0], 2.0**31
    else:
        values, full_scale = np.frombuffer(content, f"{order}i{width}"), 2.0 ** (8 * width - 1)
    return values.astype(np.float32) / np.float32(full_scale)


@cache
def _alaw() -> NDArray[np.float32]:
    code = np.arange(256) ^ 0x55
    exponent, mantissa = (code >> 4) & 7, code & 15
    steps = np.where(
        exponent == 0, 2 * mantissa + 1, (2 * mantissa + 33) << np.maximum(exponent, 1)
    )
    steps = np.where(exponent == 0, steps << 3, steps << 2)
    return (np.where(code & 128, steps, -steps) / 2.0**15).astype(np.float32)


@cache
def _ulaw() -> NDArray[np.float32]:
    code = ~np.arange(256) & 0xFF
    exponent, mantissa = (code >> 4) & 7, code & 15
    steps = (((mantissa << 3) + 0x84) << exponent) - 0x84
    return (np.where(code & 128, -steps, steps) / 2.0**15).astype(np.float32)
