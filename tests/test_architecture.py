"""The import arrows of docs/architecture.md: exactly those that exist, all running one way."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "saiseld"

_TABLE = """\
conventions:
runtime:
formats: conventions runtime
data: conventions runtime formats
evaluation: conventions runtime formats
acoustics: conventions runtime formats data
detector: conventions runtime formats data
seld: conventions runtime formats
decision: conventions runtime formats evaluation
viewing: conventions runtime formats data evaluation
checks: conventions runtime formats data acoustics
labels: conventions runtime formats data acoustics
pipeline: conventions runtime formats data evaluation acoustics detector seld decision viewing checks
simulation: conventions runtime formats data labels
training: conventions runtime formats data evaluation acoustics detector seld decision simulation
experiments: conventions runtime formats data evaluation acoustics detector decision viewing labels pipeline simulation training
cli: conventions runtime formats evaluation decision viewing checks labels pipeline simulation training experiments
"""  # noqa: E501

ARROWS = {
    room: set(below.split())
    for room, _, below in (line.partition(":") for line in _TABLE.splitlines())
}
"""Each room, from the ground up, and the rooms below it that it imports; no more and no fewer."""


@cache
def imports_of(path: Path) -> frozenset[tuple[str, str]]:
    """Return the (module of saiseld, name) pairs that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            found |= {(node.module or "", alias.name) for alias in node.names}
    return frozenset((m, n) for m, n in found if m == "saiseld" or m.startswith("saiseld."))


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def room_of_import(module: str, name: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else name


def files() -> list[Path]:
    return [path for path in sorted(SOURCE.rglob("*.py")) if path.parent != SOURCE]


def test_every_module_lives_in_a_room() -> None:
    assert {path.name for path in SOURCE.glob("*.py")} <= {"__init__.py", "__main__.py"}
    assert {room_of(path) for path in files()} == set(ARROWS)


@pytest.mark.parametrize("room", ARROWS)
def test_exactly_these_arrows(room: str) -> None:
    used = {
        room_of_import(module, name)
        for path in files()
        if room_of(path) == room
        for module, name in imports_of(path)
    }
    assert used - {room, "__version__"} == ARROWS[room]


def test_no_arrow_runs_back() -> None:
    order = list(ARROWS)
    for room, below in ARROWS.items():
        assert all(order.index(other) < order.index(room) for other in below), room


def test_private_names_stay_in_their_module() -> None:
    for path in files():
        private = [(m, n) for m, n in imports_of(path) if n.startswith("_") and n != "__version__"]
        assert not private, path


TORCH_FREE = (
    "conventions",
    "runtime",
    "formats",
    "data",
    "evaluation",
    "decision",
    "viewing",
    "checks",
    "labels",
    "pipeline",
    "simulation",
    "cli",
)
"""Whoever images, reads data, scores, reports, labels or simulates never waits for torch."""


def test_these_rooms_load_no_torch() -> None:
    modules = [
        ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in files()
        if room_of(path) in TORCH_FREE
    ]
    # Room by room in one process: the first module that loads torch is named.
    check = "'torch' in sys.modules and sys.exit"
    program = "\n".join(["import sys", *(f"import {m}; {check}('{m}')" for m in modules)])
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
