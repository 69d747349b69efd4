"""Sound events for a person to read: what sounded from when to when, and where.

An event is a sound that goes on: many frames of one source, told in one line. The CSV has a header
and seconds; the frame-by-frame CSV of STARSS23 is `saiseld.formats.events`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from saiseld.conventions.taxonomy import CLASS_NAMES
from saiseld.runtime.errors import DataError, refusing
from saiseld.runtime.files import write_bytes

if TYPE_CHECKING:
    import pyarrow as pa

SOUND_EVENTS_SUFFIX = ".events.csv"


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
    with refusing(DataError, path, "sound events as a CSV"):
        rows = list(csv.reader(io.StringIO(Path(path).read_text("utf-8"))))
        if not rows or tuple(rows[0]) != _COLUMNS:
            raise ValueError("another header")
        return SoundEvents(_event(row) for row in rows[1:])


def _event(row: list[str]) -> SoundEvent:
    number, class_name, start, end, azimuth, elevation, distance, score = row
    return SoundEvent(
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
