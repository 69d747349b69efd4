"""What README and docs show, works: examples run, snippets run, commands and options exist."""

import re
import runpy
import shlex
from functools import cache
from pathlib import Path

import matplotlib
import pytest
from typer.main import get_command

from saiseld.cli.main import build
from saiseld.pipeline import weights

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LANGUAGE_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@cache
def application():
    return get_command(build())


def commands(page: Path) -> list[str]:
    text = page.read_text().replace("\\\n", " ")
    lines = (
        line.strip().removeprefix("$ ").removeprefix(".venv/bin/") for line in text.split("\n")
    )
    return [line.split(" #")[0] for line in lines if re.match(r"saiseld [a-z]", line)]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_command_shown_exists_with_its_options(page: Path) -> None:
    for shown in commands(page):
        if "…" in shown or "..." in shown:
            continue
        command = application()
        words = shlex.split(shown.split("&&")[0])[1:]
        while words and hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        known = {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
        for word in words:
            assert not word.startswith("-") or word in known | {"-h", "--help"}, shown


EXAMPLES = [path for path in sorted((ROOT / "examples").glob("*.py")) if path.stem != "ros2_node"]
"""Those that run anywhere; the node needs ROS 2, and is tested in tests/live."""


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.stem)
def test_examples_run(example: Path, tmp_path, monkeypatch, short_demo: Path) -> None:
    """On a part of the packaged scene."""
    monkeypatch.setattr(weights, "DEMO", short_demo)
    monkeypatch.chdir(tmp_path)
    matplotlib.use("agg")
    runpy.run_path(str(example), run_name="__main__")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_python_shown_compiles(page: Path) -> None:
    for number, block in enumerate(LANGUAGE_BLOCK.findall(page.read_text())):
        if not block.startswith("--8<--"):
            compile(block, f"{page.name}, block {number}", "exec")


def test_the_three_lines_of_readme_run(tmp_path, monkeypatch, capsys, short_demo: Path) -> None:
    """On a part of the packaged scene, under the names that README uses."""
    scene = next(short_demo.glob("*.wav"))
    (tmp_path / "meeting.wav").symlink_to(scene)
    (tmp_path / "meeting.mp4").symlink_to(scene.with_suffix(".mp4"))
    monkeypatch.chdir(tmp_path)
    (block,) = LANGUAGE_BLOCK.findall((ROOT / "README.md").read_text())
    exec(compile(block, "README.md", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not re.match(r"[a-z]+:|#", target):
            assert (page.parent / target.split("#")[0]).exists(), target


def test_every_test_that_is_named_is_there() -> None:
    text = (ROOT / "docs/reliability.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert len(named) > 30
    assert [n for n in named if f"def {n[1]}(" not in (ROOT / n[0]).read_text()] == []
