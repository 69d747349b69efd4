"""A beam that follows a source, over a recording that is read block by block.

The time axis is divided into cells of `STEP` frames with a direction each; the beams of two
neighbouring cells are crossfaded between the cells' middles, so that a turn makes no click.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import oaconvolve

from saiseld.acoustics.beamforming import DELAY, TAPS, beam_filters
from saiseld.conventions.timebase import SAMPLES_PER_FRAME

STEP = 5
"""Frames that share a direction."""
MARGIN = TAPS
"""Samples that `FollowingBeam.hear` needs before and after those that it returns."""
_CELL = STEP * SAMPLES_PER_FRAME

Look = Callable[[int], tuple[NDArray[np.floating], NDArray[np.floating] | None]]
"""Look direction (3,) and directions to be nulled (J, 3) of a cell."""


class FollowingBeam:
    """A superdirective beam whose direction changes from cell to cell.

    Parameters
    ----------
    look
        Where it listens in cell k, frames [k STEP, (k + 1) STEP).
    """

    def __init__(self, look: Look) -> None:
        # A block's first and last cells are its neighbours' too.
        self._filters = lru_cache(64)(lambda cell: beam_filters(*look(cell)))

    def hear(self, sound: NDArray[np.float32], start: int) -> NDArray[np.float32]:
        """Return what comes from there in time, not late.

        Parameters
        ----------
        sound
            (MARGIN + n + MARGIN, 4) capsule signals.
        start
            Sample of the recording that ``sound[MARGIN]`` is.

        Returns
        -------
        (n,)
        """
        length = len(sound) - 2 * MARGIN
        output = np.zeros(length, np.float32)
        first = (start - _CELL // 2) // _CELL
        last = (start + length - _CELL // 2) // _CELL + 1
        for cell in range(first, last + 1):
            middle = cell * _CELL + _CELL // 2 - start
            low, high = max(middle - _CELL, 0), min(middle + _CELL, length)
            if low >= high:
                continue
            # Where filters of TAPS samples give the samples [low, high), DELAY late.
            piece = sound[MARGIN + low + DELAY - TAPS + 1 : MARGIN + high + DELAY]
            beam = oaconvolve(piece, self._filters(cell).T, mode="valid", axes=0).sum(axis=1)
            share = 1 - np.abs(np.arange(low, high) - middle) / _CELL
            output[low:high] += (beam * share).astype(np.float32)
        return output
