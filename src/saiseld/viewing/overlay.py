"""The overlay video: masks over the panorama with the recording's sound."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from io import BytesIO
from itertools import chain, repeat
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saiseld.conventions.timebase import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, time_of_frame
from saiseld.data.recordings import Recording
from saiseld.data.video import OVERLAY_MAKER, Frame
from saiseld.formats.annotation import EnergyMask
from saiseld.runtime.errors import OutputError, VideoError, refusing
from saiseld.runtime.files import atomic_path
from saiseld.runtime.version import __version__
from saiseld.viewing.panorama import Layout, draw_yuv

_X264 = {
    "crf": "23",
    "preset": "ultrafast",
    "x264-params": "mbtree=1:rc-lookahead=5:cabac=1:aq-mode=1:no-deblock=0:weightp=1",
}
"""The quickest preset, with what makes a panorama that hardly moves small: a quarter of the time of
``veryfast``, 8 % fewer bytes, 0.4 dB less (docs/research-log.md)."""

_LOUDEST = 0.7
_LARGEST_GAIN = 100.0
"""40 dB: what is quieter still is left as quiet as a recorder's noise."""


def write_overlay(
    path: str | Path,
    recording: Recording,
    masks: Sequence[EnergyMask],
    pictures: Iterable[Frame | None],
    *,
    title: str | None = None,
    width: int = 1080,
    on_frame: Callable[[], object] = lambda: None,
) -> None:
    """Write an MP4 (H.264, AAC) of every frame of a recording with its masks and its sound.

    Parameters
    ----------
    path
        Target MP4, written whole or not at all; its metadata say what made it. The same masks and
        pictures give the same bytes.
    recording
        Its sound, brought to full level: the capsules that face left and right become the two
        channels.
    masks
        Masks of all frames; the legend names their classes.
    pictures
        One picture or None a frame; where it ends early a neutral grid is drawn.
    title
        Drawn above; the recording's name if None.
    width
        Of the panorama in pixels.
    on_frame
        Called after every frame, for progress.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    by_frame: dict[int, list[EnergyMask]] = defaultdict(list)
    for mask in masks:
        by_frame[mask.frame].append(mask)
    classes = sorted({mask.class_id for mask in masks})
    picture_of = chain(pictures, repeat(None))
    gain = _gain(recording)
    with atomic_path(path) as temporary:
        try:
            with av.open(str(temporary), "w") as container:
                container.metadata["comment"] = f"{OVERLAY_MAKER}, version {__version__}"
                video = container.add_stream("libx264", rate=FPS, options=_X264)
                video.width, video.height, video.pix_fmt = *Layout(width).size, "yuv420p"
                # Several, as many as there are cores, cut pictures into slices, the bytes of which
                # depend on which of them is done first.
                video.codec_context.thread_count = 1
                sound = container.add_stream("aac", rate=SAMPLE_RATE, layout="stereo")
                for number, audio in enumerate(_frames(recording)):
                    drawn = draw_yuv(
                        by_frame[number],
                        next(picture_of),
                        title=recording.name if title is None else title,
                        clock=f"{time_of_frame(number):.1f} s",
                        width=width,
                        classes=classes,
                    )
                    container.mux(video.encode(_video_frame(drawn, number)))
                    container.mux(sound.encode(_audio_frame(audio * gain, number)))
                    on_frame()
                container.mux(video.encode())
                container.mux(sound.encode())
        except av.FFmpegError as error:
            raise OutputError(path, expected="to write the video", found=str(error)) from error


def playback_gain(peak: float) -> float:
    """Return the factor that brings sound of a peak to full level for listening; 1 for silence."""
    return min(_LOUDEST / peak, _LARGEST_GAIN) if peak > 0 else 1.0


def overlay_jpeg(path: Path, frame: int, width: int = 960) -> bytes:
    """Return a frame of an overlay video as a JPEG of some width.

    Raises
    ------
    VideoError
        If it cannot be read.
    """
    with refusing(VideoError, path, "a video that can be decoded"), av.open(str(path)) as container:
        (stream, *_) = container.streams.video
        assert stream.time_base is not None
        container.seek(round(frame / FPS / stream.time_base), stream=stream)
        pictures = (p for p in container.decode(stream) if round((p.time or 0) * FPS) >= frame)
        image = Image.fromarray(next(pictures).to_ndarray(format="rgb24"))
    image.thumbnail((width, width))
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=75)
    return buffer.getvalue()


def _frames(recording: Recording) -> Iterator[NDArray[np.float32]]:
    for block in recording.blocks():
        yield from block.reshape(-1, SAMPLES_PER_FRAME, block.shape[1])


def _gain(recording: Recording) -> np.float32:
    peak = max(float(np.abs(block).max(initial=0)) for block in recording.blocks())
    return np.float32(playback_gain(peak))


def _video_frame(drawn: NDArray[np.uint8], number: int) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(drawn, "yuv420p")
    frame.pts, frame.time_base = number, Fraction(1, FPS)
    return frame


def _audio_frame(audio: NDArray[np.float32], number: int) -> av.AudioFrame:
    # Capsules 0 and 2 of the tetrahedron face left, 1 and 3 right.
    stereo = np.stack([audio[:, 0] + audio[:, 2], audio[:, 1] + audio[:, 3]]) / 2
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(stereo), "fltp", "stereo")
    frame.sample_rate, frame.pts = SAMPLE_RATE, number * SAMPLES_PER_FRAME
    frame.time_base = Fraction(1, SAMPLE_RATE)
    return frame
