"""Capsules that fail while a recording goes on, which its first half minute cannot tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saiseld.checks.summary import dead_channels
from saiseld.conventions.timebase import FPS, SAMPLES_PER_FRAME, clock

_SHORTEST_FRAMES = 10
"""Shorter gaps are those of a loose cable at most, and change one or two masks."""


class FailureWatch:
    """Watches the capsules of a recording as their sound goes by.

    Parameters
    ----------
    names
        What each of them is called in messages.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._dead = [np.zeros((0, len(names)), bool)]  # (frames, capsules) of each block

    def watched(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """Yield the blocks (n, capsules) of whole frames, looking at each."""
        for block in blocks:
            frames = block.reshape(-1, SAMPLES_PER_FRAME, len(self._names))
            self._dead.append(dead_channels(np.square(frames, dtype=float).sum(axis=1)))
            yield block

    @property
    def gaps(self) -> list[list[tuple[int, int]]]:
        """For each capsule the (first, last + 1) frames of every gap of a second and more."""
        return [_long_runs(dead) for dead in np.concatenate(self._dead).T]

    def messages(self, path: Path) -> list[str]:
        """Return a line for each capsule that failed for a part of the recording."""
        found, whole = [], (0, sum(map(len, self._dead)))
        for name, gaps in zip(self._names, self.gaps, strict=True):
            if not gaps or gaps == [whole]:  # the whole of it: told when it was opened
                continue
            seconds = sum(end - start for start, end in gaps) / FPS
            (start, end), more = gaps[0], len(gaps) - 1
            again = f" and in {more} more gaps" if more > 1 else " and once more" if more else ""
            found.append(
                f"{path}: channel {name} is dead from {clock(start // FPS)} to "
                f"{clock(end // FPS)}{again}, {seconds:.0f} s in all; directions are wrong there. "
                "Check the capsule and its cable"
            )
        return found


def _long_runs(dead: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the first frame of each gap and the first after it."""
    edges = np.flatnonzero(np.diff(dead, prepend=False, append=False)).reshape(-1, 2)
    return [(a, b) for a, b in edges.tolist() if b - a >= _SHORTEST_FRAMES]
