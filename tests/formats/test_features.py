"""A features file holds what was written, and anything else is refused in one line."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from tests.errors import raises

from saiseld.formats.features import AcousticImages, Features, write_features
from saiseld.runtime.errors import DataError

FRAMES = 3
MADE_BY = {"weights": "0123", "projection": "official", "width": "float16"}


def tensors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "latent": rng.uniform(0, 1, (FRAMES, 9, 484)).astype(np.float16),
        "scale": np.ones(FRAMES, np.float32),
        "closure": np.zeros(FRAMES, np.float32),
        "diffuseness": np.zeros(FRAMES, np.float32),
    }


def written(path: Path, header: object = MADE_BY, **changes: np.ndarray) -> Path:
    save_file({**tensors(), **changes}, path, metadata={"saiseld": json.dumps(header)})
    return path


def test_round_trip(tmp_path: Path) -> None:
    latent = tensors()["latent"].astype(np.float32) * np.float32(1e-4)
    gates = np.linspace(0, 1, FRAMES, dtype=np.float32)
    path = tmp_path / "a.features.safetensors"
    write_features(path, FRAMES, [AcousticImages(latent, gates, gates)], MADE_BY)
    (back,) = Features(path).images()
    np.testing.assert_allclose(back.latent, latent, rtol=2**-11)
    np.testing.assert_array_equal(back.closure, gates)


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        (
            {"closure": np.zeros(2, np.float32)},
            {"place": "closure", "expected": "F32 of shape [3]"},
        ),
        ({"scale": np.zeros(FRAMES, np.float64)}, {"place": "scale", "found": "F64"}),
        ({"scale": np.zeros(FRAMES, np.float32)}, {"place": "scale", "expected": "above 0"}),
        ({"scale": np.full(FRAMES, np.inf, np.float32)}, {"place": "scale", "expected": "finite"}),
        ({"diffuseness": np.full(FRAMES, np.nan, np.float32)}, {"place": "diffuseness"}),
        ({"latent": np.zeros((FRAMES, 9, 4), np.float16)}, {"expected": "[3, 9, 484]"}),
        ({"latent": np.zeros((0, 9, 484), np.float16)}, {"place": re.compile("closure|scale")}),
        ({"header": ["weights"]}, {"expected": "a features file"}),
        ({"header": {"weights": 3, "projection": "official"}}, {"expected": "a features file"}),
        ({"header": {"weights": "0123"}}, {"place": "projection"}),
    ],
)
def test_what_cannot_be_is_named(tmp_path: Path, changes: dict, fields: dict) -> None:
    path = written(tmp_path / "a.features.safetensors", **changes)
    with raises(DataError, path, **fields):
        Features(path)


def test_latents_are_checked_as_they_are_read(tmp_path: Path) -> None:
    latent = tensors()["latent"]
    latent[1, 2, 3] = np.nan
    features = Features(written(tmp_path / "a.features.safetensors", latent=latent))
    assert np.isfinite(features.latent(0, 1)).all()
    with raises(DataError, place="latent, frames 0 to 2", expected="finite numbers"):
        list(features.images())


def test_a_number_that_warns_in_a_product_is_told_too(tmp_path: Path) -> None:
    latent = tensors()["latent"]
    latent.view(np.uint16)[1, 2, 3] = 0x7D01  # NaN of the kind that signals
    path = written(tmp_path / "a.features.safetensors", latent=latent)
    with raises(DataError, place="latent, frames 0 to 2", expected="finite numbers"):
        list(Features(path).images())


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"\x10\0\0\0\0\0\0\0{'a': 1}        "])
def test_damaged_files_are_refused_in_a_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.features.safetensors"
    path.write_bytes(content)
    with raises(DataError, expected="a features file") as caught:
        Features(path)
    assert "\n" not in str(caught.value)
