"""Foreign bytes decoded in a process of their own, with limits that the kernel keeps.

A decoder can crash, take all memory or never end. Whoever must go on answering lets a child process
open what others sent. Nothing that the child returns is unpickled: it answers in JSON, so a decoder
that was taken over can lie, but not run code in its parent.
"""

from __future__ import annotations

import ctypes
import math
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import msgspec

from saiseld.runtime import errors
from saiseld.runtime.errors import InputError, SaiseldError, WorkError, message_of
from saiseld.runtime.parallel import die_with_parent
from saiseld.runtime.threads import ONE_BLAS_THREAD

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_LONGEST_ANSWER = 1 << 20
_PRELOADED = ("saiseld.runtime.isolation",)
_starting = threading.Lock()
_PARTS = ("place", "expected", "found", "advice")


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """What a child process may take.

    Parameters
    ----------
    memory_bytes
        Memory beyond what the process has when it begins (``RLIMIT_AS`` and ``RLIMIT_DATA``).
    cpu_s, wall_s
        Processor time and time by the clock, in seconds; infinite for none.
    open_files
        File descriptors.
    file_bytes
        Largest file that it may write; 0 for none.
    has_address_limit
        Whether address space is limited too: not where a driver reserves more than there is memory.
    niceness
        By how much it yields to who must go on answering.
    """

    memory_bytes: int = 1 << 30
    cpu_s: float = 60.0
    wall_s: float = 120.0
    open_files: int = 64
    file_bytes: int = 0
    has_address_limit: bool = True
    niceness: int = 5


class LimitExceededError(WorkError):
    """A child process that was ended by its limits, or by what it decoded."""


def call_isolated(
    function: Callable[..., Any],
    *arguments: Any,
    limits: ProcessLimits | None = None,
    preload: tuple[str, ...] = (),
) -> Any:
    """Return ``function(*arguments)``, worked out in a child process with limits.

    Parameters
    ----------
    function
        Of module level; its result is a JSON value.
    arguments
        What can be sent to another process.
    limits
        What the child may take.
    preload
        Modules that the process which all children are forked from imports once.

    Raises
    ------
    SaiseldError
        What the function raised, its fields kept.
    LimitExceededError
        If the child took too long or too much, or was ended by what it decoded.
    """
    limits = limits or ProcessLimits()
    context: Any = get_context("spawn" if sys.platform == "win32" else "forkserver")
    if sys.platform != "win32":
        _start_forkserver(preload)
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(theirs, limits, function, arguments))
    process.daemon = True
    process.start()
    theirs.close()
    try:
        answer = _answer(ours, process, limits)
    finally:
        ours.close()
        process.kill()
        process.join()
        process.close()
    if "error" in answer:
        raise _error_of(answer["error"])
    return answer.get("result")


def _start_forkserver(preload: tuple[str, ...]) -> None:
    """Start what children are forked from, unless it runs: a process without threads of its own."""
    from multiprocessing import forkserver

    with _starting:
        before = {name: os.environ.get(name) for name in ONE_BLAS_THREAD}
        os.environ.update(ONE_BLAS_THREAD)
        try:
            forkserver.set_forkserver_preload([*_PRELOADED, *preload])
            forkserver.ensure_running()
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


def _answer(ours: Connection, process: BaseProcess, limits: ProcessLimits) -> dict[str, Any]:
    if not ours.poll(limits.wall_s):
        raise LimitExceededError(f"it took longer than {limits.wall_s:.0f} s to look at")
    try:
        content = ours.recv_bytes(_LONGEST_ANSWER)
        answer = msgspec.json.decode(content)
    except EOFError:
        process.join(5)
        raise LimitExceededError(_end_of(process, limits)) from None
    except (OSError, ValueError, RecursionError):
        raise LimitExceededError("its process answered nonsense") from None
    if not isinstance(answer, dict):
        raise LimitExceededError("its process answered nonsense")
    return answer


def _end_of(process: BaseProcess, limits: ProcessLimits) -> str:
    code = process.exitcode or 0
    if code == -signal.SIGXCPU:
        return f"it took more than {limits.cpu_s:.0f} s of processor time to look at"
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return f"it ended the process that looked at it ({how})"


def _child(
    theirs: Connection,
    limits: ProcessLimits,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    confine(limits)
    die_with_parent()
    try:
        answer: dict[str, Any] = {"result": function(*arguments)}
    except MemoryError:
        answer = {"error": {"kind": "memory", "message": _too_much(limits)}}
    except Exception as error:
        answer = {"error": _encoded(error, limits)}
    theirs.send_bytes(msgspec.json.encode(answer))
    theirs.close()
    # What was loaded need not be taken down in order: the answer is given.
    os._exit(0)


def confine(limits: ProcessLimits) -> None:
    """Take from this process what decoding does not need: memory, time, files, network."""
    if sys.platform == "win32":
        return
    import resource

    without_network()
    os.nice(limits.niceness)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, limits.file_bytes)
    _lower(resource.RLIMIT_NOFILE, limits.open_files)
    if math.isfinite(limits.cpu_s):
        # A signal that says why, then the end.
        _lower(resource.RLIMIT_CPU, _cpu_spent_s() + math.ceil(limits.cpu_s), beyond=1)
    if (mapped := _mapped_bytes()) is not None:
        if limits.has_address_limit:
            _lower(resource.RLIMIT_AS, mapped[0] + limits.memory_bytes)
        _lower(resource.RLIMIT_DATA, mapped[1] + limits.memory_bytes)


def limit_cpu_s(seconds: float) -> None:
    """Let the system end this process (``SIGXCPU``) after so much more processor time.

    May be set again, for a process that works on one thing after the other.
    """
    if sys.platform == "win32":
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (_cpu_spent_s() + math.ceil(seconds), hard))


def _cpu_spent_s() -> int:
    import resource

    spent = resource.getrusage(resource.RUSAGE_SELF)
    return math.ceil(spent.ru_utime + spent.ru_stime)


def _lower(which: int, value: int, beyond: int = 0) -> None:
    """Set a limit of this process unless it is lower already, and the hard one ``beyond`` it."""
    import resource

    _, hard = resource.getrlimit(which)
    most = value + beyond if hard == resource.RLIM_INFINITY else min(value + beyond, hard)
    with suppress(OSError, ValueError):
        resource.setrlimit(which, (min(value, most), most))


def _mapped_bytes() -> tuple[int, int] | None:
    """Return address space and data of this process, None where the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
            pages = file.read().split()
    except OSError:
        return None
    page = os.sysconf("SC_PAGE_SIZE")
    return int(pages[0]) * page, int(pages[5]) * page


def without_network() -> bool:
    """Leave this process without a network where the system lets it; return whether it did."""
    if sys.platform != "linux":
        return False
    try:
        unshare = ctypes.CDLL(None, use_errno=True).unshare
    except (OSError, AttributeError):
        return False
    # Without privileges a user namespace of its own is needed for a network namespace.
    return any(unshare(flags) == 0 for flags in (_CLONE_NEWNET, _CLONE_NEWUSER | _CLONE_NEWNET))


def _too_much(limits: ProcessLimits) -> str:
    return f"it needs more than {limits.memory_bytes >> 20} MiB of memory to look at"


def _encoded(error: Exception, limits: ProcessLimits) -> dict[str, str]:
    cause: BaseException | None = error
    while cause is not None:  # decoders wrap what ended them
        if isinstance(cause, MemoryError) or "annot allocate memory" in str(cause):
            return {"kind": "memory", "message": _too_much(limits)}
        cause = cause.__cause__
    kind = type(error).__name__
    if isinstance(error, InputError):
        return {"kind": kind, "source": error.source, **{p: getattr(error, p) for p in _PARTS}}
    if isinstance(error, SaiseldError):
        return {"kind": kind, "message": str(error)}
    return {"kind": "other", "message": f"{kind}: {message_of(error)}"}


def _error_of(encoded: Any) -> SaiseldError:
    """Return the error that a child told; only kinds of ours are made."""
    if not isinstance(encoded, dict):
        return LimitExceededError("its process answered nonsense")
    kind = getattr(errors, str(encoded.get("kind")), None)
    if isinstance(kind, type) and issubclass(kind, InputError) and "source" in encoded:
        parts = {part: str(encoded.get(part, "")) for part in _PARTS}
        return kind(str(encoded["source"]), **parts)
    return LimitExceededError(errors.one_line(encoded.get("message", "")))
