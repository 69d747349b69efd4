"""Reading others' weights: TensorFlow's tables, wheels, and files that are not as expected."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from research.encoders import wheels
from research.encoders.aisfx import AisfxEncoder
from research.encoders.tensor_bundle import read_bundle
from research.encoders.wheels import fold, read_wheel
from tests.errors import raises

from saiseld.formats.checkpoint import write_checkpoint
from saiseld.runtime.errors import CheckpointError
from saiseld.seld.encoders import ENCODERS, YAMNetEncoder, read_encoder
from saiseld.seld.yamnet import EPSILON, YAMNet


def varint(number: int) -> bytes:
    out = b""
    while number >= 128:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number: int, content: int | bytes) -> bytes:
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def block(entries: list[tuple[bytes, bytes]]) -> bytes:
    """Return a block of LevelDB whose keys are shortened by what they share."""
    out, before = b"", b""
    for key, value in entries:
        shared = 0
        while shared < min(len(key), len(before)) and key[shared] == before[shared]:
            shared += 1
        own = key[shared:]
        out += varint(shared) + varint(len(own)) + varint(len(value)) + own + value
        before = key
    return out + struct.pack("<II", 0, 1)


def bundle(arrays: dict[str, np.ndarray]) -> tuple[bytes, bytes]:
    entries, data = [(b"", field(1, 1))], b""
    for name in sorted(arrays):
        value = arrays[name].astype("<f4")
        shape = b"".join(field(2, field(1, size)) for size in value.shape)
        entry = field(1, 1) + field(2, shape) + field(4, len(data)) + field(5, value.nbytes)
        entries.append((name.encode(), entry))
        data += value.tobytes()
    first = block(entries)
    handle = varint(0) + varint(len(first))
    index = block([(b"z", handle)])
    table = first + b"\0crc." + index + b"\0crc."
    footer = varint(0) + varint(0) + varint(len(first) + 5) + varint(len(index))
    return table + footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57), data


def test_arrays_of_a_tensorflow_checkpoint() -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "net/layer-1/kernel": rng.random((3, 3, 1, 4), np.float32),
        "net/layer-10/kernel": rng.random((300,), np.float32),
        "other": np.float32(rng.random()).reshape(()),
    }
    read = read_bundle(*bundle(arrays))
    assert sorted(read) == sorted(arrays)
    for name, value in arrays.items():
        np.testing.assert_array_equal(read[name], value)


def test_what_is_no_checkpoint_is_told() -> None:
    index, data = bundle({"a": np.ones(9, np.float32)})
    with pytest.raises(ValueError, match="not the index"):
        read_bundle(index[:-1], data)
    with pytest.raises(ValueError, match="cut off"):
        read_bundle(index, data[:-1])


def yamnet_variables(seed: int = 0) -> dict[str, np.ndarray]:
    """Return random variables named and shaped as TensorFlow has them."""
    rng = np.random.default_rng(seed)
    variables: dict[str, np.ndarray] = {}

    def put(number: int, name: str, value: np.ndarray) -> None:
        key = f"layer-1/layer/_func/_yamnet/layer_with_weights-{number}/{name}"
        variables[f"{key}/.ATTRIBUTES/VARIABLE_VALUE"] = value.astype(np.float32)

    for number, layer in enumerate(YAMNet().layers):
        conv = layer.conv
        shape = (*conv.kernel_size, conv.in_channels, conv.out_channels // conv.groups)
        name = "kernel" if conv.groups == 1 else "depthwise_kernel"
        put(2 * number, name, rng.normal(size=shape) / np.sqrt(np.prod(shape[:3])))
        put(2 * number + 1, "beta", rng.normal(size=conv.out_channels))
        put(2 * number + 1, "moving_mean", rng.normal(size=conv.out_channels))
        put(2 * number + 1, "moving_variance", rng.uniform(0.5, 2, conv.out_channels))
    put(54, "kernel", rng.normal(size=(1024, 521)))
    put(54, "bias", rng.normal(size=521))
    return variables


def yamnet_wheel(path: Path) -> dict[str, np.ndarray]:
    variables = yamnet_variables()
    index, data = bundle(variables)
    names = [name for name in wheels.SHA256 if "yamnet" in name]
    with ZipFile(path, "w") as wheel:
        for name in names:
            wheel.writestr(name, index if name.endswith("index") else data)
    return variables


def test_a_wheel_of_other_content_is_told(tmp_path) -> None:
    path = tmp_path / "some-1.whl"
    yamnet_wheel(path)
    with raises(CheckpointError, place="variables.index", expected="SHA-256 a5ad"):
        read_wheel(path)


def test_kernels_are_turned_and_norms_folded(tmp_path, monkeypatch) -> None:
    path = tmp_path / "some-1.whl"
    variables = yamnet_wheel(path)
    with ZipFile(path) as wheel:
        found = {n: hashlib.sha256(wheel.read(n)).hexdigest() for n in wheel.namelist()}
    monkeypatch.setattr(wheels, "SHA256", found)
    name, state = read_wheel(path)
    encoder = YAMNetEncoder()
    encoder.load_state_dict(state)
    assert name == "yamnet"
    key = "layer-1/layer/_func/_yamnet/layer_with_weights-{}/.ATTRIBUTES/VARIABLE_VALUE"
    kernel = variables[key.format("2/depthwise_kernel")]
    variance = variables[key.format("3/moving_variance")]
    weight = encoder.state_dict()["net.layers.1.conv.weight"].numpy()
    expected = kernel[..., 0].transpose(2, 0, 1) / np.sqrt(variance + EPSILON)[:, None, None]
    np.testing.assert_allclose(weight[:, 0], expected, rtol=1e-5)


def test_wheels_of_other_packages_and_other_files_are_told(tmp_path) -> None:
    path = tmp_path / "some-1.whl"
    with ZipFile(path, "w") as wheel:
        wheel.writestr("some/__init__.py", "")
    with raises(CheckpointError, found="neither"):
        read_wheel(path)
    path.write_bytes(b"no archive")
    with raises(CheckpointError, expected="a wheel"):
        read_wheel(path)
    path = tmp_path / "uplam.safetensors"
    write_checkpoint(path, {"a": torch.zeros(1)}, {"kind": "uplam"})
    with raises(CheckpointError, place="prior", expected="one of yamnet"):
        read_encoder(path)


def test_folded_norms_do_what_convolution_and_norm_did() -> None:
    torch.manual_seed(0)
    conv, norm = torch.nn.Conv2d(3, 5, 3, bias=False), torch.nn.BatchNorm2d(5, eps=EPSILON).eval()
    torch.nn.init.normal_(norm.bias)
    torch.nn.init.normal_(norm.running_mean)
    torch.nn.init.uniform_(norm.running_var, 0.5, 2)
    weight, bias = fold(conv.weight, norm.bias, norm.running_mean, norm.running_var)
    x = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(
        torch.nn.functional.conv2d(x, weight, bias), norm(conv(x)), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("kind", [*ENCODERS.values(), AisfxEncoder])
def test_encoders_say_how_many_channels_they_have(kind) -> None:
    encoder = kind()
    with torch.inference_mode():
        embedding = encoder(0.1 * torch.randn(1, 4, 48_000), torch.randn(1, 200, 64))
    assert embedding.shape[:2] == (1, encoder.channels)
    assert 10 <= embedding.shape[2] <= 20
