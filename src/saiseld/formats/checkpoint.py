"""Weights in and out: ours are safetensors with a JSON header, public ``.pth`` are read safely.

Nothing is ever unpickled beyond tensors (``weights_only=True``). Complex tensors are kept in
safetensors as real ones with a last dimension of 2 and named in the header. Torch is loaded when a
checkpoint is read or written, not before: who reads the other formats never waits for it.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from safetensors import safe_open

from saiseld.formats.graph_check import VARIANCES
from saiseld.runtime.errors import CheckpointError, refusing
from saiseld.runtime.files import write_bytes
from saiseld.runtime.limits import Limit

if TYPE_CHECKING:
    from torch import Tensor, nn

_COMPLEX = "complex_keys"
_ZIP_HEADER = 30  # bytes before a member's name

MEMBERS = Limit("checkpoint_parts", 20_000)
"""Of a ``.pth``: one a tensor."""

_NUMBERS = "float16", "bfloat16", "float32", "float64", "complex64", "complex128", "int64"


def read_checkpoint(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return (state dict, header) of a ``.safetensors`` of ours or a public ``.pth``/``.pt``.

    A ``.pth`` may wrap its state dict in ``model_state_dict``, ``state_dict`` or ``model``; its
    header is empty.

    Raises
    ------
    CheckpointError
        If the file is absent, damaged or holds anything but tensors.
    """
    import torch

    path = Path(path)
    if not path.is_file():
        raise CheckpointError(
            path,
            expected="a checkpoint",
            found="no such file",
            advice="Train one with `saiseld train` or give a public .pth",
        )
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    loaded = load_tensors(path, "a .pth of tensors only or a .safetensors")
    for wrapper in ("model_state_dict", "state_dict", "model"):
        if isinstance(loaded, dict) and isinstance(loaded.get(wrapper), dict):
            loaded = loaded[wrapper]
            break
    if not (isinstance(loaded, dict) and all(isinstance(v, torch.Tensor) for v in loaded.values())):
        raise CheckpointError(path, expected="a state dict of tensors", found=type(loaded).__name__)
    _check_plain(loaded, path)
    return loaded, {}


def load_tensors(path: Path, expected: str) -> Any:
    """Return what ``torch.save`` wrote: tensors, numbers, texts, and containers of these.

    Raises
    ------
    CheckpointError
        If it is anything else, damaged, or compressed, which ``torch.save`` never does: a small
        file could fill the memory.
    """
    import torch

    with refusing(CheckpointError, path, expected):
        if zipfile.is_zipfile(path):
            _check_members(path)
        return torch.load(path, map_location="cpu", weights_only=True)


def _check_members(path: Path) -> None:
    """Refuse a zip that unpacks to more than it holds: packed, or members over one another."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    MEMBERS.check(len(members), CheckpointError, path, place="parts")
    for member in members:
        if member.file_size > member.compress_size or member.compress_type != zipfile.ZIP_STORED:
            raise CheckpointError(
                path,
                place=member.filename,
                expected="a part that is not compressed",
                found=f"{member.file_size} bytes in {member.compress_size}",
            )
    if len({member.filename for member in members}) < len(members):
        raise CheckpointError(path, expected="parts of different names", found="two of one name")
    end = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        if member.header_offset < end:
            raise CheckpointError(
                path, place=member.filename, expected="a part of its own", found="a shared one"
            )
        end = member.header_offset + _ZIP_HEADER + member.compress_size


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    with refusing(CheckpointError, path, "a safetensors file"):
        with safe_open(path, framework="pt") as file:
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            header = _header(file.metadata())
        for key in header.pop(_COMPLEX, []):
            state[key] = _as_complex(state[key])
    _check_plain(state, path)
    return state, header


def _header(metadata: Mapping[str, str] | None) -> dict[str, Any]:
    return msgspec.json.decode((metadata or {}).get("saiseld", "{}"), type=dict[str, Any])


def read_header(path: str | Path) -> dict[str, Any]:
    """Return what a ``.safetensors`` says of itself, without torch and without its tensors.

    Raises
    ------
    CheckpointError
        If it cannot be read.
    """
    with (
        refusing(CheckpointError, path, "a safetensors file"),
        safe_open(path, framework="np") as file,
    ):
        return _header(file.metadata())


def check_header(path: str | Path, header: Mapping[str, Any], **expected: object) -> None:
    """Raise a ``CheckpointError`` if a header's entries, by name, are not those expected."""
    for name, value in expected.items():
        if header.get(name) != value:
            raise CheckpointError(
                path, place=name, expected=str(value), found=str(header.get(name))
            )


def _check_plain(state: Mapping[Any, Tensor], path: Path) -> None:
    """Refuse keys that are no texts, and tensors that are not plain numbers in memory."""
    for key, value in state.items():
        kind = f"{value.dtype}, {value.layout}, {value.device}"
        plain = str(value.layout) == "torch.strided" and value.device.type == "cpu"
        number = str(value.dtype).removeprefix("torch.") in _NUMBERS
        # A view may claim any length over a few bytes.
        plain = plain and value.numel() * value.element_size() <= value.untyped_storage().nbytes()
        if not (isinstance(key, str) and plain and number):
            raise CheckpointError(
                path,
                place=f"key {key}",
                expected="a tensor of numbers by a name",
                found=f"{kind} by a {type(key).__name__}",
            )


def _as_complex(pairs: Tensor) -> Tensor:
    import torch

    # complex32 has no arithmetic on CPU, so halves widen before they become complex.
    wide = pairs.float() if pairs.dtype == torch.float16 else pairs
    return torch.view_as_complex(wide.contiguous())


def write_checkpoint(
    path: str | Path, state: Mapping[str, Tensor], header: Mapping[str, Any]
) -> None:
    """Write a state dict and its JSON header as safetensors, whole or not at all.

    Parameters
    ----------
    path
        Target, ending in ``.safetensors``.
    state
        Tensors by key; complex ones become real pairs.
    header
        What they are: config, projection, training data, revision, scores. JSON values.
    """
    import torch
    from safetensors.torch import save

    complex_keys = [key for key, value in state.items() if value.is_complex()]
    tensors = {
        key: (torch.view_as_real(value) if value.is_complex() else value)
        .detach()
        .cpu()
        .contiguous()
        for key, value in state.items()
    }
    metadata = {"saiseld": json.dumps({**header, _COMPLEX: complex_keys})}
    write_bytes(path, save(tensors, metadata))


def load_weights(module: nn.Module, state: Mapping[str, Tensor], source: str | Path) -> None:
    """Load a state dict strictly, converting only the floating width.

    Raises
    ------
    CheckpointError
        Naming the first missing, unexpected, wrongly shaped or non-finite key.
    """
    current = module.state_dict()
    for key, value in current.items():
        if key not in state:
            raise CheckpointError(
                source, place=f"key {key}", expected=f"shape {tuple(value.shape)}", found="nothing"
            )
        if state[key].shape != value.shape:
            raise CheckpointError(
                source,
                place=f"key {key}",
                expected=f"shape {tuple(value.shape)}",
                found=f"shape {tuple(state[key].shape)}",
            )
        if state[key].is_complex() != value.is_complex():
            raise CheckpointError(
                source, place=f"key {key}", expected=str(value.dtype), found=str(state[key].dtype)
            )
        if not state[key].isfinite().all():
            raise CheckpointError(
                source, place=f"key {key}", expected="finite weights", found="NaN or infinity"
            )
        if key.endswith(VARIANCES) and state[key].numel() and state[key].min() < 0:
            raise CheckpointError(
                source, place=f"key {key}", expected="0 or more", found=f"{state[key].min():g}"
            )
    unexpected = sorted(set(state) - set(current))
    if unexpected:
        raise CheckpointError(
            source, place=f"key {unexpected[0]}", expected="no such key", found="one"
        )
    module.load_state_dict(dict(state), strict=True)
