"""Blocks of acoustic images with the frames around them (`saiseld.data.context`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray

from saiseld.acoustics.front_end import AcousticImages
from saiseld.data.context import with_neighbours


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
        own = block.latent
        before = own[:0] if past is None else past
        after = own[:0] if following is None else following.latent[:context]
        wide = with_neighbours(np.concatenate([before, own, after]), context)
        yield replace(block, latent=wide[len(before) : len(before) + len(own)])
        past = np.concatenate([before, own])[-context:]
