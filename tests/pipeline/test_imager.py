"""The main job end to end: sound and picture in, masks out; no saving changes a number."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.errors import raises
from tests.untrained import write_front_end, write_noise

import saiseld
from saiseld.data.recordings import open_recording, read_audio
from saiseld.decision.systems import decide, system_named
from saiseld.detector.model import Detector
from saiseld.formats.annotation import EnergyMask, encode_annotations
from saiseld.formats.candidates import candidate_writer, read_candidates
from saiseld.formats.features import AcousticImages
from saiseld.pipeline.defaults import VIEWING, VIEWING_THRESHOLD, system_of
from saiseld.pipeline.engine import Block, Engine
from saiseld.pipeline.imager import Imager
from saiseld.pipeline.networks import NetworkOptions, Networks, load_networks
from saiseld.runtime.errors import AudioError, CheckpointError


@pytest.fixture(scope="module")
def folder(untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recording of 5 frames and the weights of an untrained compact system."""
    folder = tmp_path_factory.mktemp("imaging")
    for name in ("uplam.safetensors", "detector.safetensors"):
        shutil.copy(untrained / name, folder)
    write_noise(folder / "rec.wav", 5)
    return folder


@pytest.fixture(scope="module")
def imager(folder: Path) -> Imager:
    return Imager(folder)


def test_imaging_is_detecting_and_emitting(folder: Path) -> None:
    recording = folder / "rec.wav"
    masks = saiseld.image(recording, weights=folder).masks
    found = saiseld.detect(recording, weights=folder)
    for mask, other in zip(masks, saiseld.emit(found), strict=True):
        assert (mask.frame, mask.class_id, mask.score) == (other.frame, other.class_id, other.score)
        np.testing.assert_array_equal(mask.segmentation[0], other.segmentation[0])
    assert len(saiseld.emit(found, "TASK3B_4")) > len(masks)
    assert saiseld.emit(found, threshold=1.1) == []


def test_what_is_shown_goes_by_the_threshold_chosen_for_the_weights(
    folder: Path, imager: Imager
) -> None:
    assert imager(folder / "rec.wav").threshold == VIEWING_THRESHOLD
    chosen = folder / VIEWING
    chosen.write_text('{"threshold": 0.01, "F1": 0.5, "system": "audio", "recordings": []}')
    prediction = imager(folder / "rec.wav")
    assert prediction.threshold == 0.01
    assert len(prediction.events()) == len(prediction.events(0.01)) > len(prediction.events(0.9))
    chosen.unlink()


def test_pictures_are_scaled_as_the_detector_learnt_them(
    imager: Imager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 400, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "rec_0000.png")
    for scaling in ("bicubic", "bilinear"):
        monkeypatch.setattr(imager.networks.detector, "frame_scaling", scaling)
        (picture,) = imager.pictures(tmp_path)
        wanted = Image.fromarray(noise).resize((360, 180), Image.Resampling[scaling.upper()])
        assert np.array_equal(picture, wanted)
    assert imager.pictures(None) is None


def test_masks_are_those_of_the_candidates(folder: Path, imager: Imager, tmp_path: Path) -> None:
    recording = open_recording(folder / "rec.wav")
    blocks: list[Block] = []
    with candidate_writer(tmp_path / "rec.candidates.parquet") as append:

        def keep(block: Block, masks: list[EnergyMask]) -> None:
            append(block.candidates)
            blocks.append(block)

        prediction = imager.image(recording, on_block=keep)
    assert sum(block.frames for block in blocks) == prediction.missing_pictures == 5
    table = read_candidates(tmp_path / "rec.candidates.parquet")
    assert table.frames == 5 and len(prediction.masks) > 0
    again = decide(table, system_of(table))
    for mask, other in zip(prediction.masks, again, strict=True):
        assert (mask.frame, mask.class_id, mask.score) == (other.frame, other.class_id, other.score)
        # The table keeps energy maps in 16 bits; so does what is emitted.
        np.testing.assert_array_equal(mask.segmentation[0], other.segmentation[0])


def test_neighbouring_frames_are_those_of_the_recording(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "uplam.safetensors", tmp_path)
    torch.manual_seed(0)
    Detector("compact", "great_circle", context=1).save(tmp_path / "detector.safetensors")
    imager, recording = Imager(tmp_path), open_recording(folder / "rec.wav")
    whole = list(imager.networks.front_end.images(recording))
    assert [len(block.latent) for block in whole] == [5]
    parts = [
        AcousticImages(w.latent[a:b], w.closure[a:b], w.diffuseness[a:b])
        for w in whole
        for a, b in ((0, 2), (2, 3), (3, 5))
    ]
    (one,) = imager.blocks(recording, images=whole)
    others = list(imager.blocks(recording, images=parts))
    assert [block.frames for block in others] == [2, 1, 2]
    frame = np.concatenate([block.candidates.frame for block in others])
    np.testing.assert_array_equal(frame, one.candidates.frame)
    score = np.concatenate([block.candidates.score for block in others])
    np.testing.assert_allclose(score, one.candidates.score, rtol=1e-4)


def test_running_every_head_changes_no_mask(folder: Path, imager: Imager) -> None:
    recording = open_recording(folder / "rec.wav")
    found = [list(imager.blocks(recording, **options)) for options in ({}, {"keep": None})]
    for name in ("TASK3B_3", "TASK3B_4", "Sparse peaks"):
        system = system_named(name)
        emitted = [[m for b in blocks for m in decide(b.candidates, system)] for blocks in found]
        for saved, whole in zip(*emitted, strict=True):
            assert (saved.frame, saved.class_id, saved.score) == (
                whole.frame,
                whole.class_id,
                whole.score,
            )
            np.testing.assert_allclose(
                saved.segmentation[0], whole.segmentation[0], rtol=1e-4, atol=1e-3
            )


def test_a_covered_lens_is_as_good_as_no_picture(folder: Path, imager: Imager) -> None:
    recording = open_recording(folder / "rec.wav")
    covered = np.random.default_rng(1).integers(0, 3, (180, 360, 3), dtype=np.uint8)
    (block,) = imager.blocks(recording, [covered] * 5)
    (without,) = imager.blocks(recording)
    assert block.missing_pictures == 5
    np.testing.assert_array_equal(block.candidates.score, without.candidates.score)
    np.testing.assert_array_equal(block.candidates.box, without.candidates.box)


def test_the_picture_matters_and_where_it_ends_is_counted(folder: Path, imager: Imager) -> None:
    recording = open_recording(folder / "rec.wav")
    picture = np.random.default_rng(1).integers(0, 255, (180, 360, 3), dtype=np.uint8)
    (block,) = imager.blocks(recording, [picture, None, picture])
    (without,) = imager.blocks(recording)
    assert block.missing_pictures == 3 and without.missing_pictures == 5
    first = block.candidates.frame == 0
    assert not np.array_equal(
        block.candidates.score[first], without.candidates.score[without.candidates.frame == 0]
    )


def test_an_imager_takes_a_path_an_array_or_an_opened_recording(
    folder: Path, imager: Imager
) -> None:
    path = folder / "rec.wav"
    expected = encode_annotations(imager(path).masks)
    for source, rate in (
        (str(path), None),
        (open_recording(path), None),
        (read_audio(path), 24_000),
    ):
        found = imager(source, sample_rate=rate)
        assert encode_annotations(found.masks) == expected
    with pytest.raises(AudioError) as refused:
        imager(read_audio(path))
    assert refused.value.place == "sample_rate"


def test_networks_are_kept_loaded_until_their_files_change(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "w")
    options = NetworkOptions(tmp_path / "w")
    first = load_networks(options)
    assert load_networks(options) is first
    (tmp_path / "w" / "uplam.safetensors").touch()
    assert load_networks(options) is not first


def test_sound_alone_loads_no_detector() -> None:
    networks = Networks(NetworkOptions(), threads=1)
    networks.load(("audio",))
    Engine(networks, ("audio",), "nothing", video=False).stop()
    assert {"front_end", "detector", "audio"} & set(vars(networks)) == {"audio"}


def test_front_end_and_detector_must_belong_together(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "detector.safetensors").symlink_to(folder / "detector.safetensors")
    write_front_end(tmp_path, "official")
    with raises(CheckpointError, place="projection", expected="official"):
        Imager(tmp_path)
