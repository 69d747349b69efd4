import tracemalloc

import numpy as np
import pytest
import soundfile
from tests.errors import raises

from saiseld.conventions.taxonomy import CLASS_FOLDERS, NUM_CLASSES
from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.runtime.errors import DataError
from saiseld.simulation.sounds.bank import ProceduralBank, decode, levelled, read_bank


def draw(class_id, voice=1, seconds=1.5):
    rng = np.random.default_rng(0)
    return ProceduralBank().draw(class_id, "train", seconds, voice, rng)


@pytest.mark.parametrize("class_id", range(NUM_CLASSES))
def test_every_class_sounds_and_varies(class_id):
    sound = draw(class_id)
    assert np.isfinite(sound).all()
    assert 0.5 * SAMPLE_RATE < len(sound) <= 1.5 * SAMPLE_RATE + 1
    np.testing.assert_array_equal(sound, draw(class_id))
    other = draw(class_id, voice=2)
    length = min(len(sound), len(other))
    overlap = sound[:length] @ other[:length]
    assert abs(overlap) < 0.9 * np.linalg.norm(sound[:length]) * np.linalg.norm(other[:length])


@pytest.mark.parametrize("class_id", range(NUM_CLASSES))
def test_every_class_can_be_located(class_id):
    # The acoustic image is made from 1.5 to 4.5 kHz: some sound must be there.
    shares = []
    for voice in range(4):
        power = np.abs(np.fft.rfft(draw(class_id, voice))) ** 2
        frequency = np.linspace(0, SAMPLE_RATE / 2, len(power))
        shares.append(power[(frequency > 1500) & (frequency < 4500)].sum() / power.sum())
    assert np.median(shares) > 0.005


def pitch(sound):
    """Median over 40 ms blocks of the strongest autocorrelation between 70 and 300 Hz."""
    low, high = SAMPLE_RATE // 300, SAMPLE_RATE // 70
    pitches = []
    for start in range(0, len(sound) - 960, 960):
        block = sound[start : start + 960]
        correlation = np.correlate(block, block, "full")[959:]
        lag = low + int(np.argmax(correlation[low:high]))
        if correlation[lag] > 0.5 * correlation[0] > 0:
            pitches.append(SAMPLE_RATE / lag)
    return np.median(pitches)


def test_women_speak_higher_than_men():
    women, men = ([pitch(draw(c, voice)) for voice in range(4)] for c in (0, 1))
    assert min(women) > 155
    assert max(men) < 155


def test_level_is_that_of_the_sounding_part():
    tone = np.sin(np.arange(SAMPLE_RATE) * 0.3) * 0.02
    quiet = np.concatenate([tone, np.zeros(2 * SAMPLE_RATE)])
    loud = levelled(quiet)[:SAMPLE_RATE]
    assert np.sqrt(np.mean(np.square(loud))) == pytest.approx(1, rel=0.05)
    assert loud[0] == 0


def write_bank(folder, names=CLASS_FOLDERS, clips=2, rate=16_000):
    rng = np.random.default_rng(0)
    for name in names:
        (folder / name).mkdir(parents=True)
        for clip in range(clips):
            noise = 0.1 * rng.standard_normal(rate // 2)
            soundfile.write(folder / name / f"{clip}.wav", noise, rate)
    return folder


def test_bank_in_folders_named_by_others_is_resampled_and_cut(tmp_path):
    renamed = {"female_speech": "femaleSpeech", "door": "doorCupboard", "water_tap": "waterTap"}
    bank = read_bank(write_bank(tmp_path, [renamed.get(name, name) for name in CLASS_FOLDERS]))
    assert not bank.skipped
    assert {p.stem for p in bank.clips["train"][7]}.isdisjoint(
        p.stem for p in bank.clips["test"][7]
    )
    rng = np.random.default_rng(0)
    assert len(bank.draw(7, "train", 0.2, 0, rng)) == int(0.2 * SAMPLE_RATE)
    whole = bank.draw(7, "train", 5.0, 0, rng)
    assert len(whole) == pytest.approx(SAMPLE_RATE / 2, rel=0.01)


def test_train_and_test_folders_stay_apart(tmp_path):
    for side in ("train", "test"):
        write_bank(tmp_path / side, clips=1)
    bank = read_bank(tmp_path)
    for side in ("train", "test"):
        assert all(path.parts[-3] == side for clips in bank.clips[side] for path in clips)


def test_unreadable_clips_are_skipped_by_name(tmp_path):
    write_bank(tmp_path)
    (tmp_path / "bell" / "broken.wav").write_bytes(b"RIFF but not really")
    soundfile.write(tmp_path / "knock" / "silent.wav", np.zeros(8000), 16_000)
    bank = read_bank(tmp_path)
    assert len(bank.skipped) == 2
    assert "broken.wav: expected a readable sound file" in bank.skipped[0]
    assert "silent.wav: expected at least 50 ms of sound" in bank.skipped[1]
    assert not any("broken" in path.name for path in bank.files())


def test_class_folder_without_a_usable_clip_is_an_error(tmp_path):
    write_bank(tmp_path)
    for clip in (tmp_path / "bell").iterdir():
        clip.unlink()
    with raises(DataError, "bell", expected="at least one usable clip", found="0 files"):
        read_bank(tmp_path)


def test_missing_and_unknown_class_folders_are_errors(tmp_path):
    write_bank(tmp_path, CLASS_FOLDERS[:-1])
    with raises(DataError, expected="a folder knock for Knock", found="none"):
        read_bank(tmp_path)
    assert read_bank(tmp_path, classes=range(NUM_CLASSES - 1)).files()
    (tmp_path / "sirens").mkdir()
    with raises(DataError, "sirens", expected="a class folder", found="sirens"):
        read_bank(tmp_path)
    with raises(DataError, found="no such folder"):
        read_bank(tmp_path / "nowhere")


def test_a_pause_is_never_cut_out_of_a_clip(tmp_path):
    write_bank(tmp_path, clips=1)
    tick = np.zeros(16_000 * 8)
    tick[:4000] = tick[-4000:] = 0.5
    soundfile.write(tmp_path / CLASS_FOLDERS[7] / "0.wav", tick, 16_000)
    bank = read_bank(tmp_path)
    for seed in range(8):
        sound = bank.draw(7, "train", 1.0, 0, np.random.default_rng(seed))
        assert np.isfinite(sound).all() and np.abs(sound).max() > 0.1


def test_a_clip_of_many_channels_takes_the_memory_of_one(tmp_path):
    path = tmp_path / "a.flac"
    samples = np.zeros((480_000, 8), np.int16)
    samples[100_000:200_000] = np.random.default_rng(0).integers(-9000, 9000, (100_000, 1))
    soundfile.write(path, samples, 48_000)
    tracemalloc.start()
    decode(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * samples.size  # as 32-bit floats, all channels
