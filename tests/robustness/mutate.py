"""Ways to damage a file, a little or a lot; the same random numbers give the same damage."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random

_NUMBERS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 40, -1)
_TOKENS = (
    "-1", "0", "1e999", "-1e308", "NaN", "nan", "Infinity", "inf", "99999999999999999999", "null",
    "true", "[]", "{}", '""', "1_0", "9" * 4400, '"\\ud800"', "../../evil", "\0", "\x1b[31m", "1.5",
    "864001", "2147483648",
)  # fmt: skip
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")


def mutated(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Return content after one to four random changes."""
    data = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 4))):
        random.choice(_CHANGES)(data, others, random)
    return bytes(data)


def _place(data: bytearray, random: Random) -> int:
    """Return a place, often in the first or last kilobyte, where headers are."""
    if not data:
        return 0
    near = min(len(data), 1024)
    kind = random.randrange(3)
    if kind == 0:
        return random.randrange(near)
    if kind == 1:
        return len(data) - 1 - random.randrange(near)
    return random.randrange(len(data))


def _bits(data: bytearray, _: Sequence[bytes], random: Random) -> None:
    for _ in range(random.randint(1, 8)):
        if data:
            data[_place(data, random)] ^= 1 << random.randrange(8)


def _bytes(data: bytearray, _: Sequence[bytes], random: Random) -> None:
    start, length = _place(data, random), random.randint(1, 32)
    data[start : start + length] = random.randbytes(length)


def _number(data: bytearray, _: Sequence[bytes], random: Random) -> None:
    size = random.choice((1, 2, 4, 8))
    value = random.choice(_NUMBERS) % (1 << 8 * size)
    start = _place(data, random)
    data[start : start + size] = value.to_bytes(size, random.choice(("little", "big")))


def _cut(data: bytearray, _: Sequence[bytes], random: Random) -> None:
    del data[_place(data, random) :]


def _remove(data: bytearray, _: Sequence[bytes], random: Random) -> None:
    start = _place(data, random)
    del data[start : start + random.choice((1, 2, 4, 8, 64, 1024))]


def _repeat(data: bytearray, _: Sequence[bytes], random: Random) -> None:
    start = _place(data, random)
    part = data[start : start + random.choice((1, 4, 16, 256, 4096))]
    data[start:start] = part * random.choice((1, 2, 50))


def _splice(data: bytearray, others: Sequence[bytes], random: Random) -> None:
    other = random.choice(others)
    data[_place(data, random) :] = other[random.randrange(len(other) + 1) :]


def _token(data: bytearray, _: Sequence[bytes], random: Random) -> None:
    """Put another value where a number is written in digits."""
    found = list(_NUMBER.finditer(data[:200_000]))
    if found:
        start, end = random.choice(found).span()
        data[start:end] = random.choice(_TOKENS).encode("utf-8", "surrogatepass")


def _nonsense(data: bytearray, _: Sequence[bytes], random: Random) -> None:
    if random.randrange(20) == 0:
        data[:] = random.randbytes(random.randrange(2000))
    else:
        _bits(data, _, random)


_CHANGES: tuple[Callable[[bytearray, Sequence[bytes], Random], None], ...] = (
    _bits, _bits, _bytes, _number, _number, _cut, _remove, _repeat, _splice, _token, _token,
    _nonsense,
)  # fmt: skip
