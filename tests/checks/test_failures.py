"""Capsules that fail on the way are found, wherever blocks begin, and silence is no failure."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from saiseld.checks.failures import FailureWatch
from saiseld.decision.systems import SYSTEMS
from saiseld.pipeline.image import ImageOptions, image_recordings
from saiseld.pipeline.results import Results, read_run_record
from saiseld.pipeline.weights import DEMO

FRAME = 2400


def sound(frames: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, (frames * FRAME, 4)).astype(np.float32)


@pytest.mark.parametrize("size", [1, 7, 600])
def test_gaps_of_a_second_are_found_wherever_blocks_begin(size: int) -> None:
    audio = sound(600)
    audio[400 * FRAME : 450 * FRAME, 2] = 0
    audio[500 * FRAME : 511 * FRAME, 2] *= 1e-3
    audio[20 * FRAME : 29 * FRAME, 1] = 0  # shorter than a second
    audio[300 * FRAME : 330 * FRAME] = 0  # all are silent
    audio[595 * FRAME :, 0] *= 0.02  # 34 dB down
    watch = FailureWatch(["6", "10", "26", "22"])
    blocks = (audio[at : at + size * FRAME] for at in range(0, len(audio), size * FRAME))
    assert sum(map(len, watch.watched(blocks))) == len(audio)
    assert watch.gaps == [[], [], [(400, 450), (500, 511)], []]
    (message,) = watch.messages(Path("a.wav"))
    assert message.startswith("a.wav: channel 26 is dead from 0:40 to 0:45 and once more, 6 s")


def test_the_last_gap_counts_and_a_whole_recording_is_told_elsewhere() -> None:
    audio = sound(40)
    audio[:, 3] = 0
    audio[25 * FRAME :, 0] = 0
    watch = FailureWatch(list("1234"))
    list(watch.watched([audio]))
    (message,) = watch.messages(Path("a.wav"))
    assert message.startswith("a.wav: channel 1 is dead from 0:02 to 0:04, 2 s in all")


def test_the_page_warns_of_a_capsule_that_failed_later(tmp_path: Path) -> None:
    scene, _ = soundfile.read(next(DEMO.glob("*.wav")), dtype="float32")
    audio = np.tile(scene, (4, 1))[: 345 * FRAME]
    audio[315 * FRAME :, 1] = 0
    soundfile.write(tmp_path / "take.wav", audio, 24_000)
    options = ImageOptions(system=SYSTEMS["audio"], overlay=False)
    for _ in range(2):  # the second run finds it done
        image_recordings([tmp_path / "take.wav"], tmp_path / "out", options=options)
        (warning,) = read_run_record(Results(tmp_path / "out", "take")).warnings
        assert warning.startswith("channel 2 is dead from 0:31 to 0:34, 3 s")
    assert "channel 2 is dead" in (tmp_path / "out" / "index.html").read_text()
