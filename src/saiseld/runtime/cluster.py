"""The same work on the machines of a Ray cluster: one task a recording, begun again if lost.

A task is the very function that this machine would call, with one thread, by the same versions of
everything that computes. What all tasks have in common is put into the object store once. Networks
are loaded once by each process and kept there: they cannot be shared between processes, and their
files are a few megabytes that all processes of a machine read from its page cache.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import signal
import socket
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from itertools import islice
from logging.handlers import QueueHandler
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from saiseld.runtime.cache import content_digest
from saiseld.runtime.devices import Device, DeviceName
from saiseld.runtime.errors import DeviceError, WorkError, message_of, one_line
from saiseld.runtime.files import (
    leave_leftovers,
    remove_leftovers,
    temporary_folder,
    write_bytes,
)
from saiseld.runtime.threads import ONE_BLAS_THREAD, one_blas_thread
from saiseld.runtime.version import __version__

T = TypeVar("T")

RETRIES = 3
"""Times that a task is begun again after its worker was lost; the next loss is an error."""

_REACHED_WITHIN_S = 5.0
_LOOK_ROUND_S = 30.0
"""Time without any answer after which it is asked whether machines are left."""
_AHEAD = 2
"""Tasks handed out for each that can run: the next one's way there takes no time of its own."""
_PACKAGE = Path(__file__).parents[1]
_SETTINGS = "SAISELD_"

_log = logging.getLogger(__name__)


@contextmanager
def connected(address: str) -> Iterator[Cluster]:
    """Yield the cluster at an address, ``host:port``; ``local`` makes one of this machine.

    Raises
    ------
    DeviceError
        If it cannot be reached, or Ray is not installed.
    """
    if find_spec("ray") is None:
        raise DeviceError(
            "--cluster", expected="ray", found="none", advice="pip install 'saiseld[cluster]'"
        )
    if address != "local":
        _check_reachable(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anyone
    import ray

    before = signal.getsignal(signal.SIGTERM)
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        own = {"include_dashboard": False, "_temp_dir": folder} if address == "local" else {}
        try:
            try:
                ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **own)
            except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
                raise _unreachable(address, message_of(error)) from error
            if before is not None and threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, before)  # Ray has put its own there.
            yield Cluster()
        finally:
            ray.shutdown()


class Cluster:
    """The cluster that this process is connected to (`connected`)."""

    def device_of(self, device: DeviceName) -> Device:
        """Return what its tasks run networks on; ``auto`` takes GPUs where it has any.

        Raises
        ------
        DeviceError
            If it has no such device.
        """
        gpus = self._count("GPU")
        if device == "mps" or (device == "cuda" and not gpus):
            found = "only cpu" + (", cuda" if gpus else "")
            raise DeviceError("cluster", expected=device, found=found, advice="Use auto or cpu")
        return "cuda" if gpus and device != "cpu" else "cpu"

    def run(
        self,
        function: Callable[..., T],
        tasks: Mapping[str, tuple[Any, ...]],
        folder: Path | None,
        device: Device,
    ) -> Iterator[tuple[str, T]]:
        """Yield each task's name and result as soon as it is done.

        Parameters
        ----------
        function, tasks, folder, device
            As of `saiseld.runtime.parallel.run_all`.

        Raises
        ------
        DeviceError
            If nothing in the cluster can run them, or a machine computes with other versions.
        WorkError
            If the worker of a task was lost again and again, or no machine is left.
        SaiseldError
            The first one of a task. What was handed out before is finished.
        """
        if not tasks:
            return
        needed = "CPU" if device == "cpu" else "GPU"
        if not self._count(needed):
            raise DeviceError("cluster", expected=f"a {needed}", found="none")
        # Whoever sees this in the folder sees the driver's own disk.
        with nullcontext() if folder is None else temporary_folder(folder) as seen:
            begun = _Run(function, tasks, folder, seen, needed)
            yield from begun.results(lambda: _AHEAD * self._count(needed))

    def _count(self, resource: str) -> int:
        import ray

        return int(ray.cluster_resources().get(resource, 0))


@dataclass(frozen=True)
class _Job:
    """What all tasks of a run have in common."""

    function: Callable[..., Any]
    common: dict[int, Any]
    folder: Path | None
    seen: Path | None
    here: Path
    settings: dict[str, str]
    level: int


@dataclass(frozen=True)
class _Answer:
    """What came of a task: its result or error, its messages, and files that are not there yet.

    Contents are by path within the run's folder, in the order in which they were written.
    """

    result: Any
    error: Exception | None
    records: list[logging.LogRecord]
    files: dict[str, bytes]


class _Run:
    """Tasks that are handed out, and handed out again where their worker is lost."""

    def __init__(
        self,
        function: Callable[..., Any],
        tasks: Mapping[str, tuple[Any, ...]],
        folder: Path | None,
        seen: Path | None,
        needed: str,
    ) -> None:
        import ray

        rows = list(tasks.values())
        columns = enumerate(zip(*rows, strict=True))
        alike = {i: column[0] for i, column in columns if all(a is column[0] for a in column)}
        settings = {k: v for k, v in os.environ.items() if k.startswith(_SETTINGS)}
        level = logging.getLogger("saiseld").getEffectiveLevel()
        job = _Job(function, alike, folder, seen, Path.cwd(), settings, level)
        self._job = ray.put(job)
        self._folder, self._tasks = folder, tasks
        self._remote = ray.remote(_travelling())
        self._resources = {
            "num_cpus": 1,
            "num_gpus": 1 if needed == "GPU" else 0,
            "max_retries": 0,  # they are begun again below, and the user is told
            "scheduling_strategy": "SPREAD",
        }
        self._busy: dict[Any, str] = {}
        self._lost: Counter[str] = Counter()
        self._failure: Exception | None = None

    def _begin(self, name: str) -> None:
        import ray

        # References in a list are not resolved before the versions are compared.
        own = ray.put(self._tasks[name])
        task = self._remote.options(name=name, **self._resources)
        answer = task.remote(installed(), [self._job, own])
        self._busy[answer] = name

    def results(self, room: Callable[[], int]) -> Iterator[tuple[str, Any]]:
        """Yield names and results; ``room`` says how many tasks may be handed out at a time."""
        import ray

        left = iter(self._tasks)
        try:
            while True:
                if self._failure is None:
                    for name in islice(left, max(room() - len(self._busy), 0)):
                        self._begin(name)
                if not self._busy:
                    break
                ready, _ = ray.wait(list(self._busy), timeout=_LOOK_ROUND_S)
                if not ready and not room():
                    raise WorkError("no machine is left in the cluster. What is finished is kept")
                for answer in ready:
                    name = self._busy.pop(answer)
                    found = self._answer(name, answer)
                    if found is not None:
                        yield name, found.result
            if self._lost and self._folder is not None:  # they may have been writing
                remove_leftovers(self._folder, deep=True, again=True)
            if self._failure is not None:
                raise self._failure
        finally:
            for answer in self._busy:
                with suppress(ray.exceptions.RayError):
                    ray.cancel(answer, force=True)

    def _answer(self, name: str, answer: Any) -> _Answer | None:
        """Return a task's answer with its files written; None where it failed or was lost."""
        import ray

        try:
            machine, versions, came = ray.get(answer)
            if came is None:
                raise _other_versions(machine, versions)
            for record in came.records:
                logging.getLogger(record.name).handle(record)
            if came.error is not None:
                raise came.error
            for path, content in came.files.items():
                assert self._folder is not None
                write_bytes(self._folder / path, content)
        except ray.exceptions.RayTaskError:
            raise
        except ray.exceptions.RayError as error:
            self._begin_again(name, message_of(error))
        except Exception as error:
            self._failure = self._failure or error
        else:
            return came  # type: ignore[no-any-return]
        return None

    def _begin_again(self, name: str, why: str) -> None:
        self._lost[name] += 1
        times = self._lost[name]
        records = f"{one_line(name)}: its worker was lost ({one_line(why, 200)})"
        if times > RETRIES:
            kept = "What is finished is kept: the same command goes on from there"
            self._failure = self._failure or WorkError(f"{records}, {times} times. {kept}")
        elif self._failure is None:
            _log.warning("%s; begun again, %d of %d times", records, times, RETRIES)
            self._begin(name)


def _travelling() -> Callable[[dict[str, str], list[Any]], tuple[str, dict[str, str], Any]]:
    """Return the task that Ray runs; it goes there as code, not by its name.

    So a machine with another saiseld, or none, can still say so.
    """

    def task(
        device: dict[str, str], references: list[Any]
    ) -> tuple[str, dict[str, str], _Answer | None]:
        import socket

        machine = socket.gethostname()
        try:
            from saiseld.runtime.cluster import installed, perform
        except ImportError:
            return machine, {"saiseld": "none, or one without clusters"}, None
        found = installed()
        return machine, found, perform(references) if found == device else None

    return task


def perform(references: list[Any]) -> _Answer:
    """Do a task on a machine of the cluster, in the object store of which it lies."""
    import ray

    messages: SimpleQueue[logging.LogRecord] = SimpleQueue()
    result, failure = None, None
    files: dict[str, bytes] = {}
    try:
        job, arguments = ray.get(references)
        os.environ.update(ONE_BLAS_THREAD | job.settings)
        leave_leftovers()
        with suppress(OSError):
            os.chdir(job.here)  # relative paths are meant from there
        for place, value in job.common.items():
            arguments = (*arguments[:place], value, *arguments[place + 1 :])
        with _listening(messages, job.level), one_blas_thread():
            result, files = _done(job, arguments)
    except Exception as error:
        failure = error
    records = [messages.get() for _ in range(messages.qsize())]
    return _Answer(result, failure, records, files)


def _done(job: _Job, arguments: tuple[Any, ...]) -> tuple[Any, dict[str, bytes]]:
    """Return the result, and the files that the driver has to write."""
    if job.folder is None or job.seen is None:
        return job.function(*arguments), {}
    if job.seen.is_dir():
        return job.function(job.folder, *arguments), {}
    with tempfile.TemporaryDirectory(prefix="saiseld-") as own:
        result = job.function(Path(own), *arguments)
        written = [path for path in Path(own).rglob("*") if path.is_file()]
        written.sort(key=lambda path: path.stat().st_mtime_ns)
        return result, {str(path.relative_to(own)): path.read_bytes() for path in written}


@contextmanager
def _listening(messages: SimpleQueue[logging.LogRecord], level: int) -> Iterator[None]:
    """Collect what is logged in this block."""
    logger, handler = logging.getLogger("saiseld"), QueueHandler(messages)
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@cache
def installed() -> dict[str, str]:
    """Return what computes in this process: saiseld with its weights, and the packages it needs."""
    files = sorted(p for p in _PACKAGE.rglob("*") if p.is_file() and p.suffix != ".pyc")
    code = hashlib.blake2b("".join(map(content_digest, files)).encode(), digest_size=4)
    found = {"saiseld": f"{__version__} ({code.hexdigest()})"}
    with suppress(PackageNotFoundError):
        needed = [line for line in requires("saiseld") or () if "extra ==" not in line]
        names = sorted(re.split(r"[^\w.-]", line)[0] for line in needed)
        # What follows the plus tells builds for CPUs and for GPUs apart.
        found |= {name: version(name).partition("+")[0] for name in names}
    return found


def _other_versions(machine: str, found: dict[str, str]) -> DeviceError:
    ours = installed()
    differing = [name for name in ours | found if ours.get(name) != found.get(name)]
    if found.keys() == {"saiseld"}:
        differing = ["saiseld"]
    here, there = (
        ", ".join(f"{name} {of.get(name, 'missing')}" for name in differing) for of in (ours, found)
    )
    return DeviceError(
        "cluster",
        place=f"machine {machine}",
        expected=f"{here}, as here",
        found=there,
        advice="Install the same on every machine",
    )


def _check_reachable(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not (host and port.isascii() and port.isdigit()):
        raise DeviceError("--cluster", expected="local, or host:port", found=repr(address))
    try:
        socket.create_connection((host, int(port)), timeout=_REACHED_WITHIN_S).close()
    except (OSError, OverflowError) as error:
        raise _unreachable(address, message_of(error)) from error


def _unreachable(address: str, found: str) -> DeviceError:
    return DeviceError(
        "--cluster",
        place=address,
        expected="a Ray cluster that this machine belongs to",
        found=found,
        advice=f"Start one by ray start --head; join it by ray start --address={address}; "
        "if it has a token, set RAY_AUTH_MODE=token",
    )
