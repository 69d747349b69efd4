"""Features files hold what the front end gives, to the rounding of 16 bits, whole or absent."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.errors import raises
from tests.untrained import write_front_end

from saiseld.acoustics.covariance import visibility
from saiseld.acoustics.front_end import FrontEnd, is_current, write_images
from saiseld.acoustics.gates import closure, diffuseness
from saiseld.acoustics.uplam import UpLAM
from saiseld.data.recordings import open_recording
from saiseld.formats.checkpoint import write_checkpoint
from saiseld.formats.features import Features
from saiseld.runtime.cache import content_digest
from saiseld.runtime.errors import AudioError, CheckpointError, DataError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recording of 7 frames (frame 2 silent) and UpLAM weights."""
    folder = tmp_path_factory.mktemp("features")
    audio = np.random.default_rng(0).uniform(-0.5, 0.5, (7 * 2400, 4))
    audio[4800:7200] = 0
    soundfile.write(folder / "rec.wav", audio, 24000, subtype="FLOAT")
    write_front_end(folder)
    return folder


@pytest.fixture(scope="module")
def front_end(folder: Path) -> FrontEnd:
    return FrontEnd(folder / "uplam.safetensors")


def test_file_holds_the_front_end_s_images(folder: Path, front_end: FrontEnd) -> None:
    recording = open_recording(folder / "rec.wav")
    (whole,) = front_end.images(recording)
    write_images(folder / "exact", recording, front_end, "float32")
    write_images(folder / "half", recording, front_end, "float16")
    exact, half = Features(folder / "exact"), Features(folder / "half")
    assert exact.frames == 7 and exact.provenance["projection"] == "great_circle"
    np.testing.assert_array_equal(exact.latent(0, 7), whole.latent)
    np.testing.assert_array_equal(exact.closure, whole.closure)
    np.testing.assert_array_equal(exact.diffuseness, whole.diffuseness)
    largest = np.abs(whole.latent).max(axis=(1, 2), keepdims=True)
    assert (np.abs(half.latent(0, 7) - whole.latent) <= largest * 2**-11).all()
    pieces = [block.latent for block in half.images(frames_per_block=3)]
    np.testing.assert_array_equal(np.concatenate(pieces), half.latent(0, 7))


def test_block_size_does_not_matter(folder: Path, front_end: FrontEnd) -> None:
    recording = open_recording(folder / "rec.wav")
    whole = next(front_end.images(recording)).latent
    pieces = np.concatenate([block.latent for block in front_end.images(recording, 2)])
    np.testing.assert_allclose(pieces, whole, atol=1e-5 * np.abs(whole).max())


def test_what_is_current_is_told_by_sound_weights_and_width(
    folder: Path, front_end: FrontEnd, tmp_path: Path
) -> None:
    path, sound = tmp_path / "current", tmp_path / "rec.wav"
    sound.write_bytes((folder / "rec.wav").read_bytes())
    recording = open_recording(sound)
    assert not is_current(path, recording, front_end, "float16")
    write_images(path, recording, front_end, "float16")
    assert is_current(path, recording, front_end, "float16")
    assert not is_current(path, recording, front_end, "float32")
    soundfile.write(sound, np.full((7 * 2400, 4), 0.1), 24000)
    assert not is_current(path, open_recording(sound), front_end, "float16")


def test_images_of_another_front_end_length_or_sound_are_refused(
    folder: Path, front_end: FrontEnd, tmp_path: Path
) -> None:
    write_images(tmp_path / "a", open_recording(folder / "rec.wav"), front_end)
    images, sound = Features(tmp_path / "a"), content_digest(folder / "rec.wav")
    images.check_made_by(front_end.identity, 7, sound)
    write_checkpoint(tmp_path / "b.safetensors", UpLAM().state_dict(), {})
    other = FrontEnd(tmp_path / "b.safetensors").identity
    for wrong, place in (
        ((front_end.identity, 8, sound), "frames"),
        ((other, 7, sound), "weights"),
        ((front_end.identity, 7, content_digest(tmp_path / "a")), "sound"),
    ):
        with raises(DataError, tmp_path / "a", place=place):
            images.check_made_by(*wrong)


def test_gates_tell_one_source_from_noise() -> None:
    rng = np.random.default_rng(1)
    tone = rng.standard_normal((24000, 1)) @ np.ones((1, 4))
    noise = rng.standard_normal((24000, 4))
    one, many = visibility(tone), visibility(noise)
    np.testing.assert_allclose(closure(one), 1, atol=1e-6)
    np.testing.assert_allclose(diffuseness(one), 0, atol=1e-6)
    assert closure(many).mean() < 0.6 and diffuseness(many).mean() > 0.3
    silent = visibility(np.zeros((2400, 4)))
    assert closure(silent) == diffuseness(silent) == 0


def test_bad_files_and_weights(folder: Path, tmp_path: Path) -> None:
    with raises(DataError, found="no such file"):
        Features(tmp_path / "absent")
    with raises(DataError, expected="a features file"):
        Features(folder / "uplam.safetensors")
    state = UpLAM().state_dict()
    write_checkpoint(tmp_path / "a.safetensors", state, {"projection": "fisheye"})
    with raises(CheckpointError, place="projection", found="'fisheye'"):
        FrontEnd(tmp_path / "a.safetensors")


def test_a_recording_that_fails_leaves_no_file(tmp_path: Path, front_end: FrontEnd) -> None:
    audio = np.zeros((4800, 4), np.float32)
    audio[4000] = np.nan
    soundfile.write(tmp_path / "rec.wav", audio, 24000, subtype="FLOAT")
    with raises(AudioError, tmp_path / "rec.wav", expected="finite samples", found="nan"):
        write_images(tmp_path / "out", open_recording(tmp_path / "rec.wav"), front_end)
    assert [p.name for p in tmp_path.iterdir()] == ["rec.wav"]
