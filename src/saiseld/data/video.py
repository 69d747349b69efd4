"""360° video: MP4 or a folder of frames, as RGB frames at 10 FPS, 360 x 180 if not asked otherwise.

A frame that the video does not have is None and becomes the ImageNet mean, never noise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saiseld.conventions.sphere import HEIGHT, WIDTH
from saiseld.conventions.timebase import FPS
from saiseld.data.containers import open_container
from saiseld.data.pictures import VIDEO_PIXELS, read_picture
from saiseld.runtime.errors import VideoError, refusing
from saiseld.runtime.files import visible
from saiseld.runtime.limits import FRAMES

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""RGB of a frame that is not there, in [0, 1]."""

LEAST_CONTRAST = 2.0
"""Of 255: a picture whose pixels differ by less, as behind a covered lens, shows nothing."""

_FRAME_NUMBER = re.compile(r"_(\d{1,18})\.(?:png|jpe?g)$", re.IGNORECASE)

_LARGE_FRAME = 1 << 23  # pixels

Frame = NDArray[np.uint8]

Scaling = Literal["bicubic", "bilinear"]
"""How pictures of another size are scaled: as FFmpeg does, or as the public recipe's loader."""

OVERLAY_SUFFIX = ".overlay.mp4"
"""What an overlay video is called; it is never taken for a picture."""
OVERLAY_MAKER = "saiseld overlay"
"""What an overlay video says in its metadata."""


def open_video(
    path: str | Path, *, width: int = WIDTH, scaling: Scaling = "bicubic"
) -> Iterator[Frame | None]:
    """Yield (width / 2, width, 3) uint8 RGB frames at 10 FPS from frame 0 on, until the video ends.

    Parameters
    ----------
    path
        A video file, resampled by timestamps as FFmpeg's ``fps=10`` does, or a folder of frames
        named ``<recording>_0000.png``, zero-based. A number missing in a folder is yielded as None.
    width
        Of the frames.
    scaling
        How pictures of another size are scaled.

    Raises
    ------
    VideoError
        If there is no video to read in it, it is damaged, or it is an overlay that was drawn here.
    """
    path = Path(path)
    size = width, width // 2
    if path.is_dir():
        return _folder_frames(path, size, scaling)
    if not path.is_file():
        raise VideoError(path, expected="a video or a folder of frames", found="no such file")
    return _video_frames(path, size, scaling)


def video_size(path: str | Path) -> tuple[int, int] | None:
    """Return width and height of a video's pictures in pixels, None where it cannot be told."""
    path = Path(path)
    try:
        if path.is_dir():
            frames = sorted(p for p in visible(path.iterdir()) if _FRAME_NUMBER.search(p.name))
            return read_picture(frames[0], VideoError).size if frames else None
        with open_container(path, VideoError) as container:
            stream = next(iter(container.streams.video), None)
            if stream is None or stream.codec_context is None:
                return None
            return stream.width, stream.height
    except VideoError:
        return None


def find_video(video: str | Path, recording: str) -> Path | None:
    """Return a recording's own video: ``video`` itself, or what a folder of several has for it.

    A folder may hold ``<recording>.mp4``, frames in ``<recording>/``, either of them one folder
    down (``video_dev/dev-test-tau/<recording>.mp4``), or one recording's frames.
    None where a folder of several has nothing for it; overlays that were drawn here do not count.

    Raises
    ------
    VideoError
        If there is no such file or folder.
    """
    video = Path(video)
    if not video.exists():
        raise VideoError(video, expected="a video or a folder of frames", found="no such file")
    if not video.is_dir():
        return video
    names = (f"{recording}.mp4", recording)
    for own in (
        *(video / name for name in names),
        *(p for n in names for p in video.glob(f"*/{n}")),
    ):
        if own.exists() and not _is_overlay(own):
            return own
    has_frames = any(_FRAME_NUMBER.search(path.name) for path in visible(video.iterdir()))
    return video if has_frames else None


def shows_something(frame: Frame) -> bool:
    """Return whether the pixels of a picture differ, so that there is anything to see."""
    return bool(frame[::4, ::4].std(axis=(0, 1)).max() >= LEAST_CONTRAST)


def rgb_planes(frames: Iterable[Frame | None]) -> NDArray[np.float32]:
    """Return (n, 3, 180, 360) float32 in [0, 1]; None becomes the ImageNet's mean."""
    mean = np.broadcast_to(np.array(IMAGENET_MEAN, np.float32)[:, None, None], (3, HEIGHT, WIDTH))
    planes = [
        mean if frame is None else frame.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
        for frame in frames
    ]
    return np.stack(planes) if planes else np.zeros((0, 3, HEIGHT, WIDTH), np.float32)


def _is_overlay(path: Path) -> bool:
    if path.is_dir():
        return False
    try:
        with open_container(path, VideoError) as container:
            return _drawn_over(container)
    except VideoError:
        return False  # whoever reads it says what is wrong with it


def _drawn_over(container: av.container.InputContainer) -> bool:
    return OVERLAY_MAKER in container.metadata.get("comment", "")


def _folder_frames(folder: Path, size: tuple[int, int], scaling: Scaling) -> Iterator[Frame | None]:
    numbered = {
        int(match.group(1)): path
        for path in visible(folder.iterdir())
        if (match := _FRAME_NUMBER.search(path.name))
    }
    if not numbered:
        raise VideoError(folder, expected="frames named *_0000.png", found="none")
    FRAMES.check(max(numbered) + 1, VideoError, folder)
    for number in range(max(numbered) + 1):
        yield _read_frame(numbered[number], size, scaling) if number in numbered else None


def _read_frame(path: Path, size: tuple[int, int], scaling: Scaling) -> Frame:
    rgb = read_picture(path, VideoError)
    if rgb.size != size:
        rgb = rgb.resize(size, Image.Resampling[scaling.upper()])
    return np.asarray(rgb)


def _video_frames(path: Path, size: tuple[int, int], scaling: Scaling) -> Iterator[Frame]:
    with (
        refusing(VideoError, path, "a readable video"),
        open_container(path, VideoError) as container,
    ):
        if _drawn_over(container):
            raise VideoError(
                path,
                expected="a picture of the scene",
                found="an overlay that was drawn over one",
                advice="Give the video that the recording was made with",
            )
        if not container.streams.video:
            raise VideoError(path, expected="a video stream", found="none")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise VideoError(path, expected="a codec that can be decoded", found="another")
        VIDEO_PIXELS.check(stream.width * stream.height, VideoError, path, place="pixels")
        # A frame may be larger than the container says: the decoder refuses it before it is made.
        stream.codec_context.options = {"max_pixels": str(VIDEO_PIXELS.most)}
        large = stream.width * stream.height > _LARGE_FRAME
        stream.thread_type = "SLICE" if large else "AUTO"  # a frame a thread takes memory
        yield from _at_ten_fps(container, path, size, scaling)


def _at_ten_fps(
    container: av.container.InputContainer, path: Path, size: tuple[int, int], scaling: Scaling
) -> Iterator[Frame]:
    """Yield output frame k: the last input frame whose time rounds to k or earlier."""
    first: float | None = None
    shown: Frame | None = None
    number, end = 0, 0.0
    for frame in container.decode(video=0):
        time = frame.time if frame.time is not None else end
        first = time if first is None else first
        position = int(np.floor((time - first) * FPS + 0.5))
        FRAMES.check(position, VideoError, path)
        if shown is not None:
            for _ in range(number, position):
                yield shown
            number = max(number, position)
        VIDEO_PIXELS.check(frame.width * frame.height, VideoError, path, place="pixels")
        scaled = frame.reformat(*size, "rgb24", interpolation=scaling.upper())
        shown = np.asarray(scaled.to_ndarray(), np.uint8)
        base = frame.time_base
        lasts = float(frame.duration * base) if frame.duration and base else 1 / FPS
        end = time + lasts
    if shown is None or first is None:
        raise VideoError(path, expected="at least one picture", found="none")
    length = max(1, int(np.floor((end - first) * FPS + 0.5)))
    FRAMES.check(length, VideoError, path)
    for _ in range(number, length):
        yield shown
