"""A live run: threads that listen and look, one that works, one that shows.

What comes waits in an inbox of bounded size. Frames are shown at an even pace, each at the same
time after its sound came, as far as they are computed: the audio branch gives several at once.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from threadpoolctl import threadpool_limits

from saiseld.live.arrays import ChannelMap
from saiseld.live.camera import Camera
from saiseld.live.frames import LiveFrame
from saiseld.live.sources import Block, Source
from saiseld.live.stream import Stream
from saiseld.live.synchronizer import Picture
from saiseld.runtime.errors import AudioError

MOST_BEHIND_S = 1.5
"""Work on a frame that would begin later than this after its sound came is not begun."""

SKIPS_BEHIND_S = 0.4
"""Where work begins later than this, every second picture is passed over: it catches up."""

MOST_WAITING_S = 20.0
"""Sound that waits; a source that sends more than real time waits in its turn."""

MARGIN_S = 0.3
"""For work, beyond the delay that is in the nature of a stream, before a frame is shown."""

_MOST_PICTURES = 16
_MAX_WAITING = 60  # frames that wait to be shown, more than an exact stream holds back

Sink = Callable[[LiveFrame], object]


class Inbox:
    """What came and was not worked on yet."""

    def __init__(self, sample_rate: int) -> None:
        self._most = MOST_WAITING_S * sample_rate
        self._blocks: deque[Block] = deque()
        self._pictures: deque[tuple[Picture | None, float]] = deque(maxlen=_MOST_PICTURES)
        self._samples = 0
        self._is_over = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()

    def put(self, block: Block) -> None:
        """Add sound; wait while there is too much of it."""
        with self._changed:
            self._changed.wait_for(lambda: self._samples < self._most or self._is_over)
            self._blocks.append(block)
            self._samples += len(block.samples)
            self._changed.notify_all()

    def put_picture(self, picture: Picture | None, when: float) -> None:
        """Add a picture; the oldest makes place."""
        with self._changed:
            self._pictures.append((picture, when))

    def end(self, error: BaseException | None = None) -> None:
        """Say that no more comes, and why."""
        with self._changed:
            self._is_over = True
            self._error = self._error or error
            self._changed.notify_all()

    @property
    def samples(self) -> int:
        """Samples of sound that wait."""
        return self._samples

    def take(self) -> tuple[list[tuple[Picture | None, float]], list[Block]] | None:
        """Return what came since, once there is sound; None at the end.

        Raises
        ------
        SaiseldError
            If that is why it ended, after all that came before.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._blocks or self._is_over)
            if not self._blocks:
                if self._error is not None:
                    raise self._error
                return None
            taken = list(self._pictures), list(self._blocks)
            self._pictures.clear()
            self._blocks.clear()
            self._samples = 0
            self._changed.notify_all()
            return taken


class FramePacer:
    """Gives frames to sinks at an even pace, in a thread of its own; a context.

    Parameters
    ----------
    sinks
        What takes a frame.
    delay
        Seconds after its sound came that a frame is given, or when it comes if that is later.
    """

    def __init__(self, sinks: Sequence[Sink], delay: float) -> None:
        self._sinks, self._delay = sinks, delay
        self._frames: deque[LiveFrame] = deque()
        self._is_over = False
        self.error: BaseException | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="show", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Frames that wait to be shown."""
        return len(self._frames)

    def put(self, frames: Iterable[LiveFrame]) -> None:
        """Add frames to be shown; wait where sinks are slow, and raise what one raised."""
        for frame in frames:
            with self._changed:
                self._changed.wait_for(lambda: len(self._frames) < _MAX_WAITING or self.error)
                self._frames.append(frame)
                self._changed.notify_all()
            if self.error is not None:
                raise self.error

    def close(self) -> None:
        """Show what is left, at once, and end."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        self._thread.join()
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            while (frame := self._next()) is not None:
                for sink in self._sinks:
                    sink(frame)
        except BaseException as error:
            with self._changed:
                self.error = error
                self._changed.notify_all()

    def _next(self) -> LiveFrame | None:
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._is_over)
            if not self._frames:
                return None
            due = self._frames[0].captured + self._delay
            while not self._is_over and (left := due - time.monotonic()) > 0:
                self._changed.wait(left)
            self._changed.notify_all()
            return self._frames.popleft()


def run(
    source: Source,
    camera: Camera | None,
    stream: Stream,
    sinks: Sequence[Sink],
    *,
    channels: ChannelMap,
    seconds: float | None = None,
) -> None:
    """Let a stream work on what a source and a camera give until they end or one stops it.

    Parameters
    ----------
    source
        What sound comes from; of its rate.
    camera
        What pictures come from, if anything.
    stream
        What works.
    sinks
        What takes each frame, in order, in a thread of its own.
    channels
        Which of the source's channels are the capsules.
    seconds
        Of sound after which it ends; None for as long as there is.

    Raises
    ------
    AudioError, VideoError, OutputError
        What a source or a sink says; what came before has been worked on and shown.
    """
    channels.check(source.name, source.channels)
    # Linear algebra on several threads waits for the slowest, and spins while it does.
    with threadpool_limits(1):
        stream.warm_up()
        _run(source, camera, stream, sinks, channels, seconds)


def _run(
    source: Source,
    camera: Camera | None,
    stream: Stream,
    sinks: Sequence[Sink],
    channels: ChannelMap,
    seconds: float | None,
) -> None:
    inbox = Inbox(source.sample_rate)
    threads = [threading.Thread(target=_listen, args=(source, inbox), daemon=True)]
    if camera is not None:
        threads.append(threading.Thread(target=_look, args=(camera, inbox), daemon=True))
    pacer = FramePacer(sinks, stream.delay + MARGIN_S)
    left = None if seconds is None else round(seconds * source.sample_rate)
    for thread in threads:
        thread.start()
    try:
        while (left is None or left > 0) and (taken := inbox.take()) is not None:
            pictures, blocks = taken
            for picture, when in pictures:
                stream.picture(picture, when)
            for block in blocks:
                if block.samples.shape[1] != source.channels:
                    raise AudioError(
                        source.name,
                        place="channels",
                        expected=f"{source.channels}, as at the beginning",
                        found=str(block.samples.shape[1]),
                    )
                samples = block.samples[:left]
                left = None if left is None else left - len(samples)
                pacer.put(stream.push(channels.capsules(samples), block.time, block.position))
    finally:
        inbox.end()
        for one in (source, camera):
            if one is not None:
                one.stop()
        try:
            pacer.put(stream.close())
        finally:
            pacer.close()
            for thread in threads:
                thread.join(timeout=1)


def _listen(source: Source, inbox: Inbox) -> None:
    try:
        for block in source.blocks():
            inbox.put(block)
        inbox.end()
    except BaseException as error:
        inbox.end(error)


def _look(camera: Camera, inbox: Inbox) -> None:
    try:
        for picture, when in camera.pictures():
            inbox.put_picture(picture, when)
    except BaseException as error:
        inbox.end(error)
