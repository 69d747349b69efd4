"""Where live pictures come from: a camera (V4L2), a network stream (RTSP), a file in real time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import av

from saiseld.conventions.timebase import FPS
from saiseld.data.display import Displays, check_projection, upright
from saiseld.data.video import open_video, timed_pictures
from saiseld.live.sources import FileSource
from saiseld.live.synchronizer import Picture
from saiseld.runtime.errors import VideoError, message_of

AGAIN_S = 3.0
"""Seconds after which a camera that stopped is tried again."""

_PATIENCE_S = 5.0
_log = logging.getLogger(__name__)


class Camera(Protocol):
    """What pictures come from."""

    def pictures(self) -> Iterator[tuple[Picture | None, float]]:
        """Yield pictures, and ``time.monotonic()`` when each was taken; None where they stop."""
        ...

    def stop(self) -> None:
        """Let `pictures` end soon; called from another thread."""
        ...


class FileCamera:
    """The video of a recording that is played.

    Parameters
    ----------
    path
        A video, or a folder of frames.
    sound
        What plays the recording.
    seconds
        How long it is.
    loop
        Whether it begins again with the recording.

    Raises
    ------
    VideoError
        If it cannot be read.
    """

    def __init__(self, path: Path, sound: FileSource, seconds: float, *, loop: bool) -> None:
        self._path, self._sound, self._seconds, self._loop = path, sound, seconds, loop
        self._stopped = threading.Event()
        next(self._once())

    def pictures(self) -> Iterator[tuple[Picture | None, float]]:
        """Yield each picture when it is due."""
        began = self._sound.begin()
        while True:
            for picture, at in self._once():
                if at >= self._seconds - 0.5 / FPS:
                    break
                if self._stopped.wait(max(began + at - time.monotonic(), 0)):
                    return
                yield picture, began + at
            else:
                yield None, began + at + 1 / FPS
            if not self._loop:
                return
            began += self._seconds

    def _once(self) -> Iterator[tuple[Picture | None, float]]:
        if self._path.is_dir():
            yield from (
                (picture, number / FPS) for number, picture in enumerate(open_video(self._path))
            )
            return
        for picture in timed_pictures(self._path):
            yield upright(picture.frame, picture.display), picture.time

    def stop(self) -> None:
        """Let `pictures` end soon."""
        self._stopped.set()


class DeviceCamera:
    """A camera that FFmpeg opens; where it stops, it is tried again every few seconds.

    Parameters
    ----------
    address
        ``/dev/video0`` or ``rtsp://...``, whatever FFmpeg takes.
    late_s
        Seconds from when a picture is taken to when it comes.

    Raises
    ------
    VideoError
        If it cannot be opened the first time.
    """

    def __init__(self, address: str, late_s: float = 0.0) -> None:
        self._address, self._late_s = address, late_s
        self._stopped = threading.Event()
        self._first: av.container.InputContainer | None = self._opened()

    def _opened(self) -> av.container.InputContainer:
        local = self._address.startswith("/dev/")
        options = {} if local else {"rtsp_transport": "tcp"}
        try:
            return av.open(
                self._address,
                format="v4l2" if local else None,
                options=options,
                timeout=_PATIENCE_S,
            )
        except (av.FFmpegError, ValueError) as error:
            raise VideoError(self._address, expected="a camera", found=message_of(error)) from error

    def pictures(self) -> Iterator[tuple[Picture | None, float]]:
        """Yield each picture when it comes."""
        displays = Displays()
        while not self._stopped.is_set():
            reason = "no more pictures"
            try:
                with self._first or self._opened() as container:
                    self._first = None
                    for frame in container.decode(video=0):
                        if self._stopped.is_set():
                            return
                        if displays.is_new(frame):
                            tags = container.streams.video[0].metadata
                            check_projection(frame, self._address, tags)
                        display = displays.of(frame)
                        width, height = display.size(frame.width, frame.height)
                        if width != 2 * height:
                            raise VideoError(
                                self._address,
                                expected="twice as wide as high",
                                found=f"{width} x {height}",
                            )
                        yield upright(frame, display), time.monotonic() - self._late_s
            except (av.FFmpegError, VideoError) as error:
                reason = str(error)
            self._first = None
            _log.warning("%s stopped (%s); the audio branch goes on alone", self._address, reason)
            yield None, time.monotonic()
            self._stopped.wait(AGAIN_S)

    def stop(self) -> None:
        """Let `pictures` end soon."""
        self._stopped.set()
