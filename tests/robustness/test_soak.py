"""A small share of ``make soak``: one command killed in every way, run twice, on a full disk."""

from pathlib import Path
from random import Random

import pytest

from tests.robustness.commands import commands
from tests.robustness.soak import Soak


@pytest.mark.slow
def test_emit_survives_everything(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    known = {command.name: command for command in commands(tmp_path / "inputs")}
    soak = Soak(known["emit"], tmp_path / "work")
    random = Random(0)
    for number, way in enumerate(("SIGKILL", "SIGTERM", "SIGINT")):
        soak.kill(number, way, random)
    soak.two_at_once()
    soak.full_disk()
    assert not soak.found.findings
    assert not soak.found.uncompared
