"""Capsules that fail while a recording goes on, which its first half minute cannot tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.timebase import FPS, SAMPLES_PER_FRAME

_DEAD_DB = 40.0
"""Below the median capsule."""
_SHORTEST_FRAMES = 10
"""Shorter gaps are those of a loose cable at most, and change one or two masks."""


@dataclass
class FailureWatch:
    """Watches the capsules of a recording as their sound goes by.

    Parameters
    ----------
    names
        What each of them is called in messages.

    Attributes
    ----------
    gaps
        For each capsule the (first, last + 1) frames of every gap of a second and more.
    """

    names: list[str]
    gaps: list[list[tuple[int, int]]] = field(init=False)

    def __post_init__(self) -> None:
        self.gaps = [[] for _ in self.names]
        self._frames = 0
        self._since: list[int | None] = [None] * len(self.names)

    def watched(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """Yield the blocks (n, capsules) of whole frames, looking at each."""
        for block in blocks:
            self.add(block)
            yield block
        self._end([False] * len(self.names))

    def add(self, block: NDArray[np.float32]) -> None:
        """Look at a block (n, capsules) of whole frames."""
        power = np.square(block.reshape(-1, SAMPLES_PER_FRAME, len(self.names)), dtype=float)
        level = power.sum(axis=1)
        median = np.median(level, axis=1, keepdims=True)
        for dead in (median > 0) & (level < median * 10 ** (-_DEAD_DB / 10)):
            self._end(dead)
            self._frames += 1

    def _end(self, dead: Iterable[bool]) -> None:
        """Note where gaps begin and end, given which capsules are dead in the next frame."""
        for capsule, is_dead in enumerate(dead):
            since = self._since[capsule]
            if is_dead:
                self._since[capsule] = self._frames if since is None else since
            elif since is not None:
                if self._frames - since >= _SHORTEST_FRAMES:
                    self.gaps[capsule].append((since, self._frames))
                self._since[capsule] = None

    def messages(self, path: Path) -> list[str]:
        """Return a line for each capsule that failed for a part of the recording."""
        found = []
        for name, gaps in zip(self.names, self.gaps, strict=True):
            if not gaps or gaps == [(0, self._frames)]:  # the whole of it: told when it was opened
                continue
            seconds = sum(end - start for start, end in gaps) / FPS
            (start, end), more = gaps[0], len(gaps) - 1
            again = f" and in {more} more gaps" if more > 1 else " and once more" if more else ""
            found.append(
                f"{path}: channel {name} is dead from {_clock(start)} to {_clock(end)}{again}, "
                f"{seconds:.0f} s in all; directions are wrong there. Check the capsule and its "
                "cable"
            )
        return found


def _clock(frame: int) -> str:
    minutes, seconds = divmod(frame // FPS, 60)
    return f"{minutes}:{seconds:02}"
