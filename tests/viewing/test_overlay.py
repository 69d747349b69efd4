"""The overlay video has every frame and the sound on its own side, and is whole or absent."""

from pathlib import Path

import av
import numpy as np
import pytest

from saiseld.formats.annotation import EnergyMask
from saiseld.runtime.errors import OutputError
from saiseld.viewing.overlay import overlay_writer


@pytest.fixture
def audio() -> np.ndarray:
    """Seven frames of a tone at the left."""
    audio = np.zeros((7 * 2400, 4), np.float32)
    time = np.arange(len(audio)) / 24000
    audio[:, [0, 2]] = 0.5 * np.sin(2 * np.pi * 440 * time)[:, None]
    return audio


def test_every_frame_and_the_sound_of_the_left_side(tmp_path: Path, audio) -> None:
    mask = EnergyMask(3, 0, 1, (np.array([[90.0, 90, 1], [100, 90, 1], [95, 99, 1]]),), None, 0.5)
    path = tmp_path / "overlay.mp4"
    with overlay_writer(path) as draw:
        draw(audio[: 2 * 2400], [None] * 2, [])
        draw(audio[2 * 2400 :], [None] * 5, [mask])
    with av.open(str(path)) as container:
        frames = [f.to_ndarray(format="rgb24").astype(int) for f in container.decode(video=0)]
    with av.open(str(path)) as container:
        sound = np.concatenate([f.to_ndarray() for f in container.decode(audio=0)], axis=1)
    assert len(frames) == 7
    difference = [np.abs(frame - frames[0])[60:500].sum() for frame in frames]
    assert np.argmax(difference) == 3
    left, right = (sound**2).mean(axis=1)
    assert left > 100 * right


def test_blocks_draw_the_same_video(tmp_path: Path, audio) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (180, 360, 3), dtype=np.uint8)
    for name, length in (("one", 1), ("whole", 7)):
        with overlay_writer(tmp_path / f"{name}.mp4", "room") as draw:
            for part in np.split(audio, 7 // length):
                draw(part, [picture] * length, [])
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()


def test_no_half_video_is_left(tmp_path: Path, audio) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        overlay_writer(tmp_path / "overlay.mp4") as draw,
    ):
        draw(audio, [None] * 7, [])
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError), overlay_writer(tmp_path / "file" / "overlay.mp4"):
        pass
