"""Commands killed at random moments, two at once, on a full or read-only disk: ``make soak``.

Each command is run once undisturbed; what it wrote is what every disturbed run must end with. A
kill may leave less, never something else under the name of a result; no process may be left two
seconds later; the same command must then finish with the same bytes. What two undisturbed runs
write differently (logs) is not compared and is told. Everything depends on ``--seed`` but for the
moment at which a signal arrives on a machine of another speed.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import os
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import psutil

WAYS = ("SIGKILL", "SIGTERM", "SIGINT", "worker")
GONE_AFTER_CPU_S = 2.0
"""A process that works longer than this after its run was killed outlives it."""
PATIENCE_S = 600.0
_DISK_BYTES = 500
_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, _CAPABILITY_VERSION = 24, 1, 0x20080522


@dataclass(frozen=True)
class Command:
    """A command line whose ``OUT`` is a new folder; with ``jobs`` it has processes to kill.

    ``unsettled`` files (logs, what a training goes on from) are not compared. A limit on the size
    of files stands for a full disk, but not where processes share memory, which it counts too.
    """

    name: str
    line: tuple[str, ...]
    jobs: int = 1
    unsettled: tuple[str, ...] = ()
    shares_memory: bool = False

    def arguments(self, out: Path) -> list[str]:
        return [part.replace("OUT", str(out)) for part in self.line]


@dataclass
class Found:
    """What came of the disturbed runs of a command."""

    command: str
    runs: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    uncompared: list[str] = field(default_factory=list)
    undisturbed_s: float = 0.0


def start(arguments: list[str], log: Path | int, prepare: Callable[[], None] = lambda: None) -> int:
    """Start ``saiseld`` in a process of its own session, with all modules loaded; return its id."""
    process = os.fork()
    if process:
        return process
    code = 70
    try:
        os.setsid()
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        told = log if isinstance(log, int) else os.open(log, flags)
        os.dup2(told, 1)
        os.dup2(told, 2)
        # As from a terminal, however this was started.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        # A test runner may have put files of its own in their place.
        sys.stdout = sys.stderr = os.fdopen(2, "w", closefd=False)
        prepare()
        sys.argv = ["saiseld", *arguments]
        from saiseld.__main__ import main

        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def ended(process: int, within_s: float = PATIENCE_S) -> int | None:
    """Return the exit code of a process (negative: the signal), None if it goes on."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    return None


def _works(process: psutil.Process) -> bool:
    """Return whether a process is more than an entry that nobody has collected."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _cpu_s(process: psutil.Process) -> float:
    try:
        return sum(process.cpu_times()[:2])
    except psutil.NoSuchProcess:
        return 0.0


def _left(children: dict[psutil.Process, float]) -> list[psutil.Process]:
    """Return the processes that go on, given with the CPU seconds they had when their run ended."""
    until = time.monotonic() + PATIENCE_S
    while left := [one for one in children if _works(one)]:
        at_work = [one for one in left if _cpu_s(one) - children[one] > GONE_AFTER_CPU_S]
        if at_work or time.monotonic() > until:
            return left
        time.sleep(0.05)
    return []


def digests(folder: Path) -> dict[str, str]:
    """Return the digest of every visible file."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


class Soak:
    """The trials of one command."""

    def __init__(self, command: Command, work: Path) -> None:
        self.command, self.work, self.found = command, work, Found(command.name)
        self.log = work / "log"
        begun = time.monotonic()
        self.expected = self._undisturbed("first")
        self.found.undisturbed_s = time.monotonic() - begun
        second = self._undisturbed("second")
        self.found.uncompared = sorted(
            n
            for n, d in self.expected.items()
            if second.get(n) != d or Path(n).name in command.unsettled
        )

    def _undisturbed(self, name: str) -> dict[str, str]:
        out = self.work / name
        code = ended(start(self.command.arguments(out), self.log))
        if code != 0:
            raise SystemExit(f"{self.command.name}: exit {code}\n{self.log.read_text()[-3000:]}")
        return digests(out)

    def kill(self, number: int, way: str, random: Random) -> None:
        """Disturb a run once, then let the same command finish."""
        out = self.work / f"killed{number}"
        process = start(self.command.arguments(out), self.log)
        code = ended(process, random.uniform(0.05, 1.0) * self.found.undisturbed_s)
        if code is None:
            code = self._disturb(process, way, random, number)
        self._compare(out, f"{way} {number}", whole=False)
        self.finish(out, f"{way} {number}")
        self.found.runs[way] += 1

    def _disturb(self, process: int, way: str, random: Random, number: int) -> int | None:
        own = psutil.Process(process)
        children = {child: _cpu_s(child) for child in own.children(recursive=True)}
        if way == "worker":
            workers = [c for c in children if "spawn_main" in " ".join(c.cmdline())]
            if workers:
                random.choice(workers).kill()
            code = ended(process)
        else:
            number_of = getattr(signal, way)
            (os.killpg if way == "SIGINT" else os.kill)(process, number_of)
            code = ended(process)
        if left := _left(children):
            self._note(f"{way} {number}: {len(left)} processes left")
            for one in left:
                one.kill()
        told = self.log.read_text(errors="replace")
        # One that ended by itself a moment before the signal is no finding.
        expected = {"SIGKILL": (-9, 0), "worker": (0, 2)}.get(way, (0, 130))
        if code not in expected or (way != "SIGKILL" and "Traceback" in told):
            self._note(f"{way} {number}: exit {code}: {told[-300:]!r}")
        return code

    def finish(self, out: Path, what: str) -> None:
        """Run the command to its end, and compare."""
        code = ended(start(self.command.arguments(out), self.log))
        if code != 0:
            self._note(f"{what}, again: exit {code}: {self.log.read_text()[-300:]!r}")
        self._compare(out, f"{what}, again", whole=True)

    def _compare(self, out: Path, what: str, *, whole: bool) -> None:
        found = digests(out) if out.exists() else {}
        for name, digest in self.expected.items():
            compared = name not in self.found.uncompared and (whole or name in found)
            if compared and found.get(name) != digest:
                self._note(f"{what}: {name} {'differs' if name in found else 'is not there'}")
        hidden = [p.name for p in out.rglob(".*.part*")] if whole and out.exists() else []
        if hidden:
            self._note(f"{what}: left {hidden}")

    def two_at_once(self) -> None:
        """Run the command twice into one folder: both finish, or one says why not."""
        out = self.work / "two"
        logs = [self.work / "log1", self.work / "log2"]
        processes = [start(self.command.arguments(out), log) for log in logs]
        for process, log in zip(processes, logs, strict=True):
            code, told = ended(process), log.read_text()
            refused = code == 2 and "error: " in told
            if (code != 0 and not refused) or "Traceback" in told:
                self._note(f"two at once: exit {code}: {told[-300:]!r}")
        self._compare(out, "two at once", whole=True)
        self.found.runs["two at once"] += 1

    def refused(self, what: str, prepare: Callable[[], None], folder: Path) -> None:
        """Run the command where it cannot write: one line, nothing half, and on it goes."""
        read, write = os.pipe()

        # Through a pipe, which no limit on files cuts.
        process = start(self.command.arguments(folder), write, prepare)
        code = ended(process)
        if code is None:
            os.killpg(process, signal.SIGKILL)
            os.waitpid(process, 0)
        os.close(write)
        with os.fdopen(read, errors="replace") as pipe:
            told = pipe.read()
        if code != 2 or "Traceback" in told or "error: " not in told:
            self._note(f"{what}: exit {code}: {told[-300:]!r}")
        self._compare(folder, what, whole=False)
        self.found.runs[what] += 1

    def full_disk(self) -> None:
        """Let no file grow beyond some bytes."""
        if self.command.shares_memory:
            return
        limit = (_DISK_BYTES, _DISK_BYTES)
        out = self.work / "full"
        self.refused("full disk", lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit), out)
        self.finish(out, "full disk")

    def read_only(self) -> None:
        """Let the folder be one that the run may not write into."""
        out = self.work / "readonly"
        out.mkdir(mode=0o555)
        self.refused("read-only", _bound_by_permissions, out)
        out.chmod(0o755)
        self.finish(out, "read-only")

    def _note(self, finding: str) -> None:
        self.found.findings.append(finding)
        print(f"{self.command.name}: {finding}", file=sys.stderr, flush=True)


def _bound_by_permissions() -> None:
    """Take from root, and from what it starts, what lets it write anywhere (capabilities(7))."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, 0, 0, 0)
    header, sets = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION), (ctypes.c_uint32 * 6)()
    libc.capget(header, sets)
    for number in range(3):  # effective, permitted, inheritable
        sets[number] &= ~(1 << _CAP_DAC_OVERRIDE)
    libc.capset(header, sets)


def table(found: list[Found], seed: int) -> str:
    """Return what came of it as a table."""
    ways = (*WAYS, "two at once", "full disk", "read-only")
    lines = [
        f"| command, seed {seed} | {' | '.join(ways)} | findings | undisturbed s | not compared |",
        "|---|" + "---:|" * (len(ways) + 2) + "---|",
    ]
    lines += [
        f"| {f.command} | {' | '.join(str(f.runs[w]) for w in ways)} | {len(f.findings)} | "
        f"{f.undisturbed_s:.1f} | {', '.join(f.uncompared) or '–'} |"
        for f in found
    ]
    sums = [sum(f.runs[w] for f in found) for w in ways]
    findings = sum(len(f.findings) for f in found)
    lines.append(f"| all | {' | '.join(map(str, sums))} | {findings} | | |")
    return "\n".join(lines)


def main() -> None:
    """Soak, print the table, and end with 1 if anything was found."""
    from tests.robustness.commands import commands

    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.robustness.soak")
    parser.add_argument("--kills", type=int, default=4, help="of each command, ways taking turns")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--command", action="append", help="only these; all by default")
    options = parser.parse_args()
    random, results = Random(options.seed), []
    with TemporaryDirectory() as work:
        known = commands(Path(work) / "inputs")
        for command in known:
            if options.command and command.name not in options.command:
                continue
            own = Path(work) / command.name.replace(" ", "-")
            own.mkdir()
            soak = Soak(command, own)
            ways = [way for way in WAYS if way != "worker" or command.jobs > 1]
            for number in range(options.kills):
                soak.kill(number, ways[number % len(ways)], random)
            soak.two_at_once()
            soak.full_disk()
            soak.read_only()
            results.append(replace(soak.found))
            print(table(results[-1:], options.seed).splitlines()[2], file=sys.stderr, flush=True)
    print(table(results, options.seed))
    sys.exit(any(found.findings for found in results))


if __name__ == "__main__":
    main()
