"""All benchmarks in one table: ``make bench``, under 15 minutes whatever the machine.

Each runs in a process of its own, one after the other, on scenes that are packaged or that it
makes, and is stopped where its time is over. The figures that matter are read from what it printed;
their table replaces the one in docs/performance.md, with the machine named, and a figure that could
not be had says so. All that was printed goes into ``--log``, for the research log. ``python -m
benchmarks.table NAME`` runs some, and writes nothing.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import signal
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from saiseld.runtime.version import __version__

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- table of make bench -->\n", "<!-- end of table -->\n"

BENCHMARKS = (
    "parts --rounds 2",
    "startup",
    "runtimes",
    "cost",
    "hearing",
    "front_end",
    "labels",
    "evaluation --recordings 2 --frames 100",
    "decision --recordings 12 --frames 150",
    "growth",
    "training",
)
MOST_S = 14.5 * 60
"""Of all of them together; what is left is shared among those that are left."""


NUMBER = r"([\d.,]+)"


class Figure(NamedTuple):
    """A figure of the table: the group of a pattern in what a benchmark printed."""

    what: str
    benchmark: str
    pattern: str
    unit: str
    before: str
    """As the last round measured it, on another processor."""


FIGURES = (
    Figure(
        "a frame with picture, default (INT8)",
        "parts",
        rf"both branches\D+[\d.]+ +{NUMBER}",
        "ms",
        "47.7",
    ),
    Figure("the same, `--precise`", "parts", rf"both branches\D+{NUMBER}", "ms", "47.7"),
    Figure("overlay video, a frame", "parts", rf"overlay video +[\d.]+ +{NUMBER}", "ms", "20.3"),
    Figure(
        "audio branch alone, a frame",
        "hearing",
        rf"recording to table.*?: +{NUMBER} ms",
        "ms",
        "4.9",
    ),
    Figure("`saiseld --help`", "startup", rf"--help +{NUMBER}", "s", "0.19"),
    Figure("before the first frame", "startup", rf"with pictures +{NUMBER}", "s", "3.28"),
    Figure("the same, by sound alone", "startup", rf"by sound +{NUMBER}", "s", "3.28"),
    Figure("live with picture, an hour", "cost", rf"live: {NUMBER}", "CPU s", "2,326"),
    Figure("front end, against frame by frame", "front_end", rf"ratio: +{NUMBER}", "x", "11.2"),
    Figure("labels, against the operator form", "labels", rf"ratio: +{NUMBER}", "x", "67.4"),
    Figure(
        "scoring, against a serial loop, cold",
        "evaluation",
        rf"jobs, cold cache.*?{NUMBER} x, every",
        "x",
        "6.0",
    ),
    Figure("the same, warm", "evaluation", rf"jobs, warm cache.*?{NUMBER} x, every", "x", "11.3"),
    Figure(
        "training step, paper size, against a plain loop",
        "training",
        rf"paper.*?{NUMBER} x",
        "x",
        "1.12",
    ),
    Figure("the same, compact size", "training", rf"compact.*?{NUMBER} x", "x", "1.16"),
    Figure(
        "growth with length, with video: exponent",
        "growth",
        rf"length, with video.*?exponent {NUMBER}",
        "",
        "",
    ),
    Figure("growth with channels", "growth", rf"channels.*?exponent {NUMBER}", "", ""),
    Figure("growth of labels with sources", "growth", rf"sources.*?exponent {NUMBER}", "", ""),
    Figure("growth of the overlay with pixels", "growth", rf"overlay.*?exponent {NUMBER}", "", ""),
    Figure(
        "speed-up of `--jobs 2`, 20 recordings", "growth", rf"speed-up.*?20: {NUMBER} x", "x", ""
    ),
)


def main() -> None:
    """Run them and write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--log", type=Path, default=Path("bench.md"))
    options = parser.parse_args()
    rows, began = [], perf_counter()
    chosen = options.names or BENCHMARKS
    for number, name in enumerate(chosen):
        start = perf_counter()
        limit = 2 * (MOST_S - (start - began)) / (len(chosen) - number + 1)
        print(f"== {number + 1} of {len(chosen)}: {name}, {limit:.0f} s at most", flush=True)
        said = output(name, limit)
        rows.append((name, perf_counter() - start, said))
        print(said, f"({rows[-1][1]:.0f} s)", flush=True)
    options.log.write_text(log(rows))
    if options.names:
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
    flags = next((line for line in lines if line.startswith("flags")), "")
    # Networks take about half of the time with these.
    vectors = "AVX-512" if "avx512f" in flags else "no AVX-512"
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "onnxruntime", "torch"))
    load = f", load {os.getloadavg()[0]:.1f} when it began" if hasattr(os, "getloadavg") else ""
    return (
        f"saiseld {__version__} on {names[0] if names else platform.processor()}, "
        f"{vectors}, {os.cpu_count()} cores{load}; Python {platform.python_version()}, {packages}."
    )


def table(rows: list[tuple[str, float, str]]) -> str:
    """Return the figures as Markdown."""
    said = {name.split()[0]: text for name, _, text in rows}
    lines = [f"\n{MACHINE}\n", "| what | before | now | |", "|---|---|---|---|"]
    for figure in FIGURES:
        if figure.benchmark in said:
            found = re.search(figure.pattern, said[figure.benchmark], re.DOTALL)
            now = f"{found[1]} {figure.unit}" if found else "not measured"
            before = f"{figure.before} {figure.unit}" if figure.before else ""
            lines.append(f"| {figure.what} | {before} | {now} | `{figure.benchmark}` |")
    return "\n".join(lines) + "\n\n"


def log(rows: list[tuple[str, float, str]]) -> str:
    """Return all that was printed, as Markdown."""
    lines = [MACHINE, ""]
    for name, seconds, said in rows:
        lines += [
            f"`python -m benchmarks.{name}`, {seconds:.0f} s:",
            "",
            "```text",
            said,
            "```",
            "",
        ]
    return "\n".join(lines)


MACHINE = machine()
"""Looked at before anything runs."""


if __name__ == "__main__":
    main()
