"""Recordings are read whole, in blocks, at any rate; bad ones are refused with one clear line."""

import os
import re
import struct
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from tests.errors import raises

from saiseld.data.recordings import (
    TETRAHEDRON,
    find_recordings,
    open_recording,
    read_audio,
    recording_of_array,
)
from saiseld.runtime.errors import AudioError


def write(path: Path, audio: np.ndarray, rate: int = 24000, subtype: str = "FLOAT") -> Path:
    soundfile.write(path, audio, rate, subtype=subtype)
    return path


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, (24000 + 1300, 4)).astype(np.float32)


@pytest.mark.parametrize("frames_per_block", [1, 3, 10, 100])
def test_blocks_hold_every_whole_frame_once(tmp_path: Path, noise, frames_per_block: int) -> None:
    recording = open_recording(write(tmp_path / "a.wav", noise))
    blocks = list(recording.blocks(frames_per_block))
    assert all(len(b) % 2400 == 0 and len(b) <= frames_per_block * 2400 for b in blocks)
    np.testing.assert_array_equal(np.concatenate(blocks), noise[:24000])


def test_flac_reads_as_the_wav_does(tmp_path: Path, noise) -> None:
    whole = (noise * 32767).astype(np.int16)
    wav = read_audio(write(tmp_path / "a.wav", whole, subtype="PCM_16"))
    flac = read_audio(write(tmp_path / "a.flac", whole, subtype="PCM_16"))
    np.testing.assert_array_equal(wav, flac)


def test_the_four_capsules_are_picked_from_thirty_two(tmp_path: Path) -> None:
    audio = np.tile(np.arange(32, dtype=np.float32) / 64, (2400, 1))
    path = write(tmp_path / "a.wav", audio)
    np.testing.assert_array_equal(read_audio(path)[0] * 64, TETRAHEDRON)
    assert read_audio(path, tetrahedral=False).shape == (2400, 32)


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
def test_other_rates_are_resampled_and_said(tmp_path: Path, rate: int, caplog) -> None:
    time = np.arange(rate) / rate
    tone = np.repeat(np.sin(2 * np.pi * 1000 * time)[:, None] * 0.5, 4, axis=1)
    path = write(tmp_path / "tone.wav", tone, rate)
    with caplog.at_level("INFO"):
        audio = read_audio(path)
    assert f"{rate} Hz resampled to 24000 Hz" in caplog.text
    assert audio.shape == (24000, 4)
    expected = np.sin(2 * np.pi * 1000 * np.arange(24000) / 24000) * 0.5
    np.testing.assert_allclose(audio[2400:-2400, 0], expected[2400:-2400], atol=2e-4)


def test_recordings_are_found_in_folders_once(tmp_path: Path, noise) -> None:
    for folder, name in (("a", "x.wav"), ("b", "y.flac")):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / name, noise, subtype="PCM_16")
    found = find_recordings([tmp_path / "a" / "x.wav", tmp_path / "b"])
    assert [path.name for path in found] == ["x.wav", "y.flac"]
    with raises(AudioError, expected="recordings of different names"):
        find_recordings([tmp_path / "a" / "x.wav", tmp_path])
    (tmp_path / "empty").mkdir()
    with raises(AudioError, expected="recordings"):
        find_recordings([tmp_path / "empty"])
    # Named files are opened where they are worked on.
    assert find_recordings([tmp_path / "absent.wav"]) == [tmp_path / "absent.wav"]


def test_missing_file(tmp_path: Path) -> None:
    with raises(AudioError, "nothing.wav", expected="a WAV or FLAC", found="no such file"):
        open_recording(tmp_path / "nothing.wav")


def test_text_named_wav(tmp_path: Path) -> None:
    path = tmp_path / "text.wav"
    path.write_text("this is not audio, however long it goes on " * 20)
    with raises(AudioError, "text.wav", expected="a WAV or FLAC recording"):
        open_recording(path)


def test_no_samples(tmp_path: Path) -> None:
    with raises(AudioError, expected="at least one frame", found="0 samples"):
        open_recording(write(tmp_path / "a.wav", np.zeros((0, 4), np.float32)))


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp4"])
def test_an_empty_file_is_called_empty(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with raises(AudioError, tmp_path / name, found="an empty file", advice="record it again"):
        open_recording(tmp_path / name)


@pytest.mark.parametrize(
    ("channels", "advice"), [(1, "microphone array"), (2, "microphone array"), (6, "--array")]
)
def test_other_numbers_of_channels_come_with_advice(tmp_path: Path, channels: int, advice) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((2400, channels)), 24_000)
    with raises(AudioError, place="channels", found=str(channels), advice=advice):
        open_recording(tmp_path / "a.wav")


def test_three_channels(tmp_path: Path) -> None:
    with raises(AudioError, place="channels", expected="or 32", found="3"):
        open_recording(write(tmp_path / "a.wav", np.zeros((2400, 3), np.float32)))


def test_nan_is_named_by_channel_and_sample(tmp_path: Path, noise) -> None:
    noise[1234, 2] = np.nan
    path = write(tmp_path / "a.wav", noise)
    with raises(AudioError, place="channel 3, sample 1234", expected="finite", found="nan"):
        read_audio(path)


def test_truncated_wav(tmp_path: Path, noise) -> None:
    path = write(tmp_path / "a.wav", noise)
    path.write_bytes(path.read_bytes()[:-10000])
    with raises(AudioError, place="data chunk", advice="The file is cut off"):
        open_recording(path)


def test_truncated_flac(tmp_path: Path, noise) -> None:
    path = write(tmp_path / "a.flac", noise, subtype="PCM_16")
    path.write_bytes(path.read_bytes()[:-40000])
    with pytest.raises(AudioError):
        read_audio(path)


def test_a_wav_of_open_length_is_read(tmp_path: Path, noise) -> None:
    path = write(tmp_path / "a.wav", noise, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = struct.pack("<I", 0xFFFFFFFF)
    path.write_bytes(bytes(content))
    assert open_recording(path).frames == 10


def test_an_array_is_a_recording_too(tmp_path: Path, noise) -> None:
    recording = recording_of_array(noise.astype(float), 24000, "take")
    assert (recording.name, recording.frames) == ("take", 10)
    np.testing.assert_array_equal(np.concatenate(list(recording.blocks(3))), noise[:24000])
    for audio, rate, place, expected in (
        (noise[:, 0], 24000, "", "an array (samples, channels)"),
        (noise[:, :3], 24000, "channels", "4"),
        (noise[:100], 24000, "", "at least one frame"),
        (noise, 8000, "sample rate", "at least 9000 Hz"),
    ):
        with raises(AudioError, place=place, expected=expected):
            recording_of_array(audio, rate)


def test_lossy_sound_is_read_with_a_warning(tmp_path: Path, caplog) -> None:
    time = np.arange(48000) / 24000
    tones = np.stack([np.sin(2 * np.pi * f * time) / 4 for f in (440, 880, 1320, 1760)])
    with av.open(str(tmp_path / "take.m4a"), "w") as container:
        stream = container.add_stream("aac", rate=24000, layout="4.0")
        frame = av.AudioFrame.from_ndarray(tones.astype(np.float32), "fltp", "4.0")
        frame.sample_rate = 24000
        container.mux([*stream.encode(frame), *stream.encode()])
    (path,) = find_recordings([tmp_path])
    recording = open_recording(path)
    assert recording.channels == 4 and recording.frames >= 20
    audio = np.concatenate(list(recording.blocks()))
    spectrum = np.abs(np.fft.rfft(audio[2400:26400], axis=0))
    np.testing.assert_array_equal(np.sort(spectrum.argmax(axis=0)), [440, 880, 1320, 1760])
    assert "lossy coding (aac)" in caplog.text


def test_ambisonics_become_capsules(tmp_path: Path, noise) -> None:
    path = write(tmp_path / "a.wav", noise)
    heard = np.concatenate(list(open_recording(path, "ambix").blocks(3)))
    assert heard.shape == (24000, 4) and not np.allclose(heard, noise[:24000], atol=0.1)


def test_rates_of_no_microphone_are_refused(tmp_path: Path) -> None:
    for rate in (1, 8, 768_001):
        path = write(tmp_path / "a.wav", np.zeros((2400, 4), np.float32), rate)
        with raises(AudioError, path, place=re.compile("^sample.rate$"), found=str(rate)):
            open_recording(path)


def test_more_than_a_day_is_meant_or_refused(tmp_path: Path, noise, monkeypatch) -> None:
    path = write(tmp_path / "a.wav", noise)
    monkeypatch.setenv("SAISELD_MAX_FRAMES", "9")
    with raises(AudioError, place="frames", expected="at most 9", found="10"):
        open_recording(path)


@pytest.mark.parametrize("name", [b"caf\xe9", b"red\x1b[31m", b"n" * 240])
def test_names_that_no_result_can_have_are_refused(tmp_path: Path, noise, name: bytes) -> None:
    path = tmp_path / (os.fsdecode(name) + ".wav")
    path.write_bytes(write(tmp_path / "a.wav", noise).read_bytes())
    with raises(AudioError, expected="a name that results can have too") as caught:
        open_recording(path)
    assert str(caught.value).isprintable()


def test_rare_sound_formats_are_refused(tmp_path: Path, noise) -> None:
    soundfile.write(tmp_path / "a.wav", noise, 24000, format="PAF", subtype="PCM_16")
    with raises(AudioError, expected="a WAV or FLAC recording", found="PAF"):
        open_recording(tmp_path / "a.wav")


def test_a_playlist_is_no_recording(tmp_path: Path, noise) -> None:
    write(tmp_path / "secret.wav", noise)
    (tmp_path / "a.m4a").write_text("ffconcat version 1.0\nfile secret.wav\n")
    with raises(AudioError, expected="a WAV or FLAC recording"):
        open_recording(tmp_path / "a.m4a")


def test_hidden_files_are_no_recordings(tmp_path: Path, noise) -> None:
    for name in ("take.wav", "._take.wav", ".0123abcd.part.wav"):
        write(tmp_path / name, noise)
    assert [path.name for path in find_recordings([tmp_path])] == ["take.wav"]
