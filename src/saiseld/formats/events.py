"""Events of a recording, in and out: the CSV of STARSS23 (docs/data.md#the-tree).

One row per active source and frame, no header: ``frame,class,source,azimuth,elevation`` and, from
2023 on, ``distance_cm``. Angles are degrees, azimuth positive to the left; frames are zero-based at
10 FPS.
"""

from __future__ import annotations

import csv
import io
import logging
import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.formats.dcase_csv import look_like_vectors
from saiseld.runtime.errors import DataError, refusing
from saiseld.runtime.files import write_bytes
from saiseld.runtime.limits import FRAMES

_COLUMNS = ("frame", "class", "source", "azimuth", "elevation", "distance_cm")


class Event(NamedTuple):
    """One source sounding in one frame; angles in degrees, distance in centimetres or None."""

    frame: int
    class_id: int
    source: int
    azimuth: float
    elevation: float
    distance_cm: float | None = None


def read_events(path: str | Path, *, classes: int = NUM_CLASSES) -> list[Event]:
    """Read the events of a STARSS23 CSV, in file order, each checked.

    Parameters
    ----------
    path
        The file.
    classes
        How many classes there are: of another corpus, whose numbers are not ours, another number.

    Raises
    ------
    DataError
        Naming file, line, column, what was expected and what was found.
    """
    path = Path(path)
    with refusing(DataError, path, "a readable events CSV"):
        rows = csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig")))
        lines = [(f"line {rows.line_num}", row) for row in rows if row]
    _refuse_vectors(path, [row for _, row in lines])
    return [_event(row, path, place, classes) for place, row in lines]


def _refuse_vectors(path: Path, rows: Sequence[Sequence[str]]) -> None:
    """Raise ``DataError`` where six columns hold x, y, z, as systems of DCASE 2022 write them."""
    if not rows or any(len(row) != 6 for row in rows):
        return
    try:
        values = np.array([row[3:] for row in rows], dtype="U").astype(np.float64)
    except ValueError:
        return  # said with its place by whoever reads the row
    if look_like_vectors(values):
        raise DataError(
            path,
            expected="azimuth and elevation in degrees, and a distance in centimetres",
            found=f"what looks like unit vectors, such as {', '.join(rows[0][3:])}",
            advice="Vectors (x, y, z) are what systems write; labels hold angles",
        )


def distinct_events(events: Sequence[Event], source: str | Path) -> list[Event]:
    """Return events by frame; a row that is there twice counts once, and the log says so.

    Raises
    ------
    DataError
        If a source of a class is at two places in one frame.
    """
    once = sorted(set(events), key=lambda event: event[:5])
    if len(once) < len(events):
        logging.getLogger(__name__).warning(
            "%s: %d rows are there twice and count once", source, len(events) - len(once)
        )
    for before, after in pairwise(once):
        if before[:3] == after[:3]:
            raise DataError(
                source,
                place=f"frame {after.frame}, class {after.class_id}, source {after.source}",
                expected="a source once in a frame",
                found=f"it at azimuths {before.azimuth:g} and {after.azimuth:g}, "
                f"elevations {before.elevation:g} and {after.elevation:g}",
                advice="Number the sources of one class",
            )
    return once


def write_events(path: str | Path, events: Iterable[Event]) -> None:
    """Write a STARSS23 CSV, whole or not at all; the distance column only where one is known."""
    lines = [",".join(f"{value:.10g}" for value in event if value is not None) for event in events]
    write_bytes(path, "".join(line + "\n" for line in lines).encode())


def check_within(events: Sequence[Event], frames: int, source: str | Path) -> None:
    """Raise ``DataError`` where an event lies beyond the last frame of its recording."""
    for number, event in enumerate(events, start=1):
        if event.frame >= frames:
            raise DataError(
                source,
                place=f"event {number}",
                expected=f"a frame below {frames}, the frames of the audio",
                found=f"frame {event.frame}",
                advice="Are the CSV and the audio of the same recording, at 10 frames a second?",
            )


def _event(row: list[str], path: Path, place: str, classes: int) -> Event:
    if not 5 <= len(row) <= 6:
        raise DataError(
            path,
            place=place,
            expected=f"5 or 6 columns ({','.join(_COLUMNS)})",
            found=f"{len(row)}: {','.join(row)!r}",
        )
    frame, class_id, source = (
        _whole(_number(row, column, path, place), column, path, place) for column in range(3)
    )
    azimuth, elevation = (_number(row, column, path, place) for column in (3, 4))
    distance = _number(row, 5, path, place) if len(row) == 6 else None
    for name, ok, expected, found in (
        ("frame", frame >= 0, "0 or more", frame),
        ("source", abs(source) < 2**31, "a number of 32 bits", source),
        ("class", 0 <= class_id < classes, f"a class of 0-{classes - 1}", class_id),
        ("azimuth", -180 <= azimuth <= 180, "degrees from -180 to 180", azimuth),
        ("elevation", -90 <= elevation <= 90, "degrees from -90 to 90", elevation),
        ("distance_cm", distance is None or distance >= 0, "0 or more", distance),
    ):
        if not ok:
            raise DataError(path, place=f"{place}, {name}", expected=expected, found=str(found))
    FRAMES.check(frame + 1, DataError, path, place=f"{place}, frames")
    return Event(frame, class_id, source, azimuth, elevation, distance)


def _number(row: list[str], column: int, path: Path, place: str) -> float:
    text = row[column]
    try:
        value = math.nan if "_" in text else float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(
            path,
            place=f"{place}, {_COLUMNS[column]}",
            expected="a number (the file has no header line)",
            found=repr(text),
        )
    return value


def _whole(value: float, column: int, path: Path, place: str) -> int:
    if value != int(value):
        raise DataError(
            path,
            place=f"{place}, {_COLUMNS[column]}",
            expected="a whole number",
            found=str(value),
        )
    return int(value)
