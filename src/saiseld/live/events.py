"""What a program is sent of a live stream: events that begin, move and end.

`EventTracker` turns frames into `EventChange`; who takes them is in `saiseld.live.outputs` and, for
the WebSocket ``/events``, in `saiseld.live.page`. Every event that began also ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from saiseld.conventions.sphere import great_circle
from saiseld.conventions.timebase import FPS
from saiseld.decision.linking import GAP
from saiseld.live.frames import LiveFrame, Mark

MOVE_DEG = 5.0
"""Degrees from the direction sent last beyond which an event moves."""

Change = Literal["begin", "move", "end"]


class EventChange(msgspec.Struct, frozen=True, kw_only=True):
    """A sound event begins, moves or ends: one line of ``saiseld live --events jsonl``."""

    type: Annotated[
        Change,
        Meta(
            description="A move is sent when the direction is more than 5 degrees from that sent "
            "last. Every event that began also ends, at the latest when the stream does."
        ),
    ]
    event: Annotated[
        int, Meta(ge=1, description="Number of the event: 1, 2, ... in the order of beginning.")
    ]
    time: Annotated[
        float,
        Meta(ge=0, description="Seconds of sound since the stream began; of an end, its end."),
    ]
    unix_time: Annotated[
        float, Meta(description="When that sound was captured, in seconds since 1970 (UTC).")
    ]
    began: Annotated[float, Meta(ge=0, description="When the event began, as `time`.")]
    class_id: Annotated[int, Meta(ge=0, le=12, description="Number of the class.")]
    class_name: Annotated[str, Meta(description="Name of the class.")]
    azimuth: Annotated[
        float,
        Meta(ge=-180, le=180, description="Degrees, 0 in front, positive to the left."),
    ]
    elevation: Annotated[float, Meta(ge=-90, le=90, description="Degrees, positive upwards.")]
    elevation_assumed: Annotated[
        bool, Meta(description="Whether elevation is assumed: a planar array does not measure it.")
    ]
    distance: Annotated[float | None, Meta(description="Metres from the array; null if unknown.")]
    score: Annotated[float, Meta(ge=0, le=1, description="Confidence of the mask sent last.")]


def events_schema() -> dict[str, Any]:
    """Return the JSON schema of a line."""
    return msgspec.json.schema(EventChange)


class EventTracker:
    """Turns frames, in order, into changes of events.

    Parameters
    ----------
    clock, wall_clock
        What `LiveFrame.captured` is measured by, and seconds since 1970.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock, self._wall_clock = clock, wall_clock
        self._last: dict[int, EventChange] = {}
        self._seen: dict[int, tuple[LiveFrame, Mark]] = {}

    @property
    def active(self) -> tuple[EventChange, ...]:
        """The events that have begun and not ended, as they were sent last."""
        return tuple(self._last.values())

    def changes(self, frame: LiveFrame) -> list[EventChange]:
        """Return what changes with a frame: ends before moves and beginnings."""
        for mark in frame.marks:
            self._seen[mark.number] = frame, mark
        over = [n for n, (last, _) in self._seen.items() if frame.frame - last.frame > GAP]
        found = [self._end(number) for number in over]
        for mark in frame.marks:
            last = self._last.get(mark.number)
            if last is None:
                found.append(self._change("begin", frame, mark))
            elif _apart(last, mark) > MOVE_DEG:
                found.append(self._change("move", frame, mark))
        return found

    def close(self) -> list[EventChange]:
        """Return the ends of all events that have begun and not ended."""
        return [self._end(number) for number in list(self._seen)]

    def _change(self, change: Change, frame: LiveFrame, mark: Mark) -> EventChange:
        last = self._last.get(mark.number)
        time_s = (frame.frame + (change == "end")) / FPS
        ago = self._clock() - frame.captured
        changed = EventChange(
            type=change,
            event=mark.number,
            time=time_s,
            unix_time=round(self._wall_clock() - ago, 3),
            began=time_s if last is None else last.began,
            class_id=mark.class_id,
            class_name=mark.class_name,
            azimuth=round(mark.azimuth, 1),
            elevation=round(mark.elevation, 1),
            elevation_assumed=frame.elevation_assumed,
            distance=None if mark.distance_cm is None else round(mark.distance_cm / 100, 2),
            score=round(mark.score, 3),
        )
        self._last[mark.number] = changed
        return changed

    def _end(self, number: int) -> EventChange:
        changed = self._change("end", *self._seen.pop(number))
        del self._last[number]
        return changed


def _apart(last: EventChange, mark: Mark) -> float:
    return float(great_circle(last.azimuth, last.elevation, mark.azimuth, mark.elevation))
