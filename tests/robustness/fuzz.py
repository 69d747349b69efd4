"""Damaged files for every reader: ``make fuzz``, or ``python -m tests.robustness.fuzz --help``.

A reader must return sound values or refuse with one error of ours, of one line, in five seconds of
CPU time and bounded memory. Input ``i`` of a reader depends on the seed, the reader and ``i``
alone, so any finding is repeated by ``--reader NAME --seed S --only I``. With ``--keep FILE`` a run
that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

HANG_S = 5.0
"""An input that takes more CPU time hangs, on a busy machine as on a quiet one."""
STUCK_S = 120.0
"""A process that waits, or that no signal of its own reaches, is killed after this."""
MEMORY_MB = 1000
"""The most resident memory of the process while it reads an input, what it has loaded included."""
INPUTS_PER_PROCESS = 2500
_ADDRESS_SPACE = 24 << 30
_LONGEST_LINE = 3000


class Hang(BaseException):
    """Raised in a read that takes too long."""


@dataclass
class Tally:
    """What came of the inputs of one reader."""

    reader: str
    inputs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[tuple[int, str]] = field(default_factory=list)
    peak_mb: float = 0.0
    """The most resident memory of the process that read them."""
    cpu_s: float = 0.0

    def note(self, index: int, outcome: str, told: str) -> None:
        self.inputs += 1
        self.outcomes[outcome] += 1
        if outcome not in ("read", "refused"):
            self.findings.append((index, f"{outcome}: {told}"))

    def add(self, other: Tally) -> None:
        """Count the inputs of another process too."""
        self.inputs += other.inputs
        self.outcomes += other.outcomes
        self.findings += other.findings
        self.peak_mb = max(self.peak_mb, other.peak_mb)
        self.cpu_s += other.cpu_s

    @property
    def bad(self) -> int:
        return len(self.findings)


def damaged(
    reader: str, seed: int, index: int, examples: list[bytes], *, structured: bool = False
) -> bytes:
    """Return input ``index`` of a reader; ``structured`` changes parts that its format has."""
    from tests.robustness.mutate import mutated
    from tests.robustness.structured import changed

    random = Random(f"{reader} {seed} {index}{' structured' * structured}")
    example = random.choice(examples)
    if structured:
        return changed(reader, example, examples, random)
    return mutated(example, examples, random)


def try_reader(reader: Any, content: bytes, folder: Path) -> tuple[str, str]:
    """Return what a reader makes of a file: read, refused, crash, hang, nonsense or message."""
    from saiseld.runtime.errors import SaiseldError

    path = folder / reader.file
    path.write_bytes(content)
    signal.setitimer(signal.ITIMER_PROF, HANG_S)
    try:
        reader.read(path)
        outcome = "read", ""
    except SaiseldError as error:
        told = str(error)
        plain = told.isprintable() and len(told) <= _LONGEST_LINE
        outcome = ("refused", "") if plain else ("message", ascii(told)[:300])
    except AssertionError:
        outcome = "nonsense", _last_line()
    except Hang:
        outcome = "hang", _last_line()
    except Exception:
        outcome = "crash", _last_line()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return outcome


def _last_line() -> str:
    lines = traceback.format_exc().strip().splitlines()
    places = [line.strip() for line in lines if line.strip().startswith("File ")]
    return f"{lines[-1][:200]} at {places[-1][-120:] if places else '?'}"


def _begin() -> None:
    """Set limits, and turn a late alarm into `Hang`."""

    def late(*_: object) -> None:
        raise Hang

    signal.signal(signal.SIGPROF, late)
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)


def forget_memory_peak() -> None:
    """Let `memory_peak_mb` begin anew, where the system can (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def memory_peak_mb() -> float:
    """Return the most resident memory of this process since `forget_memory_peak`, in MB."""
    with suppress(OSError):
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1 << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _work(connection: Connection, reader: str, seed: int, indices: range, structured: bool) -> None:
    """Send index, outcome and what was told of every input, then memory and time."""
    from saiseld.runtime.parallel import die_with_parent
    from tests.robustness.readers import READERS

    die_with_parent()
    _begin()
    own = READERS[reader]
    with TemporaryDirectory() as scratch:
        first = Path(scratch) / "examples"
        first.mkdir()
        examples = [path.read_bytes() for path in own.examples(first)]
        folder = Path(scratch) / "input"
        folder.mkdir()
        highest = 0.0
        for index in indices:
            connection.send(("begin", index, "", ""))
            content = damaged(reader, seed, index, examples, structured=structured)
            forget_memory_peak()
            outcome, told = try_reader(own, content, folder)
            highest = max(highest, peak := memory_peak_mb())
            if peak > MEMORY_MB and outcome in ("read", "refused"):
                outcome, told = "memory", f"{peak:.0f} MB for {len(content)} bytes"
            connection.send(("end", index, outcome, told))
        usage = resource.getrusage(resource.RUSAGE_SELF)
        connection.send(("over", 0, highest, usage.ru_utime + usage.ru_stime))


def fuzz(reader: str, seed: int, count: int, first: int = 0, *, structured: bool = False) -> Tally:
    """Try inputs ``first`` to ``first + count - 1`` of a reader in processes of their own."""
    tally = Tally(reader)
    following, last = first, first + count
    # A small server imports everything once; each process is a copy of it, not of the caller,
    # whose memory and threads have no part in what is measured.
    context = get_context("forkserver")
    context.set_forkserver_preload(["tests.robustness.readers"])
    while following < last:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(
            target=_work,
            args=(theirs, reader, seed, range(following, last), structured),
            daemon=True,
        )
        process.start()
        theirs.close()
        following = _listen(ours, tally, following, last)
        process.join(STUCK_S)
        process.kill()
        process.join()
    return tally


def _listen(connection: Connection, tally: Tally, following: int, last: int) -> int:
    """Note what a process tells until it ends; return the input to go on with."""
    patience = 600.0  # to import everything and write the examples
    while connection.poll(patience):
        try:
            kind, index, one, two = connection.recv()
        except EOFError:
            tally.note(following, "crash", "the process died")
            return following + 1
        if kind == "over":
            tally.peak_mb, tally.cpu_s = max(tally.peak_mb, one), tally.cpu_s + two
            return last
        if kind == "begin":
            following, patience = index, STUCK_S
        else:
            tally.note(index, one, two)
            following = index + 1
    tally.note(following, "hang", "the process had to be killed")
    return following + 1


def table(tallies: list[Tally], seed: int) -> str:
    """Return the outcomes as a table."""
    kinds = ("read", "refused", "crash", "hang", "memory", "nonsense", "message")
    head = ("reader", "inputs", *kinds, "peak MB", "CPU s")
    rows = [
        (t.reader, *(f"{n:,}" for n in (t.inputs, *(t.outcomes[k] for k in kinds))),
         f"{t.peak_mb:.0f}", f"{t.cpu_s:.0f}")
        for t in tallies
    ]  # fmt: skip
    sums = [sum(t.inputs for t in tallies), *(sum(t.outcomes[k] for t in tallies) for k in kinds)]
    peak, spent = max(t.peak_mb for t in tallies), sum(t.cpu_s for t in tallies)
    rows.append((f"all, seed {seed}", *(f"{n:,}" for n in sums), f"{peak:.0f}", f"{spent:.0f}"))
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [
        f"| {' | '.join(c.rjust(w) if i else c.ljust(w) for i, (c, w) in cells)} |"
        for cells in (list(enumerate(zip(row, widths, strict=True))) for row in [head, *rows])
    ]
    rule = "|" + "|".join("-" * (w + 1) + (":" if i else "-") for i, w in enumerate(widths)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def fuzz_kept(reader: str, options: argparse.Namespace) -> Tally:
    """Try the inputs of a reader some at a time, and keep what came of them in a file."""
    whole, done = Tally(reader), dict[int, Tally]()
    own = [reader, options.seed, options.structured]
    if options.keep is not None and options.keep.exists():
        for line in options.keep.read_text().splitlines():
            found = json.loads(line)
            if found["of"] == own:
                outcomes = Counter(found["tally"].pop("outcomes"))
                done[found["first"]] = Tally(**found["tally"], outcomes=outcomes)
    last = options.first + options.inputs
    for first in range(options.first, last, INPUTS_PER_PROCESS):
        count = min(INPUTS_PER_PROCESS, last - first)
        if first not in done or done[first].inputs < count:
            begun = time.monotonic()
            tally = fuzz(reader, options.seed, count, first, structured=options.structured)
            done[first] = tally
            if options.keep is not None:
                record = {"of": own, "first": first, "wall_s": time.monotonic() - begun}
                record["tally"] = {**vars(tally), "outcomes": dict(tally.outcomes)}
                with options.keep.open("a") as file:
                    file.write(json.dumps(record) + "\n")
        whole.add(done[first])
    return whole


def main() -> None:
    """Fuzz, print the table, and end with 1 if anything was found."""
    from tests.robustness.readers import READERS

    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.robustness.fuzz")
    parser.add_argument("--inputs", type=int, default=1000, help="for each reader")
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--reader", choices=READERS, action="append", help="all by default")
    parser.add_argument("--only", type=int, help="show what this one input does")
    parser.add_argument(
        "--structured", action="store_true", help="change parts of a format, not bytes"
    )
    parser.add_argument("--keep", type=Path, help="file of what is done, to go on with")
    options = parser.parse_args()
    readers = options.reader or list(READERS)
    if options.only is not None:
        _show(READERS[readers[0]], readers[0], options)
        return
    tallies = []
    for reader in readers:
        tallies.append(fuzz_kept(reader, options))
        print(table(tallies[-1:], options.seed).splitlines()[2], file=sys.stderr, flush=True)
        for index, told in tallies[-1].findings[:20]:
            print(f"{reader}, seed {options.seed}, input {index}: {told}", file=sys.stderr)
    print(table(tallies, options.seed))
    sys.exit(any(tally.bad for tally in tallies))


def _show(reader: Any, name: str, options: argparse.Namespace) -> None:
    with TemporaryDirectory() as scratch:
        first, folder = Path(scratch) / "examples", Path(scratch) / "input"
        first.mkdir()
        folder.mkdir()
        examples = [path.read_bytes() for path in reader.examples(first)]
        path = folder / reader.file
        content = damaged(name, options.seed, options.only, examples, structured=options.structured)
        path.write_bytes(content)
        reader.read(path)


if __name__ == "__main__":
    main()
