"""All benchmarks in one table: ``make bench``, under 15 minutes whatever the machine.

Each runs in a process of its own, one after the other, and is stopped where its time is over; what
it printed becomes a row. The table replaces the one in docs/performance.md, with the machine named.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

from saiseld.runtime.version import __version__

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- table of make bench -->\n", "<!-- end of table -->\n"

BENCHMARKS = (
    "parts",
    "runtimes",
    "runtimes --busy",
    "senses",
    "hearing",
    "front_end",
    "labels",
    "decision",
    "training",
)
LIMIT_S = 95.0
"""Of one benchmark: nine of them end within a quarter of an hour."""


def main() -> None:
    """Run them and write the page."""
    rows = []
    for name in BENCHMARKS:
        print(f"== {name}", flush=True)
        start = perf_counter()
        said = output(name)
        rows.append((name, perf_counter() - start, said))
        print(said, flush=True)
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + BEGIN + table(rows) + END + after)
    print(f"written to {PAGE}")


def output(name: str) -> str:
    """Return what a benchmark prints, or that it took too long."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", *f"benchmarks.{name}".split()],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            timeout=LIMIT_S,
        )
    except subprocess.TimeoutExpired as stopped:
        said = stopped.stdout or b""
        return f"{said.decode().strip()}\n(stopped after {LIMIT_S:.0f} s)".strip()
    return done.stdout.strip()


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
