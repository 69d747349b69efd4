"""Latents of neighbouring frames, side by side: all at once, or block by block.

A latent with a context of c frames has the 9 bands of its own frame first, then those of the frame
before and the frame after, then of the ones next to these, out to c. Where a recording begins or
ends, its first or last frame stands in for what is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray

from saiseld.formats.features import AcousticImages

MAX_CONTEXT = 4
"""Frames to either side that a detector may ask for."""


def offsets(context: int) -> tuple[int, ...]:
    """Return the frames that a latent holds, counted from its own: 0, -1, 1, -2, 2, ..."""
    return (0, *(side * apart for apart in range(1, context + 1) for side in (-1, 1)))


def with_neighbours(latent: NDArray[np.float32], context: int) -> NDArray[np.float32]:
    """Return the (n, 9 (1 + 2 context), 484) latents of (n, 9, 484) ones in a row."""
    if context == 0:
        return latent
    frames = np.arange(len(latent))
    near = [latent[np.clip(frames + offset, 0, len(latent) - 1)] for offset in offsets(context)]
    return np.concatenate(near, axis=1)


def in_context(blocks: Iterable[AcousticImages], context: int) -> Iterator[AcousticImages]:
    """Yield blocks of acoustic images with their context, reading one block ahead.

    No block but the last one may be shorter than the context.
    """
    if context == 0:
        yield from blocks
        return
    past: NDArray[np.float32] | None = None
    for block, following in pairwise(chain(blocks, [None])):
        assert block is not None  # only the end is
        latent = block.latent
        before = latent[:0] if past is None else past
        after = latent[:0] if following is None else following.latent[:context]
        wide = with_neighbours(np.concatenate([before, latent, after]), context)
        yield replace(block, latent=wide[len(before) : len(before) + len(latent)])
        past = np.concatenate([before, latent])[-context:]
