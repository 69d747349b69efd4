"""Two recordings into one folder: nobody loses a segment."""

from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from saiseld.arrays.converter import converter_for
from saiseld.arrays.description import read_array
from saiseld.data.recordings import CHANNELS_SUFFIX, find_recordings, read_audio
from saiseld.live.recorder import Recorder
from saiseld.live.sources import Block, ConvertedSource, tapped
from saiseld.pipeline.open import open_checked
from saiseld.runtime import files


def frames(value, count):
    sound = np.full((2400, 4), value, np.float32)
    for number in range(count):
        yield SimpleNamespace(frame=number, captured=0.0, sound=sound, picture=None, masks=[])


def test_two_recordings_at_once_keep_all_their_segments(tmp_path):
    with Recorder(tmp_path, 0.2) as first, Recorder(tmp_path, 0.2) as second:
        for one, two in zip(frames(0.25, 6), frames(0.5, 6), strict=True):
            first.add(one)
            second.add(two)
    sounds = [read_audio(path) for path in sorted(tmp_path.glob("*.wav"))]
    assert len(sounds) == 6 and len(list(tmp_path.glob("*.json"))) == 6
    assert all(len(sound) == 4800 for sound in sounds)
    assert sorted(float(sound[0, 0]) for sound in sounds) == [0.25] * 3 + [0.5] * 3


def test_all_channels_of_a_source_are_kept_beside_the_capsules_made_of_them(tmp_path):
    array = read_array("respeaker-usb-4")
    rng = np.random.default_rng(0)
    came = rng.uniform(-0.5, 0.5, (48_000, 6)).astype(np.float32)
    blocks = [Block(came[i * 2400 : (i + 1) * 2400], 0.05 * (i + 1), i * 2400) for i in range(20)]
    del blocks[7]  # lost on the way: silence in its place
    device = SimpleNamespace(name="device", sample_rate=48_000, channels=6, blocks=lambda: blocks)
    with Recorder(tmp_path, 0.5, device.sample_rate) as recorder:
        source = tapped(ConvertedSource(device, converter_for(array)), recorder.add_channels)
        capsules = np.concatenate([block.samples for block in source.blocks()])
        for number in range(10):
            sound = capsules[2400 * number : 2400 * (number + 1)]
            recorder.add(
                SimpleNamespace(
                    frame=number, captured=0.1 * (number + 1) + 1e-6, sound=sound, picture=None,
                    masks=[],
                )
            )  # fmt: skip
    kept = sorted(tmp_path.glob(f"*{CHANNELS_SUFFIX}"))
    sounds = [soundfile.read(path, dtype="float32") for path in kept]
    wanted = came.copy()
    wanted[7 * 2400 : 8 * 2400] = 0
    assert [rate for _, rate in sounds] == [48_000] * 2
    np.testing.assert_array_equal(np.concatenate([sound for sound, _ in sounds]), wanted)
    beside = find_recordings([tmp_path])
    assert [path.name.replace(".wav", CHANNELS_SUFFIX) for path in beside] == [p.name for p in kept]
    assert open_checked(kept[0], array).channels == 6


def test_a_later_recording_has_the_first_number_again(tmp_path):
    for _ in range(2):
        with files.run_number(tmp_path) as number, files.run_number(tmp_path) as other:
            assert (number, other) == (1, 2)


@pytest.mark.parametrize("suffix", [".wav", ".json"])
def test_a_segment_that_is_there_is_left_alone(tmp_path, suffix, monkeypatch):
    from saiseld.live import recorder

    class Clock:
        @staticmethod
        def now():
            import datetime

            return datetime.datetime(2026, 1, 2, 3, 4, 5)

    monkeypatch.setattr(recorder, "datetime", Clock)
    (tmp_path / f"20260102T030405_001{suffix}").write_bytes(b"mine")
    with Recorder(tmp_path, 1.0) as one:
        for frame in frames(0.5, 2):
            one.add(frame)
    assert (tmp_path / f"20260102T030405_001{suffix}").read_bytes() == b"mine"
    assert (tmp_path / "20260102T030405_002.wav").exists()
