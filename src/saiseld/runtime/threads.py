"""Several items of one piece of work at once, each on a thread of its own, in their order.

Networks leave Python to itself while they run, so threads are enough. A thread for an item loses
nothing on a machine that has other work, where threads that share one item wait for the slowest.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import TypeVar

In = TypeVar("In")
Out = TypeVar("Out")

ONE_BLAS_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Environment of a process that is one of several."""

_AHEAD = 8
"""Items a thread that may wait to be taken: threads stay busy while the taker is."""


def threads_here() -> int:
    """Return how many threads this process may use: ``OMP_NUM_THREADS``, or the cores it has."""
    setting = os.environ.get("OMP_NUM_THREADS", "")
    if setting.isdecimal() and int(setting) > 0:
        return int(setting)
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def one_blas_thread() -> AbstractContextManager[object]:
    """Let linear algebra in this process run on one thread while the context lasts.

    Several share small products, spin while they wait, and sum in another order.
    """
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api="blas")  # type: ignore[no-any-return]


def in_threads(function: Callable[[In], Out], items: Iterable[In], threads: int) -> Iterator[Out]:
    """Yield ``function(item)`` of every item in order, with some items being worked on ahead.

    Items are read in the calling thread. With one thread, all is done there, one by one.
    """
    if threads <= 1:
        yield from map(function, items)
        return
    waiting: deque[Future[Out]] = deque()
    pool = ThreadPoolExecutor(threads, initializer=leave_own_threads_off)
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > threads * _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def leave_own_threads_off() -> None:
    """Let torch, if it is there, compute this thread's work in this thread alone."""
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)
