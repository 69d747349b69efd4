"""The wheel as a user has it, in an environment of its own far from here: ``make wheel-check``.

Builds it, installs it without any extra, and so without torch: says how large that is, runs every
command that needs no torch and README's Python, imports every module, and sees that what does need
an extra says so in one line. Then takes it out again, and looks for what is left. Needs nothing but
Python; ``--packages`` are installed first, where they lie on a disk.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
SCENE = "fold4_room2_mix001"
BROUGHT = {"pip", "setuptools", "pkg_resources", "_distutils_hack"}
"""What an environment has before anything is installed."""
DONE, WANTS = 0, 2

IMPORTS = """
import importlib, pkgutil, saiseld
from saiseld.cli.main import EXTRAS
optional = {name for names in EXTRAS.values() for name in names}
missing = {}
for module in pkgutil.walk_packages(saiseld.__path__, "saiseld."):
    if module.name.startswith(("saiseld.training", "saiseld.table1", "saiseld.__main__")):
        continue
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        assert error.name.partition(".")[0] in optional, (module.name, error)
        missing.setdefault(error.name, []).append(module.name.removeprefix("saiseld."))
for package, modules in missing.items():
    print(f"modules that need {package}: {', '.join(modules)}")
from saiseld import *
assert all(name in globals() for name in saiseld.__all__)
"""


def run(*command: object, folder: Path, home: Path, code: int = DONE) -> str:
    """Run a command in a folder with a home of its own and return what it printed."""
    print("$", *(str(part) if "\n" not in str(part) else "..." for part in command), flush=True)
    known = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "XDG_CACHE_HOME")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=known | {"HOME": str(home), "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=None if code == DONE else subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != code:
        sys.exit(f"exit {done.returncode}\n{done.stdout[-2000:]}")
    return done.stdout


def without_torch() -> Iterator[tuple[str, ...]]:
    """Yield commands that need no torch, on the scene and on recordings that they make."""
    scene = f"{SCENE}.wav", "--video", f"{SCENE}.mp4"
    one = "tree/eigen_dev/dev-test-sim", "tree/metadata_dev/dev-test-sim"
    yield "demo", "-o", "demo"
    yield "doctor", *scene
    yield "image", *scene, "-o", "out"
    yield "draw", f"out/{SCENE}.candidates.parquet", *scene, "-o", "drawn"
    yield "features", f"{SCENE}.wav", "-o", "features"
    yield "detect", *scene, "-o", "candidates"
    yield "emit", "candidates", "-o", "predictions"
    yield "evaluate", "predictions", "scene", "--report", "report"
    yield "submit", "candidates", "-o", "submission.zip"
    yield "live", *scene, "--no-page", "--seconds", "3", "--record", "day"
    yield "simulate", "-o", "tree", "--recipe", "tiny"
    yield "label", "--audio", one[0], "--events", one[1], "-o", "labels"
    yield "serve", "--help"


def wants_an_extra() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield extras, and commands that need them."""
    yield "train", ("train", "uplam", "-o", "run")
    yield "train", ("train", "detector", "--data", "tree", "-o", "run")
    yield "train", ("export", "weights", "-o", "weights")
    yield "train", ("image", f"{SCENE}.wav", "-o", "out", "--device", "cuda")
    yield "live", ("live", f"{SCENE}.wav", "--seconds", "1", "--port", "0")
    yield "live", ("serve", "jobs", "--port", "0")
    yield "cluster", ("image", f"{SCENE}.wav", "-o", "out", "--cluster", "local")


def traces(folder: Path) -> list[str]:
    """Return what in a folder is named after us."""
    return sorted(str(path) for path in folder.rglob("*saiseld*"))


def say_size(packages: Path) -> None:
    """Print what the installed packages take, without those that every environment has."""
    sizes = []
    for path in packages.iterdir():
        if path.name.partition("-")[0] not in BROUGHT:
            files = [file.stat() for file in (path.rglob("*") if path.is_dir() else [path])]
            sizes.append((sum(512 * f.st_blocks for f in files), path.name, files))
    lengths = sum(file.st_size for _, _, files in sizes for file in files)
    largest = ", ".join(f"{name} {size >> 20}" for size, name, _ in sorted(sizes)[:-9:-1])
    whole = sum(size for size, _, _ in sizes) / 1e6
    print(
        f"installed: {whole:.0f} MB on disk, {lengths / 1e6:.0f} by sizes of files; MiB: {largest}"
    )


def check_installed(python: Path, saiseld: Path, place: Path, home: Path) -> None:
    """Run everything."""
    assets = next(saiseld.parents[1].rglob("assets/demo"))
    (place / "scene").symlink_to(assets)
    for suffix in (".wav", ".mp4"):
        for name in (SCENE, "meeting"):  # as README calls it
            (place / f"{name}{suffix}").symlink_to(assets / f"{SCENE}{suffix}")
    for command in without_torch():
        said = run(saiseld, *command, folder=place, home=home)
        print(said[-600:] if command[0] == "demo" else said[-200:], end="", flush=True)
    for extra, command in wants_an_extra():
        said = run(saiseld, *command, folder=place, home=home, code=WANTS)
        lines = [line for line in said.splitlines() if line.startswith("error:")]
        if len(lines) != 1 or f"saiseld[{extra}]" not in lines[0] or "Traceback" in said:
            sys.exit(f"does not name the extra {extra} in one line:\n{said[-2000:]}")
    print(run(python, "-c", IMPORTS, folder=place, home=home), end="")
    (example,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    print(run(python, "-c", example, folder=place, home=home)[-600:], end="")


def check_licences(wheel: Path) -> None:
    """End unless the wheel holds the licence of all that it holds, and says so."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        told = archive.read(metadata).decode()
        texts = {
            name.rpartition("/licenses/")[2]: archive.read(name).decode()
            for name in names
            if "/licenses/" in name
        }
    expected = {
        "LICENSE": "MIT License",
        "NOTICE": "YAMNet",
        "LICENSES/Apache-2.0.txt": "Apache License",
    }
    missing = [name for name, words in expected.items() if words not in texts.get(name, "")]
    if missing or "License-Expression: MIT AND Apache-2.0" not in told:
        sys.exit(f"licences missing: {missing or 'the expression'}")
    print(f"licences: {', '.join(sorted(texts))}")


def main() -> None:
    """Check it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", nargs="*", default=[], help="to install before the wheel")
    options = parser.parse_args()
    with TemporaryDirectory() as name:
        work = Path(name)
        home, place = work / "home", work / "place"
        home.mkdir()
        place.mkdir()
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
        run(*pip, "--wheel-dir", work, ROOT, folder=place, home=home)
        (wheel,) = work.glob("*.whl")
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
        check_licences(wheel)
        venv.create(work / "venv", with_pip=True)
        python, saiseld = (work / "venv" / "bin" / tool for tool in ("python", "saiseld"))
        install = [python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt"]
        run(*install, *options.packages, wheel, folder=place, home=home)
        say_size(next((work / "venv").rglob("site-packages")))
        print(run(saiseld, "--version", folder=place, home=home), end="")
        check_installed(python, saiseld, place, home)
        run(*install, f"{wheel}[live]", folder=place, home=home)
        page = "live", f"{SCENE}.wav", "--seconds", "2", "--port", "0"
        print(run(saiseld, *page, folder=place, home=home)[-200:], end="")
        at_home = [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()]
        run(python, "-m", "pip", "uninstall", "--quiet", "-y", "saiseld", folder=place, home=home)
        left = traces(work / "venv")
        if left:
            sys.exit(f"left behind: {left}")
        print(f"nothing is left in the environment; files in the home: {at_home or 'none'}")


if __name__ == "__main__":
    main()
