"""Several items of one piece of work at once, each on a thread of its own, in their order.

Networks leave Python to itself while they run, so threads are enough. A thread for an item loses
nothing on a machine that has other work, where threads that share one item wait for the slowest.
"""

from __future__ import annotations

import math
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import TypeVar

In = TypeVar("In")
Out = TypeVar("Out")

ONE_BLAS_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Environment of a process that is one of several."""

_AHEAD = 8
"""Items a thread that may wait to be taken: threads stay busy while the taker is."""


_CGROUPS, _OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def threads_here() -> int:
    """Return how many threads this process may use: ``OMP_NUM_THREADS``, or its `cores_here`."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() and int(given) > 0 else cores_here()


def cores_here() -> int:
    """Return how many cores this process may use: by its affinity, and by a container's quota."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = cpu_quota()
    return cores if quota is None else min(cores, max(math.ceil(quota), 1))


def cpu_quota(cgroups: Path = _CGROUPS, own: Path = _OWN_CGROUPS) -> float | None:
    """Return how many cores' time the control groups of this process may use, None without limit.

    Parameters
    ----------
    cgroups
        Where they are mounted: version 2 (``cpu.max``), or 1 (``cpu/cpu.cfs_quota_us``). In a
        container its own group is often the root of the mount, whatever ``own`` says.
    own
        The groups of this process, one a line: ``0::/a/b``, or ``4:cpu,cpuacct:/a/b``.
    """
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return None
    quotas = []
    for _, controllers, group in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if not controllers:
            mounts = [cgroups, cgroups / "unified"]
        elif "cpu" in controllers.split(","):
            mounts = [cgroups / "cpu", cgroups / controllers]
        else:
            continue
        inner = PurePosixPath(group.lstrip("/"))
        for mount in mounts:
            quotas += [_quota_of(mount / part) for part in (inner, *inner.parents)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota_of(group: Path) -> float | None:
    for names in (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):
        try:
            text = " ".join((group / name).read_text() for name in names)
            quota, period = (int(number) for number in text.split())
        except (OSError, ValueError):  # not there, or "max": no limit
            continue
        if quota > 0 and period > 0:
            return quota / period
    return None


def keep_to_quota() -> None:
    """Let libraries that count the machine's cores use those that this process may use.

    To be called before numpy or torch are imported; what a user has set stays.
    """
    if cpu_quota() is not None:
        for name in ONE_BLAS_THREAD:
            os.environ.setdefault(name, str(threads_here()))


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
