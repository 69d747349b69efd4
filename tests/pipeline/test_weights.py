"""A weights folder is found part by part; what is missing is named with what to do."""

from pathlib import Path

from tests.errors import raises

from saiseld.pipeline.weights import find_weights
from saiseld.runtime.errors import CheckpointError


def test_parts_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "uplam.pth").touch()
    weights = find_weights(tmp_path)
    assert weights.front_end == tmp_path / "uplam.pth"
    with raises(CheckpointError, place="detector", expected="detector.safetensors", advice="train"):
        _ = weights.detector
    (tmp_path / "detector.safetensors").touch()
    assert weights.detector == tmp_path / "detector.safetensors"
    assert weights.matchability is None
    (tmp_path / "matchability.skops").touch()
    assert weights.matchability == tmp_path / "matchability.skops"


def test_no_folder(tmp_path: Path) -> None:
    with raises(CheckpointError, found="no such folder"):
        find_weights(tmp_path / "absent")
