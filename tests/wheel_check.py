"""The wheel as a user has it, in an environment of its own far from here: ``make wheel-check``.

Builds it, installs it, runs the demo and README's Python, takes it out again, and looks for what is
left. Needs nothing but Python; ``--packages`` are installed first, where they lie on a disk.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import venv
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
SCENE = "fold4_room2_mix001"


def run(*command: object, folder: Path, home: Path) -> str:
    """Run a command in a folder with a home of its own and return what it printed."""
    print("$", *(str(part) if "\n" not in str(part) else "..." for part in command), flush=True)
    known = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "XDG_CACHE_HOME")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=known | {"HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"exit {done.returncode}\n{done.stdout[-2000:]}")
    return done.stdout


def traces(folder: Path) -> list[str]:
    """Return what in a folder is named after us."""
    return sorted(str(path) for path in folder.rglob("*saiseld*"))


def main() -> None:
    """Check it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", nargs="*", default=[], help="to install before the wheel")
    options = parser.parse_args()
    (lines,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    with TemporaryDirectory() as name:
        work = Path(name)
        home, place = work / "home", work / "place"
        home.mkdir()
        place.mkdir()
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
        run(*pip, "--wheel-dir", work, ROOT, folder=place, home=home)
        (wheel,) = work.glob("*.whl")
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
        venv.create(work / "venv", with_pip=True)
        python, saiseld = (work / "venv" / "bin" / tool for tool in ("python", "saiseld"))
        install = [python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt"]
        run(*install, *options.packages, wheel, folder=place, home=home)
        print(run(saiseld, "--version", folder=place, home=home), end="")
        print(run(saiseld, "demo", "-o", "demo", folder=place, home=home)[-600:], end="")
        assets = next((work / "venv").rglob("assets/demo"))
        for suffix in (".wav", ".mp4"):
            (place / f"meeting{suffix}").symlink_to(assets / f"{SCENE}{suffix}")
        print(run(python, "-c", lines, folder=place, home=home)[-600:], end="")
        at_home = [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()]
        run(python, "-m", "pip", "uninstall", "--quiet", "-y", "saiseld", folder=place, home=home)
        left = traces(work / "venv")
        if left:
            sys.exit(f"left behind: {left}")
        print(f"nothing is left in the environment; files in the home: {at_home or 'none'}")


if __name__ == "__main__":
    main()
