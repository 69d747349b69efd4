"""The page of a stream: panorama, heat of sound, marks, levels and a beam to listen to.

Frames come in from the stream's thread and go out to any number of browsers. Whoever takes them too
slowly loses the oldest, and is told how many; nobody waits for anybody, and nothing grows.

Messages to a browser are binary: kind (1 byte), 3 bytes unused, length of the header (uint32, least
byte first), header (JSON), content. Kind 1 is a frame, its content the heat (4050 bytes) and the
spectrum (4 x 32 bytes, `FLOOR_DB` to 0 dB as 0 to 255); kind 2 is a picture as JPEG. Everything
else is JSON as text: ``about`` the stream, the marks of the ``past`` five minutes, frames ``lost``
on the way, that it has ``ended``.

Programs take the WebSocket ``/events``: each change of an event as JSON (`saiseld.live.events`),
first a ``begin`` for each event that is going on. None is left out: who takes them too slowly is
cut off.
"""

from __future__ import annotations

import asyncio
import io
import secrets
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saiseld.conventions.taxonomy import CLASS_COLOURS, CLASS_NAMES
from saiseld.conventions.timebase import FPS, SAMPLE_RATE
from saiseld.live.beam import Beam
from saiseld.live.events import EventChange, EventTracker
from saiseld.live.frames import FLOOR_DB, HEAT_SHAPE, SPECTRUM_BANDS, LiveFrame
from saiseld.pipeline.defaults import VIEWING_THRESHOLD
from saiseld.runtime.errors import SaiseldError
from saiseld.runtime.web import Server, serving, token_for

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

ASSETS = Path(__file__).parent / "assets"
PORT = 8360

MAX_CLIENTS = 32
"""Browsers that look or listen at a time; more are told to come again."""
FRAMES_AHEAD = 20
"""Frames that wait for a slow browser: two seconds."""
SOUND_AHEAD = 5
"""Blocks of sound that wait for a slow listener: half a second."""
EVENTS_AHEAD = 1000
"""Changes of events that wait for a slow program."""
PAST_FRAMES = 300 * FPS
"""Frames whose marks a browser is sent when it comes, or comes again."""
PATIENCE_S = 10.0
_FAREWELL_S = 2.0
_QUALITY = 80
_MAKES_NO_SENSE, _TRY_AGAIN_LATER = 1008, 1013


class Outbox:
    """What waits for one browser."""

    def __init__(self, ahead: int) -> None:
        self._waiting: deque[bytes | str] = deque(maxlen=ahead)
        self._picture: bytes | None = None
        self._something = asyncio.Event()
        self.lost = 0

    def offer(self, message: bytes | str) -> None:
        """Put a message last; the first is lost where there is no more room."""
        self.lost += len(self._waiting) == self._waiting.maxlen
        self._waiting.append(message)
        self._something.set()

    def offer_picture(self, message: bytes) -> None:
        """Put the picture that is shown next in the place of the one before."""
        self._picture = message
        self._something.set()

    @property
    def waiting(self) -> int:
        """Messages that wait, beside a picture."""
        return len(self._waiting)

    async def take(self) -> bytes | str:
        """Return the next message as soon as there is one, frames before pictures."""
        while not self._waiting and self._picture is None:
            self._something.clear()
            await self._something.wait()
        if self._waiting:
            return self._waiting.popleft()
        message, self._picture = self._picture, None
        assert message is not None
        return message


class Page:
    """A page that is being served; made by `serve`."""

    def __init__(self, turn: float, patience_s: float, source: str, threshold: float) -> None:
        self.server: Server
        self._turn, self._patience_s = turn, patience_s
        self._source, self._threshold = source, threshold
        self.session = secrets.token_hex(4)  # by which a tab knows a program started again
        self._tracker = EventTracker()
        self._past: deque[tuple[int, list[dict[str, Any]]]] = deque(maxlen=PAST_FRAMES)
        self._number = 0  # of frames shown
        self._lock = threading.Lock()  # guards the state of the stream
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sockets = 0
        self._beams: dict[Outbox, Beam] = {}
        # With the number of the last frame that each knows.
        self._viewers: dict[Outbox, int] = {}
        self._programs: dict[Outbox, int] = {}
        self._picture: tuple[int, NDArray[np.uint8]] | None = None
        self._encoding: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where the page is, with the token that a browser needs."""
        return self.server.url

    @property
    def clients(self) -> int:
        """Browsers that look or listen; what is shown from now on is sent to each."""
        with self._lock:
            return self._sockets

    @property
    def most_waiting(self) -> int:
        """Messages that wait for the slowest of those who look."""
        return max((viewer.waiting for viewer in list(self._viewers)), default=0)

    def show(self, frame: LiveFrame) -> None:
        """Send a frame to all who look, and its sound to all who listen.

        May be called on any thread and returns at once, whatever the browsers do.
        """
        with self._lock:
            self._number += 1
            self._past.append((frame.frame, _marks(frame)))
            changes = self._tracker.changes(frame)
            if self._loop is not None and self._sockets:
                with suppress(RuntimeError):  # the server has just ended
                    self._loop.call_soon_threadsafe(self._broadcast, self._number, frame, changes)

    def end(self, error: str | None = None) -> None:
        """End all events, say that the stream has ended, and why, and wait until that is sent."""
        with self._lock:
            changes = self._tracker.close()
        if self._loop is not None and self._loop.is_running():
            ended = asyncio.run_coroutine_threadsafe(self._say_end(changes, error), self._loop)
            with suppress(TimeoutError, CancelledError):
                ended.result(2 * _FAREWELL_S)

    async def _say_end(self, changes: Sequence[EventChange], error: str | None) -> None:
        self._send_changes(self._number + 1, changes)
        for viewer in self._viewers:
            viewer.offer(msgspec.json.encode({"ended": {"error": error}}).decode())
        async with asyncio.timeout(_FAREWELL_S):
            while any(box.waiting for box in (*self._viewers, *self._programs)):
                await asyncio.sleep(0.01)

    def _send_changes(self, number: int, changes: Sequence[EventChange]) -> None:
        for change in changes:
            message = msgspec.json.encode(change).decode()
            for program, since in self._programs.items():
                if number > since:
                    program.offer(message)

    def _broadcast(self, number: int, frame: LiveFrame, changes: Sequence[EventChange]) -> None:
        self._send_changes(number, changes)
        message = frame_message(frame)
        for viewer, since in self._viewers.items():
            if number > since:
                viewer.offer(message)
        for outbox, beam in self._beams.items():
            samples = np.clip(beam.hear(frame.sound), -1, 1)
            outbox.offer(np.rint(samples * 32767).astype("<i2").tobytes())
        if frame.picture is not None and self._viewers:
            self._picture = frame.frame, frame.picture
            if self._encoding is None:
                self._encoding = asyncio.ensure_future(self._encode())

    async def _encode(self) -> None:
        """Send the latest picture as long as there is one; those between are left out."""
        try:
            while self._picture is not None:
                (number, picture), self._picture = self._picture, None
                message = await asyncio.to_thread(picture_message, number, picture)
                for viewer in self._viewers:
                    viewer.offer_picture(message)
        finally:
            self._encoding = None

    async def look(self, socket: WebSocket) -> None:
        """Serve the WebSocket of one who looks."""
        viewer = Outbox(FRAMES_AHEAD)
        about = {
            "classes": [
                {"name": name, "colour": colour}
                for name, colour in zip(CLASS_NAMES, CLASS_COLOURS, strict=True)
            ],
            "heat": HEAT_SHAPE,
            "bands": SPECTRUM_BANDS,
            "floor": FLOOR_DB,
            "fps": FPS,
            "rate": SAMPLE_RATE,
            "threshold": self._threshold,
            "session": self.session,
            "source": self._source,
        }

        past: list[tuple[int, list[dict[str, Any]]]] = []

        def begin() -> None:
            past.extend(self._past)
            self._viewers[viewer] = self._number

        async def send() -> None:
            reported = 0
            await self._send(socket, msgspec.json.encode({"about": about}).decode())
            if past:
                first, marks = past[0][0], [marks for _, marks in past]
                sent = msgspec.json.encode({"past": {"first": first, "marks": marks}}).decode()
                past.clear()
                await self._send(socket, sent)
            while True:
                await self._send(socket, await viewer.take())
                if viewer.lost != reported:
                    reported = viewer.lost
                    await self._send(socket, msgspec.json.encode({"lost": reported}).decode())

        async def answer(message: dict[str, Any]) -> None:
            pong = {"ping": message.get("ping"), "now": time.monotonic()}
            await self._send(socket, msgspec.json.encode(pong).decode())

        await self._serve(socket, begin, send, answer)
        self._viewers.pop(viewer, None)

    async def listen(self, socket: WebSocket) -> None:
        """Serve the WebSocket of one who listens: PCM, 16 bits, one channel, 24 kHz."""
        outbox, beam = Outbox(SOUND_AHEAD), Beam(0, 0)

        async def send() -> None:
            while True:
                await self._send(socket, await outbox.take())

        async def answer(message: dict[str, Any]) -> None:
            azimuth, elevation = float(message["azimuth"]), float(message["elevation"])
            if np.isfinite([azimuth, elevation]).all():
                beam.turn(azimuth - self._turn, elevation)
                self._beams[outbox] = beam

        await self._serve(socket, lambda: None, send, answer)
        self._beams.pop(outbox, None)

    async def send_events(self, socket: WebSocket) -> None:
        """Serve the WebSocket of a program that takes events."""
        program = Outbox(EVENTS_AHEAD)

        def begin() -> None:
            for change in self._tracker.active:
                begun = msgspec.structs.replace(change, type="begin")
                program.offer(msgspec.json.encode(begun).decode())
            self._programs[program] = self._number

        async def send() -> None:
            while True:
                await self._send(socket, await program.take())
                if program.lost:
                    raise TimeoutError

        async def answer(message: dict[str, Any]) -> None:
            return None

        await self._serve(socket, begin, send, answer)
        self._programs.pop(program, None)

    async def _serve(
        self,
        socket: WebSocket,
        begin: Callable[[], object],
        send: Callable[[], Any],
        answer: Callable[[dict[str, Any]], Any],
    ) -> None:
        """Send and answer until the browser goes, is too slow, or says what makes no sense."""
        await socket.accept()
        if self._sockets >= MAX_CLIENTS:
            await socket.close(_TRY_AGAIN_LATER, "too many browsers")
            return
        with self._lock:  # a frame is either shown before it begins or sent to it
            self._loop = asyncio.get_running_loop()
            self._sockets += 1
            begin()
        both = asyncio.ensure_future(send()), asyncio.ensure_future(_receive(socket, answer))
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._sockets -= 1
            for task in both:
                task.cancel()
            ends = await asyncio.gather(*both, return_exceptions=True)
        if any(isinstance(end, TimeoutError) for end in ends):
            assert socket.client is not None
            self.server.drop((socket.client.host, socket.client.port))
        elif any(
            isinstance(end, (ValueError, KeyError, TypeError, RecursionError)) for end in ends
        ):
            await socket.close(_MAKES_NO_SENSE, "not understood")

    async def _send(self, socket: WebSocket, message: bytes | str) -> None:
        send = socket.send_text if isinstance(message, str) else socket.send_bytes
        async with asyncio.timeout(self._patience_s):
            await send(message)  # type: ignore[arg-type]


async def _receive(socket: WebSocket, answer: Callable[[dict[str, Any]], Any]) -> None:
    while True:
        message = msgspec.json.decode(await socket.receive_text())
        if not isinstance(message, dict):
            raise ValueError("no object")
        await answer(message)


def frame_message(frame: LiveFrame) -> bytes:
    """Return a frame as it is sent to a browser."""
    header = {
        "frame": frame.frame,
        "captured": frame.captured,
        "dropped": frame.dropped,
        "skipped": frame.skipped,
        "pictured": frame.pictured,
        "imaged": frame.imaged,
        "elevation_assumed": frame.elevation_assumed,
        "levels": [round(float(level), 1) for level in frame.levels],
        "marks": _marks(frame),
    }
    share = np.clip(1 - np.asarray(frame.spectrum) / FLOOR_DB, 0, 1)
    spectrum = np.rint(255 * share).astype(np.uint8)
    return _message(1, header, frame.heat.tobytes() + spectrum.tobytes())


def _marks(frame: LiveFrame) -> list[dict[str, Any]]:
    return [
        {
            "number": mark.number,
            "class": mark.class_id,
            "azimuth": round(mark.azimuth, 1),
            "elevation": round(mark.elevation, 1),
            "distance": None if mark.distance_cm is None else round(mark.distance_cm / 100, 1),
            "score": round(mark.score, 3),
        }
        for mark in frame.marks
    ]


def picture_message(number: int, picture: NDArray[np.uint8]) -> bytes:
    """Return a picture (h, w, 3) as it is sent to a browser."""
    packed = io.BytesIO()
    Image.fromarray(picture).save(packed, "JPEG", quality=_QUALITY)
    return _message(2, {"frame": number}, packed.getvalue())


def _message(kind: int, header: dict[str, Any], content: bytes) -> bytes:
    packed = msgspec.json.encode(header)
    return struct.pack("<BxxxI", kind, len(packed)) + packed + content


@contextmanager
def serve(
    host: str = "127.0.0.1",
    port: int = PORT,
    token: str | None = None,
    *,
    turn: float = 0.0,
    patience_s: float = PATIENCE_S,
    source: str = "",
    threshold: float = VIEWING_THRESHOLD,
) -> Iterator[Page]:
    """Serve the page as long as the block lasts; give its frames to `Page.show`.

    Parameters
    ----------
    host, port
        Where to listen; port 0 takes a free one.
    token
        What a browser must know; a new one where others than this machine may come. It is part of
        `Page.url`.
    turn
        Degrees by which the array's front points to the left of the pictures' middle, as the
        stream has it.
    patience_s
        A browser that takes nothing for this long is cut off.
    source
        What the stream is called on the page.
    threshold
        Score from which the page shows masks at first: the stream's.

    Raises
    ------
    DeviceError
        If the place cannot be had.

    Examples
    --------
    >>> with serve() as page:  # doctest: +SKIP
    ...     for frame in stream:
    ...         page.show(frame)
    """
    from starlette.applications import Starlette
    from starlette.responses import FileResponse
    from starlette.routing import Mount, Route, WebSocketRoute
    from starlette.staticfiles import StaticFiles

    page = Page(turn, patience_s, source, threshold)
    application = Starlette(
        routes=[
            Route("/", lambda request: FileResponse(ASSETS / "index.html")),
            WebSocketRoute("/look", page.look),
            WebSocketRoute("/listen", page.listen),
            WebSocketRoute("/events", page.send_events),
            Mount("/", StaticFiles(directory=ASSETS)),
        ]
    )
    with serving(application, host, port, token_for(host, token)) as server:
        page.server = server
        error = None
        try:
            yield page
        except SaiseldError as raised:
            error = str(raised)
            raise
        finally:
            page.end(error)
