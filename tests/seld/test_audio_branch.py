"""The ear on recordings of any length and blocks, and on those that are not as they should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.errors import raises

from saiseld.conventions.timebase import SAMPLE_RATE, SAMPLES_PER_FRAME
from saiseld.formats.checkpoint import read_checkpoint, write_checkpoint
from saiseld.runtime.errors import AudioError, CheckpointError
from saiseld.seld.audio_branch import AudioBranch
from saiseld.seld.decode import candidates
from saiseld.seld.encoders import YAMNetEncoder, frozen
from saiseld.seld.inference import doubts
from saiseld.seld.inputs import TTA_SYMMETRIES, inputs
from saiseld.seld.model import Seld
from saiseld.seld.network import Batch, SeldNetwork

FIELDS = ("classes", "maps", "activity", "distance_cm", "silent")


@pytest.fixture(scope="module")
def seld() -> Seld:
    torch.manual_seed(0)
    encoder = frozen(YAMNetEncoder())
    return Seld("yamnet", encoder, SeldNetwork(encoder.channels).eval().requires_grad_(False))


@pytest.fixture(scope="module")
def ear(seld: Seld) -> AudioBranch:
    return AudioBranch(seld)


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    """Return (N, 4) noise that all channels share, and a little of their own."""
    rng = np.random.default_rng(seed)
    samples = int(seconds * SAMPLE_RATE)
    shared = rng.standard_normal((samples, 1))
    return (0.1 * shared + 0.01 * rng.standard_normal((samples, 4))).astype(np.float32)


@pytest.mark.parametrize("seconds", [8.05, pytest.param(12.4, marks=pytest.mark.slow)])
def test_the_same_numbers_whatever_the_blocks(ear, seconds) -> None:
    audio = noise(seconds)
    whole = ear(audio)
    assert len(whole) == len(audio) // SAMPLES_PER_FRAME
    for size in (5000, 100_000):
        blocks = list(ear.blocks(audio[at : at + size] for at in range(0, len(audio), size)))
        assert [b.start for b in blocks] == list(np.cumsum([0, *map(len, blocks[:-1])]))
        for name in FIELDS:
            np.testing.assert_array_equal(
                np.concatenate([getattr(b, name) for b in blocks]), getattr(whole, name)
            )


@pytest.mark.parametrize("frames", [1, 7, 25, 26, 50, 51, 75])
def test_shorter_than_a_window_or_just_longer(ear, frames) -> None:
    heard = ear(noise((frames + 0.5) / 10))
    assert len(heard) == frames
    assert all(np.isfinite(getattr(heard, name)).all() for name in FIELDS)


def test_not_one_frame_and_wrong_channels_are_told(ear) -> None:
    with raises(AudioError, expected="at least one frame"):
        ear(noise(0.05))
    with raises(AudioError, expected="blocks of (samples, 4)"):
        ear(np.zeros((SAMPLE_RATE, 2), np.float32))


def test_silence_has_no_candidates(ear) -> None:
    audio = noise(4)
    audio[: 2 * SAMPLE_RATE] = 0
    heard = ear(audio)
    assert heard.silent[:20].all()
    assert not heard.silent[20:].any()
    (table,) = candidates("quiet", len(heard), [heard], {})
    assert (table.frame >= 20).all()


def test_a_dead_channel_is_told_and_survived(ear, caplog) -> None:
    audio = noise(3)
    audio[:, 2] = 0
    heard = ear(audio)
    assert np.isfinite(heard.maps).all()
    assert "channel 3 is dead" in caplog.text


def test_ambisonics_are_told(caplog, ear) -> None:
    rng = np.random.default_rng(0)
    audio = (0.1 * rng.standard_normal((SAMPLE_RATE, 4))).astype(np.float32)
    ear(audio)
    assert "ambisonics" in caplog.text
    assert doubts(noise(1)) == []


def test_the_last_frames_alone_are_as_all_of_them(ear) -> None:
    audio = np.ascontiguousarray(noise(3).T)
    whole = ear.window(audio)
    for last in (1, 10, 29, 40):
        alone = ear.window(audio, last=last)
        np.testing.assert_allclose(alone, whole[-last:], atol=1e-4)


def test_symmetries_agree_where_only_physics_speaks() -> None:
    """Without what was learned of directions, every view of a sound gives the same maps."""
    torch.manual_seed(0)
    network = SeldNetwork(4).eval()
    for layer in (network.of_view[0], network.first[0], network.to_query):
        torch.nn.init.zeros_(layer.weight)
    shown = Batch(*(torch.from_numpy(part)[None] for part in inputs(noise(1).T)))
    with torch.inference_mode():
        maps = [
            network(shown, torch.ones(1, 10, 4), view=view).maps
            for view in range(len(TTA_SYMMETRIES))
        ]
    for other in maps[1:]:
        torch.testing.assert_close(other, maps[0], atol=1e-2, rtol=1e-3)


def test_weights_there_and_back(seld, tmp_path: Path) -> None:
    path = tmp_path / "seld.safetensors"
    seld.save(path)
    audio = noise(1)
    np.testing.assert_allclose(
        AudioBranch.load(path)(audio).maps, AudioBranch(seld)(audio).maps, atol=0.3
    )


@pytest.mark.parametrize(
    ("name", "value", "fields"),
    [
        ("classes", ["Dog"], {"place": "classes"}),
        ("kind", "uplam", {"place": "kind", "expected": "seld", "found": "uplam"}),
        (
            "prior",
            "whale",
            {"place": "prior", "expected": "one of yamnet", "found": "whale"},
        ),
    ],
)
def test_other_weights_are_told(seld, tmp_path: Path, name, value, fields) -> None:
    path = tmp_path / "seld.safetensors"
    seld.save(path)
    state, header = read_checkpoint(path)
    write_checkpoint(path, state, {**header, name: value})
    with raises(CheckpointError, **fields):
        Seld.load(path)
