"""All benchmarks in one table: ``make bench``, under 15 minutes whatever the machine.

Each runs in a process of its own, one after the other, on scenes that are packaged or that it
makes, and is stopped where its time is over; what it printed becomes a row, that it failed too. The
table replaces the one in docs/performance.md, with the machine named. ``python -m benchmarks.table
NAME`` shows the rows of some, and writes nothing.
"""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

from saiseld.runtime.version import __version__

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- table of make bench -->\n", "<!-- end of table -->\n"

BENCHMARKS = (
    "parts",
    "runtimes",
    "cost",
    "hearing",
    "front_end",
    "labels",
    "evaluation --recordings 2 --frames 100",
    "decision --recordings 12 --frames 150",
    "training",
)
MOST_S = 14.5 * 60
"""Of all of them together; what is left is shared among those that are left."""


def main() -> None:
    """Run them and write the page."""
    rows, began = [], perf_counter()
    chosen = sys.argv[1:] or BENCHMARKS
    for number, name in enumerate(chosen):
        start = perf_counter()
        limit = 2 * (MOST_S - (start - began)) / (len(chosen) - number + 1)
        print(f"== {number + 1} of {len(chosen)}: {name}, {limit:.0f} s at most", flush=True)
        said = output(name, limit)
        rows.append((name, perf_counter() - start, said))
        print(said, f"({rows[-1][1]:.0f} s)", flush=True)
    if sys.argv[1:]:
        print(table(rows))
        return
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + BEGIN + table(rows) + END + after)
    print(f"written to {PAGE}")


def output(name: str, limit_s: float) -> str:
    """Return what a benchmark prints, and that it failed or took too long if it did."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", *f"benchmarks.{name}".split()],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that what it started can be ended with it
    )
    try:
        said, _ = process.communicate(timeout=limit_s)
        ended = f"(failed: exit {process.returncode})" if process.returncode else ""
    except subprocess.TimeoutExpired:
        ended = f"(stopped after {limit_s:.0f} s)"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    if ended.startswith("(stopped"):
        said, _ = process.communicate()
    return f"{said.strip()}\n{ended}".strip()


def machine() -> str:
    """Return what it was measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "onnxruntime", "torch"))
    load = f", load {os.getloadavg()[0]:.1f} when it began" if hasattr(os, "getloadavg") else ""
    return (
        f"saiseld {__version__} on {names[0] if names else platform.processor()}, "
        f"{os.cpu_count()} cores{load}; Python {platform.python_version()}, {packages}."
    )


def table(rows: list[tuple[str, float, str]]) -> str:
    """Return the table as Markdown."""
    lines = [f"\n{MACHINE}\n", "| `python -m benchmarks.` | seconds | |", "|---|---|---|"]
    for name, seconds, said in rows:
        told = "<br>".join(" ".join(line.split()) for line in said.replace("|", "/").splitlines())
        lines.append(f"| `{name}` | {seconds:.0f} | {told} |")
    return "\n".join(lines) + "\n\n"


MACHINE = machine()
"""Looked at before anything runs."""


if __name__ == "__main__":
    main()
