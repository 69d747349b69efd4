"""Sound events for a person to read: what sounded from when to when, and where.

An event is a sound that goes on: many frames of one source, told in one line. The CSV has a header
and seconds; the frame-by-frame CSV of STARSS23 is `saiseld.formats.events`.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saiseld.conventions.taxonomy import CLASS_NAMES
from saiseld.conventions.timebase import FPS
from saiseld.runtime.errors import DataError, refusing
from saiseld.runtime.extras import optional_module
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
    elevation_assumed
        Whether the elevation is assumed and not measured: a planar array recorded it.
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
    elevation_assumed: bool = False

    def __repr__(self) -> str:
        distance = "" if self.distance_cm is None else f", {self.distance_cm:.0f} cm"
        assumed = " (assumed)" if self.elevation_assumed else ""
        return (
            f"SoundEvent({self.number}, {self.class_name!r}, {self.start_s:.1f} to "
            f"{self.end_s:.1f} s, azimuth {self.azimuth:.1f}, elevation {self.elevation:.1f}"
            f"{assumed}{distance}, score {self.score:.2f})"
        )


class SoundEvents(list[SoundEvent]):
    """The events of a recording: a list that also becomes a table."""

    def __repr__(self) -> str:
        if not self:
            return "SoundEvents(none)"
        counts = Counter(event.class_name for event in self).most_common()
        classes = ", ".join(f"{count} {name}" for name, count in counts)
        last = max(event.end_s for event in self)
        return f"SoundEvents({len(self)} from {self[0].start_s:.1f} to {last:.1f} s: {classes})"

    def _repr_html_(self) -> str:
        return self.to_html()

    def to_html(self, most: int = 50) -> str:
        """Return an HTML table of the first events; what is left out is said below it."""
        head = ("#", "sound", "from (s)", "to (s)", "azimuth", "elevation", "distance", "score")
        rows = [
            (
                str(e.number),
                e.class_name,
                f"{e.start_s:.1f}",
                f"{e.end_s:.1f}",
                f"{e.azimuth:.0f}°",
                f"{e.elevation:.0f}°{' (assumed)' if e.elevation_assumed else ''}",
                "–" if e.distance_cm is None else f"{e.distance_cm / 100:.1f} m",
                f"{e.score:.2f}",
            )
            for e in self[:most]
        ]
        lines = [f"<tr>{''.join(f'<td>{escape(c)}</td>' for c in row)}</tr>" for row in rows]
        left_out = f"<p>{len(self) - most} more events</p>" if len(self) > most else ""
        columns = "".join(f"<th>{name}</th>" for name in head)
        return f"<table><tr>{columns}</tr>{''.join(lines)}</table>{left_out}"

    def to_pandas(self) -> Any:
        """Return a pandas DataFrame, one row an event.

        Raises
        ------
        OutputError
            If pandas is not there; the extra ``pandas`` brings it.
        """
        optional_module("pandas", "saiseld[pandas]", "DataFrame")
        return self.to_arrow().to_pandas()

    def to_arrow(self) -> pa.Table:
        """Return an Arrow table, one row an event."""
        import pyarrow as pa

        kinds = [pa.int32(), pa.int8(), pa.string(), *[pa.float64()] * 6, pa.bool_()]
        schema = pa.schema(list(zip((f.name for f in fields(SoundEvent)), kinds, strict=True)))
        return pa.Table.from_pylist([asdict(event) for event in self], schema=schema)


_PLACE_COLUMNS = ("azimuth", "elevation", "distance_cm", "score")
_FORMER_COLUMNS = ("event", "class", "from_s", "to_s", *_PLACE_COLUMNS)
"""Of versions before 0.3, which knew no planar arrays."""
_COLUMNS = (*_FORMER_COLUMNS, "elevation_assumed")
_TRUTH = {"false": False, "true": True}


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
        if not rows or tuple(rows[0]) not in (_COLUMNS, _FORMER_COLUMNS):
            raise ValueError("another header")
    width = len(rows[0])
    return SoundEvents(_event(row, path, n + 2, width) for n, row in enumerate(rows[1:]))


def _event(row: list[str], path: Path, line: int, width: int) -> SoundEvent:
    with refusing(DataError, path, "the values of a sound event", place=f"line {line}"):
        if len(row) != width:
            raise ValueError(f"{len(row)} values under {width} names")
        values = [*row, "false"][: len(_COLUMNS)]
        number, class_name, start, end, azimuth, elevation, distance, score, assumed = values
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
            elevation_assumed=_TRUTH[assumed],
        )
    last = FRAMES.most / FPS
    far = event.distance_cm
    for name, value, minimum, most in (  # NaN is in no range
        ("event", event.number, 1, math.inf),
        ("from_s", event.start_s, 0, last),
        ("to_s", event.end_s, event.start_s, last),
        ("azimuth", event.azimuth, -180, 180),
        ("elevation", event.elevation, -90, 90),
        ("distance_cm", 0 if far is None else far, 0, DISTANCE_CM.most),
        ("score", event.score, 0, 1),
    ):
        if not minimum <= value <= most:
            raise DataError(
                path,
                place=f"line {line}, {name}",
                expected=f"{minimum} to {most}",
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
                "true" if event.elevation_assumed else "false",
            )
        )
    write_bytes(path, text.getvalue().encode())
