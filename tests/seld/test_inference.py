"""Which frames are told when, and from which windows; what hears a window is a stand-in."""

from __future__ import annotations

import numpy as np
import pytest
from tests.errors import raises

from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.conventions.timebase import SAMPLES_PER_FRAME
from saiseld.runtime.errors import AudioError
from saiseld.seld.inference import HOP_FRAMES, LowLatencyInference, SlidingWindowInference
from saiseld.seld.output import MAPS, ROWS, WINDOW_FRAMES

BLOCKS = (1000, SAMPLES_PER_FRAME, 30_000, 10**6)


class Fake:
    """Says of each frame what its first sample is, and remembers each window's first and length."""

    def __init__(self) -> None:
        self.windows: list[tuple[int, int]] = []

    def __call__(self, audio, /, *, last=None):
        first = audio[0, ::SAMPLES_PER_FRAME]
        self.windows.append((round(float(first[0]) * 1000), len(first)))
        said = np.zeros((len(first), ROWS + MAPS + NUM_CLASSES), np.float32)
        said[:, 0] = first
        return said if last is None else said[-last:]


def numbered(frames: int) -> np.ndarray:
    """Return sound whose samples are a thousandth of the number of their frame."""
    frame = np.arange(frames * SAMPLES_PER_FRAME) // SAMPLES_PER_FRAME
    return np.repeat(frame[:, None] / 1000, 4, axis=1).astype(np.float32)


def told(listener, audio: np.ndarray, size: int) -> list[int]:
    """Return the numbers of the frames that are told, of which each must be its own."""
    heard = [h for at in range(0, len(audio), size) for h in listener.push(audio[at : at + size])]
    frames = []
    for block in [*heard, *listener.close()]:
        own = range(block.start, block.start + len(block))
        likely = 1 / (1 + np.exp(-block.classes[:, 0]))
        np.testing.assert_allclose(likely, np.maximum(np.array(own) / 1000, 1e-6), atol=1e-5)
        frames += own
    return frames


@pytest.mark.parametrize("size", BLOCKS)
@pytest.mark.parametrize("frames", [1, 25, 26, 49, 50, 51, 74, 75, 76, 123])
def test_every_frame_once_and_the_windows_that_docs_name(size, frames) -> None:
    window = Fake()
    assert told(SlidingWindowInference(window), numbered(frames), size) == list(range(frames))
    starts = range(0, max(frames - HOP_FRAMES, 1), HOP_FRAMES)
    assert window.windows == [(s, min(frames - s, WINDOW_FRAMES)) for s in starts]


@pytest.mark.parametrize("size", BLOCKS)
@pytest.mark.parametrize(("hop", "ahead"), [(5, 5), (5, 0), (2, 7)])
def test_a_prompt_listener_tells_every_frame_once(size, hop, ahead) -> None:
    window = Fake()
    assert told(LowLatencyInference(window, hop, ahead), numbered(123), size) == list(range(123))
    assert all(length <= WINDOW_FRAMES for _, length in window.windows)
    assert [first + length for first, length in window.windows[:-1]] == list(
        range(hop + ahead, 124, hop)
    )


def test_a_frame_is_told_with_the_sound_that_is_waited_for() -> None:
    listener = LowLatencyInference(Fake(), 5, 5)
    for frame in range(40):
        sound = numbered(40)[frame * SAMPLES_PER_FRAME :][:SAMPLES_PER_FRAME]
        for block in listener.push(sound):
            assert block.start + len(block) + 5 == frame + 1


def test_half_of_an_answer_is_never_told() -> None:
    listener, audio = SlidingWindowInference(Fake()), numbered(200)
    starts = []
    for frame in range(200):
        sound = audio[frame * SAMPLES_PER_FRAME :][:SAMPLES_PER_FRAME]
        # The window of frames 50 to 99 is skipped: frames 50 to 99 miss it, others do not.
        starts += [h.start for h in listener.push(sound, late=frame == 99)]
    starts += [h.start for h in listener.close()]
    assert starts == [0, 25, 100, 125, 150, 175]


def test_a_late_prompt_window_costs_its_own_frames_alone() -> None:
    listener, audio = LowLatencyInference(Fake(), 5, 5), numbered(30)
    starts = []
    for frame in range(30):
        sound = audio[frame * SAMPLES_PER_FRAME :][:SAMPLES_PER_FRAME]
        starts += [h.start for h in listener.push(sound, late=frame == 14)]
    assert starts == [0, 10, 15, 20]


def test_a_dead_channel_is_told_once(caplog) -> None:
    audio = np.random.default_rng(0).standard_normal((SAMPLES_PER_FRAME * 80, 4)) / 10
    audio[:, 2] = 0
    for listener in (SlidingWindowInference(Fake()), LowLatencyInference(Fake(), 5, 5)):
        caplog.clear()
        for start in range(0, len(audio), SAMPLES_PER_FRAME):
            list(listener.push(audio[start : start + SAMPLES_PER_FRAME].astype(np.float32)))
        assert caplog.text.count("channel 3 is dead") == 1


def test_wrong_channels_are_told() -> None:
    for listener in (SlidingWindowInference(Fake()), LowLatencyInference(Fake(), 5, 5)):
        with raises(AudioError, expected="blocks of (samples, 4)"):
            list(listener.push(np.zeros((2400, 2), np.float32)))
