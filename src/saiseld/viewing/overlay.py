"""The overlay video: masks over the panorama with the recording's sound."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from saiseld.conventions.timebase import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, time_of_frame
from saiseld.data.recordings import Recording
from saiseld.data.video import Frame
from saiseld.formats.annotation import EnergyMask
from saiseld.runtime.errors import OutputError
from saiseld.runtime.files import atomic_path
from saiseld.viewing.panorama import Layout, draw_panorama


def write_overlay(
    path: str | Path,
    recording: Recording,
    masks: Sequence[EnergyMask],
    pictures: Iterable[Frame | None],
    *,
    title: str = "",
    on_frame: Callable[[], object] = lambda: None,
) -> None:
    """Write an MP4 (H.264, AAC) of every frame of a recording with its masks and its sound.

    Parameters
    ----------
    path
        Target MP4, written whole or not at all.
    recording
        Its sound: the capsules that face left and right become the two channels.
    masks
        Masks of all frames.
    pictures
        One picture or None a frame; where it ends early a neutral grid is drawn.
    title
        Shown at the top; the recording's name if empty.
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
    picture_of = iter(pictures)
    with atomic_path(path) as temporary:
        try:
            with av.open(str(temporary), "w") as container:
                video = container.add_stream("libx264", rate=FPS, options={"crf": "23"})
                video.width, video.height, video.pix_fmt = *Layout().size, "yuv420p"
                sound = container.add_stream("aac", rate=SAMPLE_RATE, layout="stereo")
                for number, block in enumerate(recording.blocks(1)):
                    drawn = draw_panorama(
                        by_frame[number],
                        next(picture_of, None),
                        title=title or recording.name,
                        clock=f"{time_of_frame(number):.1f} s",
                    )
                    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(drawn), "rgb24")
                    frame.pts, frame.time_base = number, Fraction(1, FPS)
                    container.mux(video.encode(frame))
                    container.mux(_encode_sound(sound, block, number))
                    on_frame()
                container.mux(video.encode())
                container.mux(sound.encode())
        except av.FFmpegError as error:
            raise OutputError(path, expected="to write the video", found=str(error)) from error


def _encode_sound(stream: AudioStream, block: NDArray[np.float32], number: int) -> list[Any]:
    # Capsules 0 and 2 of the tetrahedron face left, 1 and 3 right.
    stereo = np.stack([block[:, 0] + block[:, 2], block[:, 1] + block[:, 3]]) / 2
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(stereo), "fltp", "stereo")
    frame.sample_rate, frame.pts = SAMPLE_RATE, number * SAMPLES_PER_FRAME
    frame.time_base = Fraction(1, SAMPLE_RATE)
    return stream.encode(frame)
