"""Sound events for a person to read: what sounded from when to when, and where.

An event is a sound that goes on: many frames of one source, told in one line. The CSV has a header
and seconds; the frame-by-frame CSV of STARSS23 is `saiseld.formats.events`.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from saiseld.conventions.taxonomy import CLASS_NAMES
from saiseld.conventions.timebase import FPS
from saiseld.runtime.errors import DataError, refusing
from saiseld.runtime.files import write_bytes
from saiseld.runtime.limits import DISTANCE_CM, FRAMES, Limit

if TYPE_CHECKING:
    import pyarrow as pa

SOUND_EVENTS_SUFFIX = ".events.csv"

EVENT_BYTES = Limit("event_bytes", 64 << 20)
"""Of a file of sound events: about a million."""


@dataclass(frozen=True, slots=True)
class SoundEvent:
    """A sound that goes on.

    Parameters
    ----------
    number
        Its number in the recording, from 1, in order of its start.
    class_id, class_name
        One of the 13 classes.
    start_s, end_s
        When, in seconds from the start of the recording.
    azimuth, elevation
        Where its energy was on average, in degrees; azimuth positive to the left.
    distance_cm
        Median distance in centimetres, or None where unknown.
    score
        Highest score of its frames.
    """

    number: int
    class_id: int
    class_name: str
    start_s: float
    end_s: float
    azimuth: float
    elevation: float
    distance_cm: float | None
    score: float


class SoundEvents(list[SoundEvent]):
    """The events of a recording: a list that also becomes a table."""

    def to_arrow(self) -> pa.Table:
        """Return an Arrow table, one row an event; ``.to_pandas()`` goes on from there."""
        import pyarrow as pa

        kinds = [pa.int32(), pa.int8(), pa.string(), *[pa.float64()] * 6]
        schema = pa.schema(list(zip((f.name for f in fields(SoundEvent)), kinds, strict=True)))
        return pa.Table.from_pylist([asdict(event) for event in self], schema=schema)


_COLUMNS = ("event", "class", "from_s", "to_s", "azimuth", "elevation", "distance_cm", "score")


def read_sound_events(path: str | Path) -> SoundEvents:
    """Read a file of `write_sound_events`; numbers are as they were rounded there.

    Raises
    ------
    DataError
        If it is not one.
    """
    path = Path(path)
    with refusing(DataError, path, "sound events as a CSV"):
        EVENT_BYTES.check(path.stat().st_size, DataError, path, place="bytes")
        rows = list(csv.reader(io.StringIO(path.read_text("utf-8"))))
        if not rows or tuple(rows[0]) != _COLUMNS:
            raise ValueError("another header")
    return SoundEvents(_event(row, path, number + 2) for number, row in enumerate(rows[1:]))


def _event(row: list[str], path: Path, line: int) -> SoundEvent:
    with refusing(DataError, path, "the values of a sound event", place=f"line {line}"):
        number, class_name, start, end, azimuth, elevation, distance, score = row
        event = SoundEvent(
            number=int(number),
            class_id=CLASS_NAMES.index(class_name),
            class_name=class_name,
            start_s=float(start),
            end_s=float(end),
            azimuth=float(azimuth),
            elevation=float(elevation),
            distance_cm=float(distance) if distance else None,
            score=float(score),
        )
    last = FRAMES.most / FPS
    far = event.distance_cm
    for name, value, least, most in (  # NaN is in no range
        ("event", event.number, 1, math.inf),
        ("from_s", event.start_s, 0, last),
        ("to_s", event.end_s, event.start_s, last),
        ("azimuth", event.azimuth, -180, 180),
        ("elevation", event.elevation, -90, 90),
        ("distance_cm", 0 if far is None else far, 0, DISTANCE_CM.most),
        ("score", event.score, 0, 1),
    ):
        if not least <= value <= most:
            raise DataError(
                path,
                place=f"line {line}, {name}",
                expected=f"{least} to {most}",
                found=str(value),
            )
    return event


def write_sound_events(path: str | Path, events: Iterable[SoundEvent]) -> None:
    """Write events as CSV with a header, whole or not at all; an unknown distance stays empty."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(_COLUMNS)
    for event in events:
        distance = "" if event.distance_cm is None else f"{event.distance_cm:.0f}"
        rows.writerow(
            (
                event.number,
                CLASS_NAMES[event.class_id],
                f"{event.start_s:.1f}",
                f"{event.end_s:.1f}",
                f"{event.azimuth:.1f}",
                f"{event.elevation:.1f}",
                distance,
                f"{event.score:.3f}",
            )
        )
    write_bytes(path, text.getvalue().encode())
