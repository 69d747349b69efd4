"""A small share of ``make soak``: one command killed in every way, run twice, on a full disk."""

from pathlib import Path
from random import Random

import pytest

from tests.robustness.commands import commands
from tests.robustness.soak import WAYS, Soak


@pytest.mark.parametrize("name", ["simulate", "train detector"])
def test_a_full_disk_is_one_line_and_the_same_command_goes_on(name: str, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    known = {command.name: command for command in commands(tmp_path / "inputs")}
    soak = Soak(known[name], tmp_path / "work")
    soak.full_disk()
    assert not soak.found.findings


def test_features_survive_everything(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    known = {command.name: command for command in commands(tmp_path / "inputs")}
    soak = Soak(known["features, 2 jobs"], tmp_path / "work")
    random = Random(0)
    for number, way in enumerate(WAYS):
        soak.kill(number, way, random)
    soak.two_at_once()
    soak.full_disk()
    assert not soak.found.findings
    assert not soak.found.uncompared
