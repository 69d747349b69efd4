"""``saiseld train`` says what is not there before it trains."""

import pytest
from tests.training.tiny_tree import make_tree

from saiseld.runtime import devices
from saiseld.runtime.files import only_run


def test_a_second_run_in_the_same_folder_says_so(tmp_path, saiseld) -> None:
    tree, out = make_tree(tmp_path / "tree"), tmp_path / "run"
    with only_run(out):
        code, told = saiseld("train", "detector", "--data", tree, "-o", out)
    assert code == 2 and "expected no other run in it, found one that is still going on" in told
    assert not (out / "log.jsonl").exists()


def test_a_tree_without_labels_or_features(tmp_path, saiseld) -> None:
    tree = make_tree(tmp_path / "tree")
    command = ("train", "detector", "--data", tree, "-o", tmp_path / "run")
    code, told = saiseld(*command, "--features", tmp_path)
    assert code == 2 and "expected a features file" in told and "saiseld features" in told
    for path in (tree / "labels_dev").rglob("*.json"):
        path.unlink()
    code, told = saiseld(*command)
    assert code == 2 and "expected labels to train on" in told and "saiseld label" in told


@pytest.mark.parametrize(
    "command",
    [
        ("uplam",),
        ("detector", "--data", "tree"),
        ("seld", "--bank", "sounds", "--responses", "rooms", "--encoder", "prior.whl"),
    ],
)
def test_a_device_that_is_not_there_is_told_before_anything(
    tmp_path, saiseld, monkeypatch, command
) -> None:
    monkeypatch.setattr(devices, "gpus", list)
    code, told = saiseld("train", *command, "-o", tmp_path / "run", "--device", "cuda")
    assert code == 2 and "device: expected cuda, found only cpu" in told
    assert not (tmp_path / "run").exists()
