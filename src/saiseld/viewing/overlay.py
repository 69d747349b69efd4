"""The overlay video: masks over the panorama with the recording's sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import count
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.timebase import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, time_of_frame
from saiseld.data.video import Frame
from saiseld.formats.annotation import EnergyMask
from saiseld.runtime.errors import OutputError
from saiseld.runtime.files import atomic_path
from saiseld.viewing.panorama import Layout, draw_panorama

DrawFrames = Callable[[NDArray[np.float32], Sequence[Frame | None], Sequence[EnergyMask]], None]
"""Draw some frames: their sound, one picture or None each, and the masks in them."""


@contextmanager
def overlay_writer(path: str | Path, title: str = "") -> Iterator[DrawFrames]:
    """Open an MP4 (H.264, AAC) and yield what draws the next frames of a recording into it.

    Parameters
    ----------
    path
        Target MP4, written whole or not at all.
    title
        Shown at the top.

    Yields
    ------
    A function of the next n frames: their sound (n x 2400, 4), of which the capsules that face left
    and right become the two channels; n pictures, a neutral grid being drawn for None; and the
    masks in them, their frames counted from the start of the recording.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    numbers = count()
    with atomic_path(path) as temporary:
        try:
            with av.open(str(temporary), "w") as container:
                video = container.add_stream("libx264", rate=FPS, options={"crf": "23"})
                video.width, video.height, video.pix_fmt = *Layout().size, "yuv420p"
                sound = container.add_stream("aac", rate=SAMPLE_RATE, layout="stereo")

                def draw(
                    audio: NDArray[np.float32],
                    pictures: Sequence[Frame | None],
                    masks: Sequence[EnergyMask],
                ) -> None:
                    parts = audio.reshape(len(pictures), SAMPLES_PER_FRAME, -1)
                    for part, picture, number in zip(parts, pictures, numbers, strict=False):
                        drawn = draw_panorama(
                            [mask for mask in masks if mask.frame == number],
                            picture,
                            title=title,
                            clock=f"{time_of_frame(number):.1f} s",
                        )
                        container.mux(video.encode(_video_frame(drawn, number)))
                        container.mux(sound.encode(_audio_frame(part, number)))

                yield draw
                container.mux(video.encode())
                container.mux(sound.encode())
        except av.FFmpegError as error:
            raise OutputError(path, expected="to write the video", found=str(error)) from error


def _video_frame(drawn: NDArray[np.uint8], number: int) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(drawn), "rgb24")
    frame.pts, frame.time_base = number, Fraction(1, FPS)
    return frame


def _audio_frame(audio: NDArray[np.float32], number: int) -> av.AudioFrame:
    # Capsules 0 and 2 of the tetrahedron face left, 1 and 3 right.
    stereo = np.stack([audio[:, 0] + audio[:, 2], audio[:, 1] + audio[:, 3]]) / 2
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(stereo), "fltp", "stereo")
    frame.sample_rate, frame.pts = SAMPLE_RATE, number * SAMPLES_PER_FRAME
    frame.time_base = Fraction(1, SAMPLE_RATE)
    return frame
