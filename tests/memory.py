"""Measure memory by what Python allocates, which no other test and no machine has a part in."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def allocations() -> Iterator[Callable[[], int]]:
    """Yield a function that returns the most bytes that were allocated at once in this block."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
