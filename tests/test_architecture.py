"""The import arrows of docs/architecture.md run one way."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "saiseld"
FOUNDATIONS = {"errors", "taxonomy", "timebase", "sphere", "files", "parallel", "recipe_files"}
VALUES = FOUNDATIONS | {"annotation", "candidates"}
CORE = VALUES | {"checkpoint", "data"}

ALLOWED = {
    **dict.fromkeys(FOUNDATIONS, FOUNDATIONS),
    "annotation": FOUNDATIONS,
    "candidates": FOUNDATIONS,
    "checkpoint": FOUNDATIONS,
    "data": VALUES | {"checkpoint"},
    "acoustics": CORE,
    "labels": CORE | {"acoustics"},
    "simulation": CORE | {"acoustics", "labels"},
    "evaluation": VALUES,
    "detector": CORE | {"acoustics"},
    "decision": CORE | {"acoustics", "detector", "evaluation"},
    "weights": FOUNDATIONS,
    "doctor": CORE | {"acoustics"},
    "tree_check": CORE | {"acoustics", "doctor"},
    "imaging": CORE | {"weights", "acoustics", "detector", "decision"},
    "viewing": CORE | {"acoustics", "detector", "decision", "evaluation", "imaging"},
}
ALLOWED["training"] = (set(ALLOWED) - {"viewing"}) | {"labels", "simulation", "evaluation"}
ALLOWED["cli"] = set(ALLOWED)


def imports_of(path: Path) -> set[str]:
    """Return the parts of saiseld that a file imports, anywhere in it."""
    parts = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "saiseld":
            names = [f"saiseld.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        else:
            continue
        parts |= {name.split(".")[1] for name in names if name.startswith("saiseld.")}
    return parts - {"__version__"}


@pytest.mark.parametrize(
    "path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE))
)
def test_imports_follow_the_arrows(path: Path) -> None:
    part = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if part == "__init__":
        return
    assert imports_of(path) <= ALLOWED[part] | {part}


@pytest.mark.parametrize("module", ["saiseld.evaluation", "saiseld.cli.main"])
def test_scoring_and_help_do_not_load_torch(module: str) -> None:
    program = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
