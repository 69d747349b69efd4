"""Weights in and out: ours are safetensors with a JSON header, public ``.pth`` are read safely.

Nothing is ever unpickled beyond tensors (``weights_only=True``). Complex tensors are kept in
safetensors as real ones with a last dimension of 2 and named in the header.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from saiseld.runtime.errors import CheckpointError
from saiseld.runtime.files import atomic_path

_COMPLEX = "complex_keys"


def read_checkpoint(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return (state dict, header) of a ``.safetensors`` of ours or a public ``.pth``/``.pt``.

    A ``.pth`` may wrap its state dict in ``model_state_dict``, ``state_dict`` or ``model``; its
    header is empty.

    Raises
    ------
    CheckpointError
        If the file is absent, damaged or holds anything but tensors.
    """
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
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a hostile or damaged file
        raise CheckpointError(
            path,
            expected="a .pth of tensors only or a .safetensors",
            found=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
        ) from error
    for wrapper in ("model_state_dict", "state_dict", "model"):
        if isinstance(loaded, dict) and isinstance(loaded.get(wrapper), dict):
            loaded = loaded[wrapper]
            break
    if not isinstance(loaded, dict) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise CheckpointError(path, expected="a state dict of tensors", found=type(loaded).__name__)
    return dict(loaded), {}


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, framework="pt") as file:
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            header = json.loads((file.metadata() or {}).get("saiseld", "{}"))
    except (SafetensorError, ValueError, struct.error, OSError) as error:
        raise CheckpointError(path, expected="a safetensors file", found=str(error)) from error
    for key in header.pop(_COMPLEX, []):
        state[key] = torch.view_as_complex(_complex_part(state[key]).contiguous())
    return state, header


def _complex_part(value: Tensor) -> Tensor:
    # complex32 has no arithmetic on CPU, so halves widen before they become complex.
    return value.float() if value.dtype == torch.float16 else value


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
    complex_keys = [key for key, value in state.items() if value.is_complex()]
    tensors = {
        key: (torch.view_as_real(value) if value.is_complex() else value)
        .detach()
        .cpu()
        .contiguous()
        for key, value in state.items()
    }
    metadata = {"saiseld": json.dumps({**header, _COMPLEX: complex_keys})}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def load_weights(module: nn.Module, state: Mapping[str, Tensor], source: str | Path) -> None:
    """Load a state dict strictly, converting only the floating width.

    Raises
    ------
    CheckpointError
        Naming the first missing, unexpected, wrongly shaped or non-finite key.
    """
    own = module.state_dict()
    for key, value in own.items():
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
        if not torch.isfinite(state[key]).all():
            raise CheckpointError(
                source, place=f"key {key}", expected="finite weights", found="NaN or infinity"
            )
    unexpected = sorted(set(state) - set(own))
    if unexpected:
        raise CheckpointError(
            source, place=f"key {unexpected[0]}", expected="no such key", found="one"
        )
    module.load_state_dict(dict(state), strict=True)
