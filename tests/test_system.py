"""A weights folder is found part by part; what is missing is named with what to do."""

from pathlib import Path

import pytest

from saiseld.errors import CheckpointError
from saiseld.system import find_system


def test_parts_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "uplam.pth").touch()
    with pytest.raises(CheckpointError, match=r"detector: expected detector\.safetensors .*train"):
        find_system(tmp_path)
    (tmp_path / "detector.safetensors").touch()
    system = find_system(tmp_path)
    assert system.front_end == tmp_path / "uplam.pth"
    assert system.detector == tmp_path / "detector.safetensors"
    assert system.matchability is None
    (tmp_path / "matchability.skops").touch()
    assert find_system(tmp_path).matchability == tmp_path / "matchability.skops"


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such folder"):
        find_system(tmp_path / "absent")
