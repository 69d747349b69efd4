"""360° video: MP4 or a folder of frames, as 360 x 180 RGB frames at 10 FPS.

A frame that the video does not have is None and becomes the ImageNet mean, never noise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from saiseld.conventions.sphere import HEIGHT, WIDTH
from saiseld.conventions.timebase import FPS
from saiseld.runtime.errors import VideoError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""RGB of a frame that is not there, in [0, 1]."""

MAX_SIDE = 16_384
_FRAME_NUMBER = re.compile(r"_(\d+)\.(?:png|jpe?g)$", re.IGNORECASE)

Frame = NDArray[np.uint8]


def open_video(path: str | Path) -> Iterator[Frame | None]:
    """Yield (180, 360, 3) uint8 RGB frames at 10 FPS from frame 0 on, until the video ends.

    Parameters
    ----------
    path
        A video file, resampled by timestamps as FFmpeg's ``fps=10`` does, or a folder of frames
        named ``<recording>_0000.png``, zero-based. A number missing in a folder is yielded as None.

    Raises
    ------
    VideoError
        If there is no video to read in it, or it is damaged.
    """
    path = Path(path)
    if path.is_dir():
        return _folder_frames(path)
    if not path.is_file():
        raise VideoError(path, expected="a video or a folder of frames", found="no such file")
    return _video_frames(path)


def find_video(video: str | Path, recording: str) -> Path | None:
    """Return a recording's own video: ``video`` itself, or what a folder of several has for it.

    A folder may hold ``<recording>.mp4``, frames in ``<recording>/``, either of them one folder
    down (``video_dev/dev-test-tau/<recording>.mp4``), or one recording's frames.
    None where a folder of several has nothing for it.
    """
    video = Path(video)
    if not video.is_dir():
        return video
    names = (f"{recording}.mp4", recording)
    for own in (
        *(video / name for name in names),
        *(p for n in names for p in video.glob(f"*/{n}")),
    ):
        if own.exists():
            return own
    has_frames = any(_FRAME_NUMBER.search(path.name) for path in video.iterdir())
    return video if has_frames else None


def rgb_planes(frames: Iterable[Frame | None]) -> NDArray[np.float32]:
    """Return (n, 3, 180, 360) float32 in [0, 1]; None becomes the ImageNet's mean."""
    mean = np.broadcast_to(np.array(IMAGENET_MEAN, np.float32)[:, None, None], (3, HEIGHT, WIDTH))
    planes = [
        mean if frame is None else frame.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
        for frame in frames
    ]
    return np.stack(planes) if planes else np.zeros((0, 3, HEIGHT, WIDTH), np.float32)


def _folder_frames(folder: Path) -> Iterator[Frame | None]:
    numbered = {
        int(match.group(1)): path
        for path in folder.iterdir()
        if (match := _FRAME_NUMBER.search(path.name))
    }
    if not numbered:
        raise VideoError(folder, expected="frames named *_0000.png", found="none")
    for number in range(max(numbered) + 1):
        yield _read_image(numbered[number]) if number in numbered else None


def _read_image(path: Path) -> Frame:
    try:
        with Image.open(path) as image:
            if max(image.size) > MAX_SIDE:
                raise VideoError(
                    path, expected=f"at most {MAX_SIDE} pixels a side", found=f"{image.size}"
                )
            rgb = image.convert("RGB")
            if rgb.size != (WIDTH, HEIGHT):
                rgb = rgb.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
            return np.asarray(rgb)
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise VideoError(path, expected="an image", found=str(error)) from error


def _video_frames(path: Path) -> Iterator[Frame]:
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise VideoError(path, expected="a video stream", found="none")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            if max(stream.width, stream.height) > MAX_SIDE:
                raise VideoError(
                    path,
                    expected=f"at most {MAX_SIDE} pixels a side",
                    found=f"{stream.width} x {stream.height}",
                )
            yield from _at_ten_fps(container, path)
    except av.FFmpegError as error:
        raise VideoError(path, expected="a readable video", found=str(error)) from error


def _at_ten_fps(container: av.container.InputContainer, path: Path) -> Iterator[Frame]:
    """Yield output frame k: the last input frame whose time rounds to k or earlier."""
    first: float | None = None
    shown: Frame | None = None
    number, end = 0, 0.0
    for frame in container.decode(video=0):
        time = frame.time if frame.time is not None else end
        first = time if first is None else first
        position = int(np.floor((time - first) * FPS + 0.5))
        if shown is not None:
            for _ in range(number, position):
                yield shown
            number = max(number, position)
        scaled = frame.reformat(WIDTH, HEIGHT, "rgb24", interpolation="BICUBIC")
        shown = np.asarray(scaled.to_ndarray(), np.uint8)
        base = frame.time_base
        lasts = float(frame.duration * base) if frame.duration and base else 1 / FPS
        end = time + lasts
    if shown is None or first is None:
        raise VideoError(path, expected="at least one picture", found="none")
    length = max(1, int(np.floor((end - first) * FPS + 0.5)))
    for _ in range(number, length):
        yield shown
