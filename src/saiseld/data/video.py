"""360° video: a file or a folder of frames, as RGB frames at 10 FPS, 360 x 180 by default.

Upright, and from when the sound begins where a file holds sound too. A frame that the video does
not have is None and becomes the ImageNet mean, never noise.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saiseld.conventions.sphere import HEIGHT, WIDTH
from saiseld.conventions.timebase import FPS
from saiseld.data.coded_sound import sound_start
from saiseld.data.containers import open_container
from saiseld.data.display import (
    Display,
    Displays,
    check_projection,
    display_of,
    pose_of,
    rgb_of,
)
from saiseld.data.pictures import VIDEO_PIXELS, read_picture
from saiseld.runtime.errors import VideoError, refusing
from saiseld.runtime.files import visible
from saiseld.runtime.limits import FRAMES

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""RGB of a frame that is not there, in [0, 1]."""

MIN_CONTRAST = 2.0
"""Of 255: a picture whose pixels differ by less, as behind a covered lens, shows nothing."""

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".360")
"""Of videos that are looked for beside a recording, in any case; the first that is there."""

_FRAME_NUMBER = re.compile(r"^(.*?)(\d{1,18})\.(?:png|jpe?g)$", re.IGNORECASE)
_SAME_START_S = 0.05
"""Half a frame: by so much the parts of one file begin apart without a meaning."""
_MOST_NAMED = 5
_log = logging.getLogger(__name__)

_USUAL_BITS = 12
"""A pixel of 8 bits in 4:2:0 takes."""

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
        named ``<recording>_0000.png``, zero-based. A number missing in a folder is yielded as None,
        and so is what a file's pictures begin later than its sound.
    width
        Of the frames.
    scaling
        How pictures of another size are scaled.

    Raises
    ------
    VideoError
        If there is no video to read in it, it is damaged, of another projection than one
        equirectangular panorama, or an overlay that was drawn here.
    """
    path = Path(path)
    size = width, width // 2
    if path.is_dir():
        return _folder_frames(path, size, scaling)
    if not path.is_file():
        raise VideoError(path, expected="a video or a folder of frames", found="no such file")
    return _video_frames(path, size, scaling)


def video_size(path: str | Path) -> tuple[int, int] | None:
    """Return width and height of a video's pictures as shown, None where it cannot be told."""
    path = Path(path)
    try:
        if path.is_dir():
            frames = sorted(_numbered(path).items())
            return read_picture(frames[0][1], VideoError).size if frames else None
        with refusing(VideoError, path, "a picture"), open_container(path, VideoError) as container:
            _ready(container, path)
            frame = next(container.decode(video=0))
            return display_of(frame).size(frame.width, frame.height)
    except VideoError:
        return None


def video_pose(path: str | Path) -> tuple[float, float, float]:
    """Return yaw, pitch and roll in degrees by which a video says that players turn it."""
    path = Path(path)
    if path.is_dir():
        return 0.0, 0.0, 0.0
    with refusing(VideoError, path, "a picture"), open_container(path, VideoError) as container:
        _ready(container, path)
        return pose_of(next(container.decode(video=0)))


def announced_frames(path: str | Path) -> int | None:
    """Return how many 10 FPS frames a video says that it has; None where it does not say."""
    path = Path(path)
    try:
        if path.is_dir():
            return max(_numbered(path), default=-1) + 1
        with refusing(VideoError, path, "a video"), open_container(path, VideoError) as container:
            stream = container.streams.video[0]
            if stream.duration is None or stream.time_base is None:
                return None
            late = _start_of(container) - _zero_of(container)
            return round((float(stream.duration * stream.time_base) + late) * FPS)
    except VideoError:
        return None


def find_video(video: str | Path, recording: str) -> Path | None:
    """Return a recording's own video: ``video`` itself, or what a folder of several has for it.

    A folder may hold ``<recording>.mp4`` (or another of `VIDEO_SUFFIXES`), frames in
    ``<recording>/``, either of them one folder down (``video_dev/dev-test-tau/<recording>.mp4``),
    or one recording's frames. Names may differ in case where none is the same. None, with a
    warning, where a folder has nothing for it; overlays that were drawn here do not count.

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
    inside = list(visible(video.iterdir()))
    below = [p for folder in inside if folder.is_dir() for p in visible(folder.iterdir())]
    for places in (inside, below):
        named = [p for p in _named(places, recording) if not _is_overlay(p)]
        if len(named) > 1:
            _log.info("%s: %s taken of %d videos of that name", video, named[0].name, len(named))
        if named:
            return named[0]
    if any(_FRAME_NUMBER.search(path.name) for path in inside):
        return video
    _warn_of_no_video(video, recording, [*inside, *below])
    return None


def shows_something(frame: Frame) -> bool:
    """Return whether the pixels of a picture differ, so that there is anything to see."""
    return bool(frame[::4, ::4].std(axis=(0, 1)).max() >= MIN_CONTRAST)


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


def _named(places: list[Path], recording: str) -> list[Path]:
    """Return the videos and folders of a recording's name, the likeliest first."""
    suffixes = (*VIDEO_SUFFIXES, "")
    found = []
    for path in places:
        suffix = "" if path.is_dir() else path.suffix.lower()
        stem = path.name if path.is_dir() else path.stem
        is_video = suffix in suffixes and path.is_dir() == (suffix == "")
        if is_video and stem.casefold() == recording.casefold():
            found.append((stem != recording, suffixes.index(suffix), path.name, path))
    return [path for *_, path in sorted(found)]


def _warn_of_no_video(folder: Path, recording: str, there: list[Path]) -> None:
    files = [path.name for path in sorted(there) if not path.is_dir()]
    rest = "" if len(files) <= _MOST_NAMED else f" and {len(files) - _MOST_NAMED} more"
    _log.warning(
        "%s: no pictures for %s: looked for %s (%s), a folder %s, or frames named *_0000.png; "
        "there is %s",
        folder,
        recording,
        f"{recording}{VIDEO_SUFFIXES[0]}",
        " ".join(VIDEO_SUFFIXES[1:]),
        recording,
        ", ".join(files[:_MOST_NAMED]) + rest if files else "no file",
    )


def _numbered(folder: Path) -> dict[int, Path]:
    """Return a folder's frames by their numbers.

    Raises
    ------
    VideoError
        If two pictures are of one frame.
    """
    numbered: dict[int, Path] = {}
    for path in sorted(visible(folder.iterdir())):
        if match := _FRAME_NUMBER.search(path.name):
            number = int(match.group(2))
            if number in numbered:
                raise VideoError(
                    folder,
                    place=f"frame {number}",
                    expected="one picture a frame",
                    found=f"{numbered[number].name} and {path.name}",
                    advice="Give each recording's frames a folder of their own",
                )
            numbered[number] = path
    return numbered


def _folder_frames(folder: Path, size: tuple[int, int], scaling: Scaling) -> Iterator[Frame | None]:
    numbered = _numbered(folder)
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


def _video_frames(path: Path, size: tuple[int, int], scaling: Scaling) -> Iterator[Frame | None]:
    """Yield output frame k: the last input frame whose time rounds to k or earlier."""
    current: Frame | None = None
    number, end = 0, 0.0
    for picture in timed_pictures(path):
        position = int(np.floor(picture.time * FPS + 0.5))
        FRAMES.check(position, VideoError, path)
        for _ in range(number, position):
            yield current
        number = max(number, position)
        current = rgb_of(picture.frame, picture.display, size, scaling)
        end = picture.end
    length = max(1, int(np.floor(end * FPS + 0.5)))
    FRAMES.check(length, VideoError, path)
    for _ in range(number, length):
        yield current


class TimedPicture(NamedTuple):
    """A picture of a video as it is stored, how and from when to when it is shown, in s."""

    frame: av.VideoFrame
    display: Display
    time: float
    end: float


def timed_pictures(path: Path) -> Iterator[TimedPicture]:
    """Yield the pictures of a video file, at their own rate.

    Time counts from when the file's sound begins; without sound from the first picture. What is
    shown before is left out, but for the last.

    Raises
    ------
    VideoError
        As `open_video`.
    """
    with (
        refusing(VideoError, path, "a readable video"),
        open_container(path, VideoError) as container,
    ):
        _ready(container, path)
        displays, before = Displays(), None
        zero: float | None = None
        end = 0.0
        for frame in _whole_pictures(container, path):
            _check_size(frame, container, path)
            time = frame.time if frame.time is not None else end
            if zero is None:
                check_projection(frame, path, container.streams.video[0].metadata)
                zero = _zero_of(container, time)
            base = frame.time_base
            lasts = float(frame.duration * base) if frame.duration and base else 1 / FPS
            end = time + lasts
            picture = TimedPicture(frame, displays.of(frame), time - zero, end - zero)
            if picture.time < 0:
                before = picture
                continue
            if before is not None and picture.time > 0:
                yield before._replace(time=0.0, end=picture.time)
            before = None
            yield picture
        if zero is None:
            raise VideoError(path, expected="at least one picture", found="none")
        if before is not None:
            yield before._replace(time=0.0, end=max(before.end, 0.0))


def _whole_pictures(container: av.container.InputContainer, path: Path) -> Iterator[av.VideoFrame]:
    """Yield a video's pictures but those whose bytes are cut off: decoders would guess the rest."""
    cut = 0
    for packet in container.demux(video=0):
        if packet.is_corrupt:
            cut += 1
        else:
            yield from packet.decode()
    if cut:
        _log.warning("%s: pictures cut off: %d; those before them stand", path, cut)


def _ready(container: av.container.InputContainer, path: Path) -> None:
    """Check that a file shows a scene, and set its decoder up not to take more than is allowed."""
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
    _check_size(stream.codec_context, container, path)
    # A frame may be larger than the container says: the decoder refuses it before it is made.
    stream.codec_context.options = {"max_pixels": str(VIDEO_PIXELS.most)}
    large = stream.width * stream.height > _LARGE_FRAME
    stream.thread_type = "SLICE" if large else "AUTO"  # a frame a thread takes memory


def _check_size(
    pictures: av.VideoFrame | av.VideoCodecContext,
    container: av.container.InputContainer,
    path: Path,
) -> None:
    """Refuse pictures of more than `VIDEO_PIXELS`, or that take the memory of more in a decoder."""
    bits = pictures.format.padded_bits_per_pixel if pictures.format is not None else 0
    holds_one = container.streams.video[0].codec_context.codec.intra_only
    weight = 1 if holds_one else max(bits / _USUAL_BITS, 1)
    pixels = round(pictures.width * pictures.height * weight)
    VIDEO_PIXELS.check(pixels, VideoError, path, place="pixels")


def _start_of(container: av.container.InputContainer) -> float:
    stream = container.streams.video[0]
    if stream.start_time is None or stream.time_base is None:
        return 0.0
    return float(stream.start_time * stream.time_base)


def _zero_of(container: av.container.InputContainer, first: float | None = None) -> float:
    """Return the time of a file at which frame 0 begins; ``first`` is its first picture's."""
    first = _start_of(container) if first is None else first
    sound = sound_start(container)
    return first if sound is None or abs(sound - first) < _SAME_START_S else sound
