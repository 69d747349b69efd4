"""Events of a recording, in and out: the CSV of STARSS23 (docs/data.md#the-layout-of-a-dataset).

One row per active source and frame: ``frame,class,source,azimuth,elevation`` and, from 2023 on,
``distance_cm``. Angles are degrees, azimuth positive to the left; frames are zero-based at 10 FPS.
A header line may name the columns in any order, ``x,y,z`` instead of angles among them; without
one, vectors are told by their values, as `saiseld.formats.dcase_csv` has it. Semicolons, tabs and
decimal commas are read too (`saiseld.formats.csv_rows`).
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.formats.csv_rows import csv_rows, decoded
from saiseld.formats.dcase_csv import look_like_vectors
from saiseld.runtime.errors import DataError, refusing
from saiseld.runtime.files import write_bytes
from saiseld.runtime.limits import FRAMES

_COLUMNS = ("frame", "class", "source", "azimuth", "elevation", "distance_cm")
_VECTOR_COLUMNS = ("frame", "class", "source", "x", "y", "z", "distance")
_NAMES = {
    "frame": ("frame", "frame_number", "frame_index", "metadata_frame_index"),
    "class": ("class", "class_id", "class_index", "category_id", "active_class_index"),
    "source": (
        "source",
        "source_id",
        "source_number_index",
        "track",
        "track_number",
        "instance_id",
    ),
    "azimuth": ("azimuth", "azimuth_deg", "azi", "az"),
    "elevation": ("elevation", "elevation_deg", "ele", "el"),
    "distance": ("distance", "dist"),
    "distance_cm": ("distance_cm", "dist_cm"),
    "distance_m": ("distance_m", "dist_m", "range_m"),
    "x": ("x", "doa_x"),
    "y": ("y", "doa_y"),
    "z": ("z", "doa_z"),
    "": ("onscreen", "on_screen", "index", "unnamed:_0"),
}
"""What columns may be called in a header line; the last are left out, and a first one of no name,
as the numbers of rows have it."""
_UNIT = re.compile(r"(.+?)_*[(\[](.*)[)\]]")
_DEGREES = ("deg", "degree", "degrees", "°")
_LENGTH_UNITS = {"cm": "cm", "m": "m", "metres": "m", "meters": "m"}
_NEAREST_CM, _FARTHEST_M = 10.0, 20.0
"""A distance in every row below the one is none in centimetres, below the other is in metres."""
_log = logging.getLogger(__name__)


class Event(NamedTuple):
    """One source sounding in one frame; angles in degrees, distance in centimetres or None."""

    frame: int
    class_id: int
    source: int
    azimuth: float
    elevation: float
    distance_cm: float | None = None


def read_events(path: str | Path, *, classes: int = NUM_CLASSES) -> list[Event]:
    """Read the events of a STARSS23 CSV, in file order, each checked; what is guessed is logged.

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
        lines = csv_rows(decoded(path.read_bytes()))
    rows = [(f"line {number}", row) for number, row in lines]
    columns = _named_columns(rows[0][1], path) if rows else None
    if columns is not None:
        rows = rows[1:]
        columns = _with_unit(columns, rows, path)
    else:
        columns = _usual_columns(rows, path)
    events = [_event(row, path, place, classes, columns) for place, row in rows]
    if "azimuth" in columns:
        _warn_of_radians(events, path)
    return events


def distinct_events(events: Sequence[Event], source: str | Path) -> list[Event]:
    """Return events by frame; a row that is there twice counts once, and the log says so.

    Raises
    ------
    DataError
        If a source of a class is at two places in one frame.
    """
    once = sorted(set(events), key=lambda event: event[:5])
    if len(once) < len(events):
        _log.warning("%s: %d rows are there twice and count once", source, len(events) - len(once))
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


def _named_columns(row: list[str], path: Path) -> tuple[str, ...] | None:
    """Return what a header line calls the columns; None where the line is none."""
    columns = tuple(_column(text) for text in row)
    if row and not row[0].strip():
        columns = ("", *columns[1:])
    if "frame" not in columns or "class" not in columns:
        return None
    found = tuple(column for column in columns if column is not None)
    is_placed = {"azimuth", "elevation"} <= set(found) or {"x", "y", "z"} <= set(found)
    twice = len([c for c in found if c]) > len({c for c in found if c})
    if len(found) < len(columns) or twice or not is_placed:
        raise DataError(
            path,
            place="header line",
            expected=f"columns {','.join(_COLUMNS)}, or x,y,z for the angles",
            found=",".join(row),
            advice=""
            if is_placed
            else "Elevation is needed: on a sphere azimuth alone is no place",
        )
    return found


def _column(text: str) -> str | None:
    """Return what a name in a header line, with its unit or without, stands for; None: nothing."""
    name = text.strip().casefold().replace(" ", "_").replace("-", "_")
    unit = None
    if match := _UNIT.fullmatch(name):
        name, unit = match.groups()
    column = next((column for column, aliases in _NAMES.items() if name in aliases), None)
    if unit is None:
        return column
    if column in ("azimuth", "elevation"):
        return column if unit in _DEGREES else None
    if column in ("x", "y", "z"):
        return column
    return (
        f"distance_{_LENGTH_UNITS[unit]}" if name == "distance" and unit in _LENGTH_UNITS else None
    )


def _with_unit(
    columns: tuple[str, ...], rows: list[tuple[str, list[str]]], path: Path
) -> tuple[str, ...]:
    """Return columns with the unit of a distance whose name has none: metres if all are near."""
    if "distance" not in columns:
        return columns
    at, unit = columns.index("distance"), "cm"
    whole = [row for row in rows if len(row[1]) == len(columns) and row[1][at].strip()]
    if whole and not _any_from(whole, at, _NEAREST_CM):
        unit = "m"
        _log.warning("%s: no distance reaches %g: read as metres", path, _NEAREST_CM)
    return (*columns[:at], f"distance_{unit}", *columns[at + 1 :])


def _warn_of_radians(events: list[Event], path: Path) -> None:
    angles = np.array([event[3:5] for event in events]).reshape(-1, 2)
    is_small = (np.abs(angles) <= [np.pi + 0.01, np.pi / 2 + 0.01]).all()
    if len(angles) and is_small and (angles != np.round(angles)).any():
        _log.warning("%s: no angle exceeds 3.15: read as degrees, but are they radians?", path)


def _usual_columns(rows: list[tuple[str, list[str]]], path: Path) -> tuple[str, ...]:
    """Return what the columns of a file without a header hold, by their number and values."""
    widths = {len(row) for _, row in rows}
    if widths == {7}:
        unit = "cm" if _any_from(rows, 6, _FARTHEST_M) else "m"
        _log.warning("%s: read as %s, distance in %s", path, ",".join(_VECTOR_COLUMNS), unit)
        return (*_VECTOR_COLUMNS[:6], f"distance_{unit}")
    if widths != {6} or (last := _last_three(rows)) is None:
        return _COLUMNS
    vectors = look_like_vectors(last)
    is_either = vectors and bool((last == np.round(last)).all())
    if vectors and not is_either:
        _log.warning("%s: short vectors, read as %s", path, ",".join(_VECTOR_COLUMNS[:6]))
        return _VECTOR_COLUMNS[:6]
    if is_either or (last[:, 2] < _NEAREST_CM).all():
        raise DataError(
            path,
            expected=f"{','.join(_COLUMNS)}",
            found=f"values that may be x, y and z, such as {','.join(rows[0][1])}",
            advice="Name the columns in a first line: frame,class,source,azimuth,elevation,"
            "distance or frame,class,source,x,y,z",
        )
    return _COLUMNS


def _last_three(rows: list[tuple[str, list[str]]]) -> NDArray[np.float64] | None:
    try:
        last = np.array([[float(text) for text in row[3:]] for _, row in rows])
    except ValueError:
        return None  # which line it is, is said where it is read
    return last if np.isfinite(last).all() else None


def _any_from(rows: list[tuple[str, list[str]]], column: int, minimum: float) -> bool:
    """Return whether some value of a column is as large as this."""
    try:
        return any(float(row[column]) >= minimum for _, row in rows)
    except ValueError:
        return True


def _event(row: list[str], path: Path, place: str, classes: int, columns: tuple[str, ...]) -> Event:
    has_usual = columns == _COLUMNS
    if not (5 <= len(row) <= 6 if has_usual else len(row) == len(columns)):
        raise DataError(
            path,
            place=place,
            expected=f"5 or 6 columns ({','.join(_COLUMNS)})"
            if has_usual
            else f"{len(columns)} columns ({','.join(columns)})",
            found=f"{len(row)}: {','.join(row)!r}",
        )
    value = {
        name: _number(text, name, path, place)
        for name, text in zip(columns, row, strict=False)
        if name and (text.strip() or not name.startswith("distance"))
    }
    frame, class_id, source = (
        _whole(value.get(name, 0.0), name, path, place) for name in ("frame", "class", "source")
    )
    azimuth, elevation = _angles(value, path, place)
    distance = value.get("distance_cm")
    if "distance_m" in value:
        distance = 100 * value["distance_m"]
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


def _angles(value: dict[str, float], path: Path, place: str) -> tuple[float, float]:
    """Return azimuth and elevation in degrees."""
    if "azimuth" in value and "elevation" in value:
        return value["azimuth"], value["elevation"]
    x, y, z = (value[name] for name in ("x", "y", "z"))
    if not (x or y or z):
        raise DataError(
            path, place=f"{place}, x, y, z", expected="a vector with a direction", found="0, 0, 0"
        )
    return math.degrees(math.atan2(y, x)), math.degrees(math.atan2(z, math.hypot(x, y)))


def _number(text: str, name: str, path: Path, place: str) -> float:
    try:
        value = math.nan if "_" in text else float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(
            path,
            place=f"{place}, {name}",
            expected="a number (but for a first line of names)",
            found=repr(text),
        )
    return value


def _whole(value: float, name: str, path: Path, place: str) -> int:
    if value != int(value):
        raise DataError(path, place=f"{place}, {name}", expected="a whole number", found=str(value))
    return int(value)
