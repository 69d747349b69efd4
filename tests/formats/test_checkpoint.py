"""Weights go out and come back whole; nothing executable or ill-fitting is loaded."""

import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from tests.errors import raises
from torch import nn

from saiseld.formats.checkpoint import load_weights, read_checkpoint, write_checkpoint
from saiseld.runtime.errors import CheckpointError, OutputError


def test_complex_and_half_weights_come_back(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    state = {"D": torch.randn(3, 4, dtype=torch.complex64), "w": torch.randn(5).half()}
    write_checkpoint(path, state, {"projection": "official"})
    back, header = read_checkpoint(path)
    assert header == {"projection": "official"}
    assert torch.equal(back["D"], state["D"]) and torch.equal(back["w"], state["w"])


@pytest.mark.parametrize("wrapper", [None, "model_state_dict", "state_dict"])
def test_public_files_are_unwrapped(tmp_path: Path, wrapper: str | None) -> None:
    state = {"w": torch.arange(3.0)}
    torch.save({wrapper: state, "epoch": 4} if wrapper else state, tmp_path / "a.pth")
    assert torch.equal(read_checkpoint(tmp_path / "a.pth")[0]["w"], state["w"])


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (exec, ("raise SystemExit('executed')",))


def test_hostile_and_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps({"w": Evil()}))
    with raises(CheckpointError, "evil.pth", expected="a .pth of tensors only"):
        read_checkpoint(path)
    torch.save({"w": Evil()}, path)
    with raises(CheckpointError, expected="tensors only"):
        read_checkpoint(path)
    (tmp_path / "a.safetensors").write_bytes(b"\xff" * 100)
    with raises(CheckpointError, expected="a safetensors file"):
        read_checkpoint(tmp_path / "a.safetensors")
    with raises(CheckpointError, found="no such file"):
        read_checkpoint(tmp_path / "absent.pth")


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"weight": None}, {"place": "key weight", "expected": "shape (2, 3)", "found": "nothing"}),
        (
            {"weight": torch.zeros(3, 3)},
            {"place": "key weight", "expected": "shape (2, 3)", "found": "3, 3"},
        ),
        (
            {"bias": torch.full((2,), torch.nan)},
            {"place": "key bias", "expected": "finite weights"},
        ),
        (
            {"bias": torch.zeros(2, dtype=torch.complex64)},
            {"place": "key bias", "expected": "torch.float32"},
        ),
        ({"extra": torch.zeros(1)}, {"place": "key extra", "expected": "no such key"}),
    ],
)
def test_ill_fitting_weights_name_the_key(change: dict, fields: dict[str, str]) -> None:
    layer = nn.Linear(3, 2)
    state = {**layer.state_dict(), **change}
    with raises(CheckpointError, **fields):
        load_weights(layer, {k: v for k, v in state.items() if v is not None}, "a.pth")


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_variances_below_zero_are_refused(tmp_path: Path, suffix: str) -> None:
    layer, path = nn.BatchNorm2d(2), tmp_path / f"a{suffix}"
    state = {**layer.state_dict(), "running_var": torch.tensor([1.0, -1e-3])}
    if suffix == ".pth":
        torch.save(state, path)
    else:
        write_checkpoint(path, state, {})
    with raises(CheckpointError, place="key running_var", expected="0 or more", found="-0.001"):
        load_weights(layer, read_checkpoint(path)[0], path)


def test_an_unwritable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with raises(OutputError, expected="to write it"):
        write_checkpoint(tmp_path / "file" / "a.safetensors", {"w": torch.zeros(1)}, {})


def test_a_compressed_file_is_no_checkpoint(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(1_000_000)}, tmp_path / "a.pth")
    bomb = zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(tmp_path / "a.pth") as plain, bomb:
        for name in plain.namelist():
            bomb.writestr(name, plain.read(name))
    with raises(CheckpointError, expected="a part that is not compressed"):
        read_checkpoint(tmp_path / "bomb.pth")


@pytest.mark.parametrize(
    ("state", "fields"),
    [
        ({3: torch.zeros(1)}, {"place": "key 3", "expected": "a tensor of numbers by a name"}),
        ({"w": torch.zeros(1, dtype=torch.uint8)}, {"place": "key w", "found": "torch.uint8"}),
        ({"w": torch.zeros(2, 2).to_sparse()}, {"found": "sparse"}),
        ({"w": torch.zeros(2, device="meta")}, {"place": "key w", "found": "meta"}),
        (["w"], {"expected": "a state dict of tensors", "found": "list"}),
    ],
)
def test_what_is_no_plain_tensor_is_refused(
    tmp_path: Path, state: object, fields: dict[str, str]
) -> None:
    torch.save(state, tmp_path / "a.pth")
    with raises(CheckpointError, **fields):
        read_checkpoint(tmp_path / "a.pth")


@pytest.mark.parametrize(
    "header", ["[1]", "{", "{}" * 9, '{"complex_keys": ["x"]}', '{"complex_keys": ["w"]}', "NaN"]
)
def test_headers_that_do_not_fit_are_refused(tmp_path: Path, header: str) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(save({"w": torch.zeros(3)}, {"saiseld": header}))
    with raises(CheckpointError, expected="a safetensors file") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_weights_can_be_read_by_whom_the_user_lets(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "a.safetensors", {"w": torch.zeros(3)}, {})
    (tmp_path / "b").touch()
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "b").stat().st_mode
