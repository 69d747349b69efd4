"""The same work over many recordings: several at once, with progress, stopped by Ctrl-C at once.

What is finished stays finished; whoever gives the tasks leaves those out next time.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import islice
from multiprocessing import get_context
from typing import Any, TypeVar

T = TypeVar("T")

_BLAS_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

_share_done: ContextVar[Callable[[float], object]] = ContextVar(
    "share_done", default=lambda share: None
)


def tell_share_done(share: float) -> None:
    """Say which share of the running task is done; it moves the line of a `run_all` without jobs.

    A task in a process of its own moves the line only as a whole.
    """
    _share_done.get()(share)


def run_all(
    function: Callable[..., T],
    tasks: Mapping[str, tuple[Any, ...]],
    *,
    jobs: int = 1,
    title: str = "",
    on_done: Callable[[str, T], object] = lambda name, result: None,
) -> dict[str, T]:
    """Call ``function(*arguments)`` for every task and return the results by task name.

    Parameters
    ----------
    function
        Of module level, with arguments and a result that can be sent between processes.
    tasks
        Arguments by name (a recording's).
    jobs
        Processes; with 1 the work is done in this one. Several leave one BLAS thread to each.
    title
        What the progress line says; empty for none.
    on_done
        Called in this process with each task's name and result, as soon as it is done.

    Raises
    ------
    SaiseldError
        The first one of a task. Tasks not yet begun are dropped, those running are finished.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    results: dict[str, T] = {}
    with Progress(
        *columns, console=Console(stderr=True), disable=not title or not tasks
    ) as progress:
        line = progress.add_task(title, total=len(tasks))
        done = (
            _here(function, tasks, lambda s: progress.update(line, completed=len(results) + s))
            if jobs <= 1 or len(tasks) <= 1
            else _spread(function, tasks, jobs)
        )
        for name, result in done:
            results[name] = result
            progress.update(line, completed=len(results))
            on_done(name, result)
    return {name: results[name] for name in tasks}


def _here(
    function: Callable[..., T],
    tasks: Mapping[str, tuple[Any, ...]],
    on_share: Callable[[float], object],
) -> Iterator[tuple[str, T]]:
    for name, arguments in tasks.items():
        token = _share_done.set(on_share)
        try:
            result = function(*arguments)
        finally:
            _share_done.reset(token)
        yield name, result


def _spread(
    function: Callable[..., T], tasks: Mapping[str, tuple[Any, ...]], jobs: int
) -> Iterator[tuple[str, T]]:
    with (
        _one_blas_thread(),
        ProcessPoolExecutor(
            min(jobs, len(tasks)),
            mp_context=get_context("spawn"),
            initializer=signal.signal,
            initargs=(signal.SIGINT, signal.SIG_IGN),
        ) as pool,
    ):
        left = iter(tasks.items())
        running: dict[Future[T], str] = {}
        try:
            while True:
                # No more than there are processes: what is handed over cannot be taken back.
                for name, arguments in islice(left, jobs - len(running)):
                    running[pool.submit(_task, function, arguments)] = name
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _task(function: Callable[..., T], arguments: tuple[Any, ...]) -> T:
    # Ctrl-C reaches every process: it stops a running task, never one that waits for its next.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return function(*arguments)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _one_blas_thread() -> Iterator[None]:
    """Let processes that start in this block use one BLAS thread each."""
    before = {name: os.environ.get(name) for name in _BLAS_THREADS}
    os.environ.update(dict.fromkeys(_BLAS_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
