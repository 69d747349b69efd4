"""Two recordings into one folder: nobody loses a segment."""

from types import SimpleNamespace

import numpy as np
import pytest

from saiseld.data.recordings import read_audio
from saiseld.live.recorder import Recorder
from saiseld.runtime import files


def frames(value, count):
    sound = np.full((2400, 4), value, np.float32)
    for number in range(count):
        yield SimpleNamespace(frame=number, sound=sound, picture=None, masks=[])


def test_two_recordings_at_once_keep_all_their_segments(tmp_path):
    with Recorder(tmp_path, 0.2) as first, Recorder(tmp_path, 0.2) as second:
        for one, two in zip(frames(0.25, 6), frames(0.5, 6), strict=True):
            first.add(one)
            second.add(two)
    sounds = [read_audio(path) for path in sorted(tmp_path.glob("*.wav"))]
    assert len(sounds) == 6 and len(list(tmp_path.glob("*.json"))) == 6
    assert all(len(sound) == 4800 for sound in sounds)
    assert sorted(float(sound[0, 0]) for sound in sounds) == [0.25] * 3 + [0.5] * 3


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
