"""The import arrows of docs/architecture.md: exactly those that exist, all running one way."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "saiseld"

PAGE = Path(__file__).parents[1] / "docs" / "architecture.md"
_TABLE = PAGE.read_text().partition("```text\n")[2].partition("```")[0]

ARROWS = {
    package: set(below.split())
    for package, _, below in (line.partition(":") for line in _TABLE.splitlines())
}
"""Each package, from the ground up, and the packages that it imports; no more and no fewer."""


def nodes_of(path: Path) -> Iterator[ast.AST]:
    """Return all nodes of a file."""
    return ast.walk(ast.parse(path.read_text()))


@cache
def imports_of(path: Path) -> frozenset[tuple[str, str]]:
    """Return the (module of saiseld, name) pairs that a file imports, anywhere in it."""
    found = set()
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            found |= {(node.module or "", alias.name) for alias in node.names}
    return frozenset((m, n) for m, n in found if m == "saiseld" or m.startswith("saiseld."))


def package_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def package_of_import(module: str, name: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else name


def files() -> list[Path]:
    return [path for path in sorted(SOURCE.rglob("*.py")) if path.parent != SOURCE]


def test_every_module_lives_in_a_package() -> None:
    assert {path.name for path in SOURCE.glob("*.py")} <= {"__init__.py", "__main__.py"}
    assert {package_of(path) for path in files()} == set(ARROWS)


@pytest.mark.parametrize("package", ARROWS)
def test_exactly_these_arrows(package: str) -> None:
    used = {
        package_of_import(module, name)
        for path in files()
        if package_of(path) == package
        for module, name in imports_of(path)
    }
    assert used - {package, "__version__"} == ARROWS[package]


def test_no_arrow_runs_back() -> None:
    order = list(ARROWS)
    for package, below in ARROWS.items():
        assert all(order.index(other) < order.index(package) for other in below), package


def test_private_names_stay_in_their_module() -> None:
    for path in files():
        private = [(m, n) for m, n in imports_of(path) if n.startswith("_") and n != "__version__"]
        assert not private, path


ROOT = SOURCE.parents[1]

NAMED_TUPLES = {"_replace", "_asdict", "_make", "_fields", "_exit"}
OF_LIBRARIES = {"_predictors", "_repr_html_", "_repr_png_", "_risks"}
"""What a test damages, or compares with, inside of scikit-learn and MAPIE; what Jupyter calls."""


def private_names_in(path: Path) -> set[str]:
    """Return the private names that a test takes from elsewhere, or patches there."""
    found = set()
    for node in nodes_of(path):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                pass
            case ast.Attribute(attr=name):
                found.add(name)
            case ast.ImportFrom(names=names):
                found |= {alias.name for alias in names}
            case ast.Call(func=ast.Attribute(attr="setattr"), args=[target, name, *_]):
                texts = [one.value for one in (target, name) if isinstance(one, ast.Constant)]
                found |= {str(text).rpartition(".")[2] for text in texts}
    return {name for name in found if name.startswith("_") and not name.startswith("__")}


def test_no_test_reaches_a_private_name() -> None:
    reached = set[str]().union(*map(private_names_in, (ROOT / "tests").rglob("*.py")))
    assert reached <= NAMED_TUPLES | OF_LIBRARIES


def test_the_package_never_imports_what_lies_beside_it() -> None:
    beside = re.compile(r"^\s*(from|import) (research|benchmarks|tests)\b", re.MULTILINE)
    assert not [path for path in SOURCE.rglob("*.py") if beside.search(path.read_text())]


@cache
def names_in(path: Path) -> set[str]:
    """Return what a module defines or imports at its top level."""
    found: set[str] = set()
    for node in nodes_of(path):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("folder", ["research", "benchmarks"])
def test_what_lies_beside_the_package_imports_what_it_has(folder: str) -> None:
    """No other test runs most of it, so a name that moves is told here."""
    paths = sorted((ROOT / folder).rglob("*.py"))
    assert paths
    for path in paths:
        for module, name in imports_of(path):
            file = SOURCE.parent.joinpath(*module.split("."))
            if file.is_dir() and (not name or (file / f"{name}.py").is_file()):
                continue
            file = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
            assert file.is_file(), (path, module)
            assert not name or name in names_in(file), (path, module, name)


TORCH_FREE = (
    "conventions",
    "runtime",
    "formats",
    "arrays",
    "data",
    "evaluation",
    "decision",
    "viewing",
    "checks",
    "labels",
    "pipeline",
    "live",
    "simulation",
    "cli",
)
"""Whoever images, reads data, scores, reports, labels or simulates never waits for torch."""


def test_these_packages_load_no_torch() -> None:
    modules = [
        ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in files()
        if package_of(path) in TORCH_FREE
    ]
    # Package by package in one process: the first module that loads torch is named.
    check = "'torch' in sys.modules and sys.exit"
    program = "\n".join(["import sys", *(f"import {m}; {check}('{m}')" for m in modules)])
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_imaging_loads_nothing_that_only_training_needs(tmp_path: Path) -> None:
    program = "\n".join(
        [
            "import sys",
            "import saiseld.cli.main, saiseld.pipeline.image, saiseld.live.stream",
            "from saiseld.pipeline.networks import NetworkOptions, load_networks",
            "networks = load_networks(NetworkOptions(device='cpu'), threads=1)",
            "networks.load(networks.branches)",
            "assert networks.branches == ('detector', 'audio') and networks.decision_models",
            "from saiseld.formats.candidates import no_candidates, write_candidates",
            f"write_candidates({str(tmp_path / 'none.parquet')!r}, no_candidates('none'))",
            "slow = ('torch', 'torchvision', 'sklearn', 'skops', 'pandas', 'matplotlib.pyplot')",
            "print(*(name for name in slow if name in sys.modules))",
        ]
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert (done.stdout.strip(), done.returncode) == ("", 0), done.stderr


def test_the_page_names_every_package_and_only_files_that_are_there() -> None:
    text = PAGE.read_text()
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == list(ARROWS)
    walked = re.findall(r"`(\w+/\w+\.py)`", text.partition("Trace of a command")[2])
    assert len(walked) == len(set(walked)) > 30
    assert all((SOURCE / path).is_file() for path in walked)


def test_functions_fit_a_page() -> None:
    for path in files():
        for node in nodes_of(path):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 80, f"{path}: {node.name}"


NETWORKS = {"find", "window", "images_of_block", "load_detector", "AudioBranch", "FrontEnd"}
"""How networks are run or made: what composes them must name one of these."""


def names_used(path: Path) -> set[str]:
    """Return the attributes and names that a file calls."""
    calls = [node.func for node in nodes_of(path) if isinstance(node, ast.Call)]
    return {c.attr if isinstance(c, ast.Attribute) else getattr(c, "id", "") for c in calls}


def test_networks_have_one_home_of_composition() -> None:
    """Files of the product that bring the branches together: the engine alone."""
    product = ("pipeline", "live", "serve", "cli")
    importing = {
        path.relative_to(SOURCE).as_posix()
        for path in files()
        if package_of(path) in product
        and {"detector", "seld"} <= {package_of_import(*one) for one in imports_of(path)}
    }
    # Loading, and exporting what was trained, are no composition; `live` does neither.
    assert importing == {"pipeline/engine.py", "pipeline/networks.py", "pipeline/export.py"}
    pushing = {
        path.relative_to(SOURCE).as_posix()
        for path in files()
        if package_of(path) in product and "Engine" in names_used(path)
    }
    assert pushing == {"pipeline/engine.py", "pipeline/imager.py", "live/stream.py"}
    for path in files():
        if package_of(path) in ("live", "serve", "cli"):
            assert not NETWORKS - {"find", "window"} & names_used(path), path
