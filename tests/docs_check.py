"""Run what the tutorials and the README show, in a clean folder; `make docs-check`, no test itself.

    python -m tests.docs_check [PAGE...]

Commands of a page run in order in one folder with ``meeting.wav`` and ``meeting.mp4`` (the
packaged scene). Lines of a console block without ``$`` are output that must be printed; ``…`` in
them stands for anything. Installing is left to the Makefile.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = (
    "README.md",
    "docs/tutorials/first-recording.md",
    "docs/tutorials/train-on-your-corpus.md",
)
BLOCK = re.compile(
    r"^```(console|python)\n(.*?)^```|((?:^    \S[^\n]*\n)+)", re.MULTILINE | re.DOTALL
)
NOT_RUN = re.compile(
    r"make |pip |python3 -m venv|\S*pip install"
    # Three lines of the README speak of data that is nobody's to ship.
    r"|saiseld (evaluate predictions/|table1 --data STAIRS26|submit candidates/)"
)


def steps(page: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Yield (kind, command or code, lines of output) of a page."""
    for kind, fenced, indented in BLOCK.findall(page.read_text()):
        if kind == "python":
            yield "python", fenced, []
            continue
        command, output = "", list[str]()
        prompt = "$ " if kind else "    "
        for line in (fenced or indented).splitlines():
            if line.startswith(prompt):
                if command:
                    yield "shell", command, output
                command, output = line.removeprefix(prompt).partition(" #")[0].strip(), []
            elif command:
                output.append(line)
        if command:
            yield "shell", command, output


def missing(expected: list[str], printed: str) -> list[str]:
    """Return the expected lines that are not printed, in their order."""
    rest, lines = [line.rstrip() for line in printed.splitlines()], []
    for line in filter(str.strip, expected):
        pattern = ".*".join(re.escape(part) for part in line.rstrip().split("…"))
        at = next((n for n, one in enumerate(rest) if re.fullmatch(pattern, one)), None)
        if at is None:
            lines.append(line)
        else:
            rest = rest[at + 1 :]
    return lines


def check(page: Path, folder: Path, environment: dict[str, str]) -> list[str]:
    """Run a page's steps in a folder; return what went wrong."""
    wrong = []
    for kind, text, expected in steps(page):
        if kind == "shell" and NOT_RUN.match(text):
            continue
        command = [sys.executable, "-c", text] if kind == "python" else shlex.split(text)
        if command[0].removeprefix(".venv/bin/") == "saiseld":
            command[:1] = [sys.executable, "-m", "saiseld"]
        started = time.monotonic()
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        first = text.splitlines()[0]
        print(f"{time.monotonic() - started:6.1f} s  {page.name}: {first}", flush=True)
        if done.returncode:
            wrong.append(f"{page.name}: {first}: exit code {done.returncode}\n{done.stdout}")
            break
        if lines := missing(expected, done.stdout):
            shown = "\n".join(lines)
            wrong.append(f"{page.name}: {first}: not printed:\n{shown}\nbut:\n{done.stdout}")
    return wrong


def main(names: list[str]) -> int:
    """Check pages; return how many faults there are."""
    from saiseld.pipeline.weights import DEMO

    wrong = []
    for name in names or PAGES:
        with tempfile.TemporaryDirectory(prefix="docs-") as folder:
            (scene,) = DEMO.glob("*.wav")
            for suffix in (".wav", ".mp4"):
                (Path(folder) / f"meeting{suffix}").symlink_to(scene.with_suffix(suffix))
            environment = os.environ | {"COLUMNS": "200", "NO_COLOR": "1"}
            wrong += check(ROOT / name, Path(folder), environment)
    print("\n".join(wrong) or "every command ran and printed what is shown")
    return len(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
