"""Eye and ear in the main job: whatever is missing, the rest is used and said."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.untrained import write_noise

from saiseld.conventions.sphere import HEIGHT, WIDTH
from saiseld.data.recordings import open_recording
from saiseld.decision.fusion import EVIDENCE, Fusion, Worth, fuse
from saiseld.decision.systems import system_named
from saiseld.formats.candidates import joined
from saiseld.pipeline.imager import Imager
from saiseld.pipeline.weights import Weights
from saiseld.runtime.errors import CheckpointError
from saiseld.seld.encoders import YAMNetEncoder, frozen
from saiseld.seld.model import Seld
from saiseld.seld.network import SeldNetwork

FRAMES = 130


@pytest.fixture(scope="module")
def folder(untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hearing")
    for name in ("uplam.safetensors", "detector.safetensors"):
        shutil.copy(untrained / name, folder)
    torch.manual_seed(0)
    prior = frozen(YAMNetEncoder())
    Seld("yamnet", prior, SeldNetwork(prior.channels)).save(folder / "seld.safetensors")
    models = {}
    for sense, names in EVIDENCE.items():
        count = len(names)
        weight = [0.5] * count + [0.0] * (count * (count + 1) // 2)
        models[sense] = Worth([0.0] * count, [1.0] * count, weight, -1.0)
    Fusion(**models, toward_eye=0.5, rooms=[], recordings=[]).save(folder / "fusion.json")
    write_noise(folder / "rec.wav", FRAMES)
    return folder


@pytest.fixture(scope="module")
def imager(folder: Path) -> Imager:
    return Imager(folder)


def pictures(folder: Path, count: int) -> Path:
    from PIL import Image

    target = folder / f"frames{count}"
    target.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for frame in range(count):
        picture = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        Image.fromarray(picture).save(target / f"frame_{frame:06d}.png")
    return target


def test_the_weights_say_what_is_usual(folder: Path, untrained: Path) -> None:
    assert Weights(folder).can_hear and not Weights(untrained).can_hear
    assert Imager(folder).default_system.name == "together"
    assert Imager(untrained).default_system.name == "TASK3B_3"
    with pytest.raises(CheckpointError, match="seld"):
        Imager(untrained).image(open_recording(folder / "rec.wav"), system=system_named("ear"))


def test_without_a_picture_the_ear_is_alone(folder: Path, imager: Imager) -> None:
    recording = open_recording(folder / "rec.wav")
    said = []
    alone = imager.image(
        recording, on_block=lambda block, masks: said.append(block.candidates.provenance)
    )
    assert {one["heard_and_seen"] for one in said} == {"ear alone"}
    assert alone.missing_pictures == FRAMES
    ear = imager.image(recording, system=system_named("ear"))
    least = imager.default_system.least
    assert [m.score for m in ear.masks if m.score >= least] == [m.score for m in alone.masks]


def test_blocks_of_both_are_those_of_the_whole_tables(folder: Path, imager: Imager) -> None:
    recording, video = open_recording(folder / "rec.wav"), pictures(folder, FRAMES)
    together = joined([b.candidates for b in imager.sensed(recording, video, "both")])
    eye = joined([b.candidates for b in imager.sensed(recording, video, "eye")])
    ear = joined([block.table for block in imager.hearing.blocks(recording)])
    whole = fuse(eye, ear, imager.hearing.fusion)
    assert len(whole) > FRAMES
    for name in ("frame", "class_id", "score", "box", "azimuth"):
        np.testing.assert_array_equal(getattr(together, name), getattr(whole, name))


def test_frames_without_a_picture_have_what_is_heard(folder: Path, imager: Imager) -> None:
    recording, video = open_recording(folder / "rec.wav"), pictures(folder, 70)
    together = joined([b.candidates for b in imager.sensed(recording, video, "both")])
    alone = joined([b.candidates for b in imager.sensed(recording, None, "both")])
    late, other = (table.take(table.frame >= 70) for table in (together, alone))
    np.testing.assert_array_equal(late.score, other.score)
    np.testing.assert_array_equal(late.frame, other.frame)
    early = together.take(together.frame < 70)
    assert len(early) > len(alone.take(alone.frame < 70))
