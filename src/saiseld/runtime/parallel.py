"""The same work over many recordings: several at once, with progress, stopped by Ctrl-C at once.

Here, in processes of this machine, or on the machines of a cluster (`saiseld.runtime.cluster`).

Finished tasks stay finished: callers leave them out next time. No process outlives the one that it
works for. If one is killed, the error names its recording and the signal; `concurrent.futures` and
loky break all tasks in that case without saying whose, and stop no running process before Python
3.14.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Generic, TypeVar

from saiseld.runtime.cluster import Cluster
from saiseld.runtime.devices import Device
from saiseld.runtime.errors import WorkError, one_line
from saiseld.runtime.threads import ONE_BLAS_THREAD, one_blas_thread

T = TypeVar("T")

Workers = int | Cluster
"""Who does the tasks: so many processes of this machine, or a cluster."""

_LAST_WORDS_S = 1.0
"""Time that a process has to tidy up when it is told to stop."""
_PR_SET_PDEATHSIG = 1

_share_done: ContextVar[Callable[[float], object]] = ContextVar(
    "share_done", default=lambda share: None
)


def tell_share_done(share: float) -> None:
    """Say which share of the running task is done; it moves the line of a `run_all` without jobs.

    A task in a process of its own moves the line only as a whole.
    """
    _share_done.get()(share)


_progress_shown = True


def set_progress(shown: bool) -> None:
    """Choose whether `run_all` shows its progress line in this process."""
    global _progress_shown
    _progress_shown = shown


def run_all(
    function: Callable[..., T],
    tasks: Mapping[str, tuple[Any, ...]],
    *,
    jobs: Workers = 1,
    folder: Path | None = None,
    device: Device = "cpu",
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
        Processes; with 1 the work is done in this one. Each has one thread for linear algebra, so
        that no number depends on them. Or a cluster, which takes as many tasks at a time as it has
        cores, or GPUs.
    folder
        Where the tasks write, if they do: it is the function's first argument, before the task's
        own. On a machine that does not see it, another takes its place, and what is written there
        comes back.
    device
        What a task runs its networks on; a cluster gives it what that needs.
    title
        What the progress line says; empty for none.
    on_done
        Called in this process with each task's name and result, as soon as it is done.

    Raises
    ------
    SaiseldError
        The first one of a task. Tasks not yet begun are dropped, those running are finished.
    WorkError
        If the process of a task is killed; likewise. A cluster begins it again a few times first.
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
    here = function if folder is None else partial(function, folder)
    results: dict[str, T] = {}
    with (
        one_blas_thread(),
        Progress(
            *columns,
            console=Console(stderr=True),
            disable=not (title and tasks and _progress_shown),
        ) as progress,
    ):
        line = progress.add_task(title, total=len(tasks))
        if isinstance(jobs, Cluster):
            done = jobs.run(function, tasks, folder, device)
        elif jobs > 1 and len(tasks) > 1:
            done = _spread(here, tasks, jobs)
        else:
            done = _here(here, tasks, lambda s: progress.update(line, completed=len(results) + s))
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


def stop_as_ctrl_c_does() -> None:
    """Let SIGTERM, Ctrl-C and SIGHUP raise ``KeyboardInterrupt``, unless they are ignored."""
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def die_with_parent(*_: object) -> None:
    """Let this process end when the one that started it does, however that ends.

    It takes and ignores what a ``worker_init_fn`` of torch is given.
    """
    parent = parent_process()
    if parent is None:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch() -> None:
        parent.join()
        os._exit(1)

    # Where the system does not tell, and for a parent that was gone before it was asked to.
    threading.Thread(target=watch, daemon=True).start()


class _Worker(Generic[T]):
    """A process that does one task after the other."""

    def __init__(self, function: Callable[..., T]) -> None:
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs,), daemon=True)
        with _without_ctrl_c():
            self.process.start()
        theirs.close()
        self.task = ""
        self._send(function)

    def begin(self, task: str, arguments: tuple[Any, ...]) -> None:
        self.task = task
        self._send(arguments)

    def _send(self, what: object) -> None:
        with suppress(BrokenPipeError):  # it is dead; the answer will say so
            self.connection.send(what)

    def answer(self) -> T:
        """Return the result of the task, or raise what it raised."""
        try:
            done, result = self.connection.recv()
        except (EOFError, ConnectionResetError):
            raise WorkError(f"{one_line(self.task)}: {self._how_it_ended()}") from None
        if done:
            return result  # type: ignore[no-any-return]
        raise result

    def _how_it_ended(self) -> str:
        self.process.join()
        code = self.process.exitcode or 0
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        advice = "the same command goes on from there, with fewer --jobs if memory is short"
        return f"its process ended before it was done ({how}). What is finished is kept: {advice}"

    def stop(self, *, busy: bool) -> None:
        self.connection.close()
        if busy:
            self.process.terminate()

    def end(self) -> None:
        self.process.join(_LAST_WORDS_S)
        self.process.kill()
        self.process.join()


def _spread(
    function: Callable[..., T], tasks: Mapping[str, tuple[Any, ...]], jobs: int
) -> Iterator[tuple[str, T]]:
    left = iter(tasks.items())
    workers: list[_Worker[T]] = []
    busy: dict[Any, _Worker[T]] = {}
    failure: Exception | None = None
    try:
        with _one_blas_thread():
            for _, (name, arguments) in zip(range(jobs), left, strict=False):
                workers.append(worker := _Worker(function))
                busy[worker.connection] = worker
                worker.begin(name, arguments)
        while busy:
            for ready in wait(list(busy)):
                name = busy[ready].task
                try:
                    result = busy[ready].answer()
                except Exception as error:
                    failure = failure or error
                else:
                    yield name, result
                worker = busy.pop(ready)
                if failure is None and (following := next(left, None)) is not None:
                    busy[ready] = worker
                    worker.begin(*following)
        if failure is not None:
            raise failure
    finally:
        for worker in workers:
            worker.stop(busy=worker.connection in busy)
        for worker in workers:
            worker.end()


def _work(connection: Connection) -> None:
    """Do what comes through a connection until it closes: a function, then its arguments.

    It is no argument itself, since what it imports would load before this process can be ended.
    """
    die_with_parent()
    # Ctrl-C reaches every process of a terminal: the one that was asked tells the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_in_silence)
    with suppress(EOFError, KeyboardInterrupt, BrokenPipeError):
        function: Callable[..., Any] = connection.recv()
        while True:
            arguments = connection.recv()
            try:
                answer = True, function(*arguments)
            except Exception as error:
                error.add_note(traceback.format_exc())
                answer = False, error
            connection.send(answer)


def _end_in_silence(*_: object) -> None:
    """End as Ctrl-C does; compiled modules tell at length of an import that was interrupted."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    raise KeyboardInterrupt


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Let processes that start in this block never see Ctrl-C."""
    if sys.platform == "win32":
        yield
        return
    # The first process that is started starts this one too, which would let Ctrl-C in again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _one_blas_thread() -> Iterator[None]:
    """Let processes that start in this block use one BLAS thread each."""
    before = {name: os.environ.get(name) for name in ONE_BLAS_THREAD}
    os.environ.update(ONE_BLAS_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
