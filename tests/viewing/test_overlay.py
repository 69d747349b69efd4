"""The overlay video has every frame and the sound on its own side, and is whole or absent."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from tests.errors import raises

from saiseld.data.recordings import open_recording
from saiseld.data.video import find_video, open_video
from saiseld.formats.annotation import EnergyMask
from saiseld.runtime.errors import OutputError, VideoError
from saiseld.viewing.overlay import write_overlay


@contextmanager
def one_core() -> Iterator[None]:
    """Let this block have one core, where the system can say so, and then as many as before."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


@pytest.fixture
def recording(tmp_path: Path):
    audio = np.zeros((7 * 2400, 4), np.float32)
    time = np.arange(len(audio)) / 24000
    audio[:, [0, 2]] = 0.01 * np.sin(2 * np.pi * 440 * time)[:, None]
    soundfile.write(tmp_path / "rec.wav", audio, 24000)
    return open_recording(tmp_path / "rec.wav")


def test_every_frame_and_the_sound_of_the_left_side(tmp_path: Path, recording) -> None:
    mask = EnergyMask(3, 0, 1, (np.array([[90.0, 90, 1], [100, 90, 1], [95, 99, 1]]),), None, 0.5)
    ticks = []
    path = tmp_path / "rec.overlay.mp4"
    write_overlay(path, recording, [mask], [None], width=640, on_frame=lambda: ticks.append(1))
    with av.open(str(path)) as container:
        frames = [f.to_ndarray(format="rgb24").astype(int) for f in container.decode(video=0)]
        assert container.streams.video[0].width > 640
    with av.open(str(path)) as container:
        sound = np.concatenate([f.to_ndarray() for f in container.decode(audio=0)], axis=1)
    assert len(frames) == len(ticks) == 7
    difference = [np.abs(frame - frames[0])[40:320].sum() for frame in frames]
    assert np.argmax(difference) == 3
    left, right = (sound**2).mean(axis=1)
    assert left > 100 * right
    # A quiet recording is brought to full level.
    assert 0.6 < np.abs(sound[0]).max() < 1


def test_the_same_masks_give_the_same_bytes(tmp_path: Path, recording) -> None:
    contents = []
    for name in ("one", "all"):
        path = tmp_path / f"{name}.mp4"
        with one_core() if name == "one" else nullcontext():
            write_overlay(path, recording, [], [None])
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]
    assert b" threads=1 " in contents[0]  # x264 writes its options into the first picture


def test_an_overlay_is_never_taken_for_a_picture(tmp_path: Path, recording) -> None:
    write_overlay(tmp_path / "rec.mp4", recording, [], [], width=640)
    assert find_video(tmp_path, "rec") is None
    with raises(VideoError, found="an overlay that was drawn over one"):
        next(open_video(tmp_path / "rec.mp4"))


def test_no_half_video_is_left(tmp_path: Path, recording) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_overlay(tmp_path / "overlay.mp4", recording, [], [], on_frame=stop)
    assert [p.name for p in tmp_path.iterdir()] == ["rec.wav"]
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        write_overlay(tmp_path / "file" / "overlay.mp4", recording, [], [])
