"""The command as a whole: versions, help, quiet."""

import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
from typer.main import get_command

import saiseld
from saiseld.cli.main import COMMANDS, build


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "saiseld", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_version() -> None:
    assert run("--version").stdout == f"saiseld {saiseld.__version__}\n"


def commands(group=None, name="saiseld"):
    group = group or get_command(build())
    for key, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{name} {key}")
        else:
            yield f"{name} {key}", command


@pytest.mark.parametrize(("name", "command"), list(commands()))
def test_every_help_has_an_example_of_its_own_command(name, command) -> None:
    examples = [line for line in (command.help or "").splitlines() if name in line]
    assert examples, name
    known = {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
    for word in examples[0].split():
        assert not word.startswith("-") or word in known, word
    for paragraph in (command.help or "").split("\n\n"):  # click joins the lines of one
        assert len(re.findall(r"^ *saiseld ", paragraph, re.MULTILINE)) < 2, name


@pytest.mark.parametrize("name", ["image", "train", "array"])
def test_a_command_alone_is_as_among_all(name, saiseld) -> None:
    alone, among_all = (get_command(build(which)).commands for which in (name, None))
    assert set(alone) == {name} and len(among_all) == len(COMMANDS) + 2
    one, other = (
        [(path, [p.opts for p in c.params]) for path, c in commands(SimpleNamespace(commands=kept))]
        for kept in (alone, {name: among_all[name]})
    )
    assert one == other and one[-1][1]
    code, told = saiseld("-q", name, "--help")
    assert code == 0 and f"saiseld {name} [OPTIONS]" in told


def test_a_command_that_is_none_is_told_the_nearest(saiseld) -> None:
    code, told = saiseld("imag", "a.wav")
    assert code == 2 and "No such command 'imag'" in told and "image" in told


def test_what_fails_because_of_ctrl_c_is_ctrl_c(monkeypatch, saiseld, tmp_path) -> None:
    """torch's writer of zip files complains of what it could not finish."""

    def interrupted(*arguments: object, **options: object) -> None:
        try:
            raise KeyboardInterrupt
        finally:
            raise RuntimeError("enforce fail at inline_container.cc")

    monkeypatch.setattr("saiseld.pipeline.features.features_of_recordings", interrupted)
    code, told = saiseld("features", tmp_path, "-o", tmp_path)
    assert code == 130 and told.startswith("stopped: what is finished is kept")


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("module", ["typer", "rich.console", "saiseld.cli.image"])
def test_a_signal_while_the_command_is_loaded_ends_it_in_silence(name: str, module: str) -> None:
    program = f"""
import os, signal, sys
from importlib.abc import MetaPathFinder

class Signal(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.{name})

sys.meta_path.insert(0, Signal())
from saiseld.__main__ import main
sys.argv = ["saiseld", "--version"]
main()
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (130, b"", b"")
