"""One engine: rows do not depend on who pushes, or how, nor masks on when they are decided."""

import shutil
import zipfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.untrained import write_noise

from saiseld.conventions.sphere import HEIGHT, WIDTH
from saiseld.data.recordings import open_recording
from saiseld.decision.fusion import EVIDENCE, Fusion, LogisticCalibration
from saiseld.decision.systems import SYSTEMS
from saiseld.formats.annotation import EnergyMask, encode_annotations
from saiseld.formats.candidates import BRANCHES, Candidates, joined
from saiseld.pipeline.defaults import system_of
from saiseld.pipeline.emit import emit
from saiseld.pipeline.engine import Backpressure, Block, Engine
from saiseld.pipeline.imager import Imager
from saiseld.pipeline.weights import Weights, find_weights
from saiseld.runtime.errors import CandidateError, CheckpointError
from saiseld.seld.encoders import YAMNetEncoder, frozen
from saiseld.seld.model import Seld
from saiseld.seld.network import SeldNetwork

FRAMES = 57
"""Of the long recording: more than the 50 of a window of the audio branch."""


@pytest.fixture(scope="module")
def folder(untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hearing")
    for name in ("uplam.safetensors", "detector.safetensors"):
        shutil.copy(untrained / name, folder)
    torch.manual_seed(0)
    encoder = frozen(YAMNetEncoder())
    Seld("yamnet", encoder, SeldNetwork(encoder.channels)).save(folder / "seld.safetensors")
    models = {}
    for available, names in EVIDENCE.items():
        count = len(names)
        weight = [0.5] * count + [0.0] * (count * (count + 1) // 2)
        models[available] = LogisticCalibration([0.0] * count, [1.0] * count, weight, 8.0)
    Fusion(**models, toward_detector=0.5, rooms=[], recordings=[]).save(folder / "fusion.json")
    shutil.copy(find_weights().folder / "matchability.skops", folder)
    write_noise(folder / "rec.wav", FRAMES)
    write_noise(folder / "short.wav", 4)
    write_noise(folder / "two.wav", 2)
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


def test_the_weights_say_what_is_usual(
    folder: Path, untrained: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert Weights(folder).has_audio_branch and not Weights(untrained).has_audio_branch
    assert Imager(folder).default_system.name == "audiovisual" and not caplog.records
    assert Imager(untrained).default_system.name == "TASK3B_3"
    assert "no audio branch" in caplog.text
    with pytest.raises(CheckpointError) as refused:
        Imager(untrained)(folder / "rec.wav", system="audio")
    assert refused.value.place == "seld"


@pytest.mark.parametrize("video", [True, False])
@pytest.mark.parametrize("name", SYSTEMS)
def test_imaging_is_detecting_and_emitting(
    folder: Path, imager: Imager, tables: dict[bool, Candidates], name: str, video: bool
) -> None:
    shown = pictures(folder, 2) if video else None
    at_once = imager(folder / "two.wav", shown, system=name).masks
    assert len(at_once) > 0 or name == "Baseline"  # whose threshold is far above untrained scores
    assert encode_annotations(emit(tables[video], name)) == encode_annotations(at_once)


@pytest.fixture(scope="module")
def tables(folder: Path, imager: Imager) -> dict[bool, Candidates]:
    """Candidates of two frames, with their video and without."""
    return {
        video: imager.detect(folder / "two.wav", pictures(folder, 2) if video else None)
        for video in (True, False)
    }


def imaged(
    imager: Imager, recording: Path, video: Path, system: str
) -> tuple[Candidates, list[EnergyMask]]:
    """Return the candidates and masks of imaging at once."""
    tables: list[Candidates] = []

    def keep(block: Block, masks: list[EnergyMask]) -> None:
        tables.append(block.candidates)

    masks = imager(recording, video, system=system, on_block=keep).masks
    return joined(tables), masks


def test_a_table_goes_by_the_system_that_it_was_made_with(folder: Path, imager: Imager) -> None:
    shown = pictures(folder, 4)
    for name in ("audiovisual-precise", "audio", "TASK3B_4"):
        table, masks = imaged(imager, folder / "short.wav", shown, name)
        assert system_of(table) == SYSTEMS[name]
        assert encode_annotations(emit(table)) == encode_annotations(masks)
        assert table.branches == SYSTEMS[name].branches


def test_audio_alone_is_no_table_of_what_was_seen(folder: Path, imager: Imager) -> None:
    table, _ = imaged(imager, folder / "short.wav", pictures(folder, 4), "audio")
    with pytest.raises(CandidateError) as refused:
        emit(table, "audiovisual")
    assert refused.value.place == "branch"


@pytest.mark.parametrize(
    ("name", "count", "branches"), [("rec", FRAMES, ("audio",)), ("short", 4, BRANCHES)]
)
def test_rows_do_not_depend_on_threads_or_blocks(
    folder: Path, imager: Imager, name: str, count: int, branches: tuple[str, ...]
) -> None:
    path, frames = folder / f"{name}.wav", pictures(folder, 2)
    expected = rows_of(imager, path, frames, branches)
    assert expected.frame.max() == count - 1 and set(expected.branch) == set(branches)
    if "detector" in branches:
        pictured = expected.frame[expected.pictured]
        assert pictured.max() == 1 and expected.frame[~expected.pictured].min() == 2
    threaded = Imager(folder, threads=3)
    for other in (
        rows_of(threaded, path, frames, branches),
        small_blocks(imager, path, frames, branches),
    ):
        for column in ("frame", "class_id", "branch", "pictured"):
            np.testing.assert_array_equal(getattr(other, column), getattr(expected, column))
        np.testing.assert_allclose(other.score, expected.score, atol=2e-4)


def rows_of(imager: Imager, path: Path, frames: Path, branches: tuple[str, ...]) -> Candidates:
    """Return the rows of some branches of a recording."""
    blocks = imager.blocks(open_recording(path), imager.pictures(frames), branches)
    return joined([block.candidates for block in blocks])


def small_blocks(imager: Imager, path: Path, frames: Path, branches: tuple[str, ...]) -> Candidates:
    """Return the same where a few frames are pushed at a time."""
    recording = open_recording(path)
    engine = Engine(imager.networks, branches, "rec", frames=recording.frames)
    shown, blocks = imager.pictures(frames), []
    for audio in recording.blocks(3):
        blocks += engine.push(audio, list(islice(shown, 3)))
    blocks += engine.close()
    ends = [block.start + block.frames for block in blocks]
    assert [block.start for block in blocks] == [0, *ends[:-1]] and ends[-1] == recording.frames
    assert all(block.processed.all() for block in blocks)
    return joined([block.candidates for block in blocks])


def test_what_is_late_is_given_without_rows(folder: Path, imager: Imager) -> None:
    now = 0.0
    policy = Backpressure(max_lag_s=1.0, clock=lambda: now)
    engine = Engine(imager.networks, ("detector",), backpressure=policy)
    blocks = []
    for number, audio in enumerate(open_recording(folder / "short.wav").blocks(1)):
        now = 5.0 if number == 2 else number / 10
        blocks += engine.push(audio, captured=number / 10)
    blocks += engine.close()
    processed = np.concatenate([block.processed for block in blocks])
    assert processed.tolist() == [number != 2 for number in range(4)]
    rows = joined([block.candidates for block in blocks])
    assert set(rows.frame) == {0, 1, 3}


def test_frames_without_a_picture_are_left_out_where_asked(folder: Path, imager: Imager) -> None:
    engine = Engine(imager.networks, BRANCHES, only_pictured=True)
    (audio,) = open_recording(folder / "short.wav").blocks()
    picture = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    blocks = engine.push(audio, [picture, None, picture, np.zeros_like(picture)]) + engine.close()
    detected = joined([block.candidates for block in blocks]).of_branch("detector")
    assert set(detected.frame) == {0, 2}


@pytest.mark.parametrize("video", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_commands_image_as_they_detect_emit_and_draw(
    folder: Path, tmp_path: Path, saiseld: Callable[..., tuple[int, str]], video: bool
) -> None:
    recording = folder / "short.wav"
    given = ("--video", pictures(folder, 4)) if video else ()
    common = (recording, "--weights", folder, *given)
    assert saiseld("detect", *common, "-o", tmp_path / "c")[0] == 0
    table = tmp_path / "c" / "short.candidates.parquet"
    names = ("audiovisual", "TASK3B_2", "Baseline", "audio")
    for name in names:
        out, emitted, drawn = (tmp_path / name / kind for kind in ("image", "emit", "draw"))
        options = ("--threshold", 0, "--no-overlay", "--system", name)
        assert saiseld("image", *common, *options, "-o", out)[0] == 0
        masks = (out / "short.json").read_bytes()
        assert saiseld("emit", table, "--system", name, "-o", emitted)[0] == 0
        assert (emitted / "short.json").read_bytes() == masks
        own = out / "short.candidates.parquet"  # goes by the system that it was made with
        assert saiseld("emit", own, "-o", emitted / "own")[0] == 0
        assert (emitted / "own" / "short.json").read_bytes() == masks
        with pytest.MonkeyPatch.context() as patch:  # drawing is tested elsewhere
            patch.setattr("saiseld.pipeline.draw.write_overlay", lambda *_, **__: None)
            assert saiseld("draw", own, recording, "--threshold", 0, "-o", drawn)[0] == 0
        events = (drawn / "short.events.csv").read_bytes()
        assert events == (out / "short.events.csv").read_bytes()
    slots = [option for name in names for option in ("--system", name)]
    submission = ("--weights", folder, "-o", tmp_path / "s.zip")
    assert saiseld("submit", tmp_path / "c", *slots, *submission)[0] == 0
    with zipfile.ZipFile(tmp_path / "s.zip") as package:
        packed = sorted(name for name in package.namelist() if name.endswith("short.json"))
        for member, name in zip(packed, names, strict=True):
            assert package.read(member) == (tmp_path / name / "image" / "short.json").read_bytes()
