"""Latents of neighbouring frames, side by side.

A latent with a context of c frames has the 9 bands of its own frame first, then those of the frame
before and the frame after, then of the ones next to these, out to c. Where a recording begins or
ends, its first or last frame stands in for what is missing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
