"""DCASE CSVs of sources frame by frame, in every layout that the challenge used from 2020 to 2024.

No header; one row per active source and frame, at 10 frames a second. The number of columns says
what a row holds:

==  ===================================================  ==========================================
4   ``frame,class,azimuth,elevation``                    systems without sources (2024)
5   ``frame,class,source,azimuth,elevation``             labels of 2020 to 2022
6   ``frame,class,source,azimuth,elevation,distance``    labels since 2023, systems of 2024
6   ``frame,class,source,x,y,z``                         systems of 2022
7   ``frame,class,source,x,y,z,distance``                systems of 2023 and 2024
==  ===================================================  ==========================================

Angles are degrees, azimuth positive to the left. Labels give distances in centimetres, systems in
metres (DCASE2024). Six columns of unit vectors are told from angles and a distance by their
values, and the guess is said (`DcaseCsv.notes`). Vectors become angles as in the public code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.formats.csv_rows import csv_rows, decoded
from saiseld.runtime.errors import DataError, refusing
from saiseld.runtime.files import write_bytes
from saiseld.runtime.limits import FRAMES

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

Coordinates = Literal["auto", "polar", "cartesian"]
"""What six columns hold: angles and a distance, or a vector; ``auto`` looks at the values."""
DistanceUnit = Literal["cm", "m"]

_POLAR = ("azimuth", "elevation")
_CARTESIAN = ("x", "y", "z")
_GREATEST_COMPONENT = 1.5
"""Components of ACCDOA vectors, which networks give, exceed 1 by a little."""
_LENGTHS = (0.3, 2.0)


@dataclass(frozen=True, slots=True, eq=False)
class SourceRows:
    """Sources that sound in frames of one recording; N rows in file order.

    Parameters
    ----------
    frame, class_id, source
        (N,) int64: zero-based frame at 10 FPS, class, number of the source in its class.
    azimuth, elevation
        (N,) float64 degrees, azimuth positive to the left.
    distance_m
        (N,) float64 metres, NaN where unknown.
    """

    frame: IntArray
    class_id: IntArray
    source: IntArray
    azimuth: FloatArray
    elevation: FloatArray
    distance_m: FloatArray

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, rows: NDArray[np.bool_] | IntArray) -> SourceRows:
        """Return some rows, by mask or index."""
        return SourceRows(*(getattr(self, name)[rows] for name in self.__slots__))

    @classmethod
    def of(cls, rows: Sequence[tuple[float, ...]]) -> SourceRows:
        """Return rows of (frame, class, source, azimuth, elevation[, distance in metres])."""
        whole = [[*row, np.nan][:6] for row in rows]
        columns = np.array(whole, float).reshape(-1, 6).T
        frame, class_id, source = (column.astype(np.int64) for column in columns[:3])
        return cls(frame, class_id, source, *columns[3:])


class DcaseCsv(NamedTuple):
    """A file's rows, and what a reader should know of how they were read."""

    rows: SourceRows
    notes: tuple[str, ...]


def read_dcase_csv(
    path: str | Path,
    *,
    coordinates: Coordinates = "auto",
    distance_unit: DistanceUnit = "cm",
    classes: int | None = NUM_CLASSES,
) -> DcaseCsv:
    """Read a DCASE CSV of any of the layouts above; an empty file is a silent recording.

    Parameters
    ----------
    coordinates
        What six columns hold.
    distance_unit
        Of the file: ``"cm"`` in labels, ``"m"`` in what systems write.
    classes
        Class ids are below this; None takes every id that is not negative.

    Raises
    ------
    DataError
        Naming file, line and column: a row of another length, what is no number, a class, frame
        or direction that cannot be, or six columns that could be either.
    """
    path = Path(path)
    with refusing(DataError, path, "a readable CSV"):
        text = decoded(path.read_bytes())
        lines = csv_rows(text)
    if not lines:
        return DcaseCsv(SourceRows.of([]), ())
    table, numbers = _table(path, lines)
    vectors = _holds_vectors(path, table, coordinates)
    names = _column_names(table.shape[1], vectors)
    _check(path, numbers, names, table, classes)
    notes = []
    if vectors and table.shape[1] == 6 and coordinates == "auto":
        notes.append("6 columns of short vectors were read as frame, class, source, x, y, z")
    if not text.endswith(("\n", "\r")):
        notes.append("the last line has no line break: was the file cut off?")
    return DcaseCsv(_rows(table, names, vectors, distance_unit), tuple(notes))


def write_dcase_csv(
    path: str | Path, rows: SourceRows, *, distance_unit: DistanceUnit = "m"
) -> None:
    """Write ``frame,class,source,azimuth,elevation[,distance]``, whole or not at all.

    The distance column is there if every row has one.
    """
    has_distance = len(rows) > 0 and not np.isnan(rows.distance_m).any()
    distance = rows.distance_m * (100 if distance_unit == "cm" else 1)
    columns = [rows.frame, rows.class_id, rows.source, rows.azimuth, rows.elevation]
    lines = [
        ",".join(f"{value:.10g}" for value in row)
        for row in zip(*columns, *([distance] if has_distance else []), strict=True)
    ]
    write_bytes(path, "".join(line + "\n" for line in lines).encode())


def _table(path: Path, lines: Sequence[tuple[int, list[str]]]) -> tuple[FloatArray, list[int]]:
    """Return the (rows, columns) numbers of a file, and the line that each row stands in."""
    width = len(lines[0][1])
    for number, row in lines:
        if len(row) != width or not 4 <= width <= 7:
            expected = f"{width} columns, as in line {lines[0][0]}"
            last = number == lines[-1][0] and len(row) < width
            raise DataError(
                path,
                place=f"line {number}",
                expected=expected if 4 <= width <= 7 else "4 to 7 columns, parted by commas",
                found=f"{len(row)}: {','.join(row)!r}",
                advice="The file ends in the middle of a row: was it cut off?" if last else "",
            )
    values = [row for _, row in lines]
    try:
        table = np.array(values, dtype="U").astype(np.float64)
        if np.isfinite(table).all() and not any("_" in text for row in values for text in row):
            return table, [number for number, _ in lines]
    except ValueError:
        pass
    raise _no_number(path, lines)


def _no_number(path: Path, lines: Sequence[tuple[int, list[str]]]) -> DataError:
    for number, row in lines:
        for column, text in enumerate(row, start=1):
            try:
                wrong = "_" in text or not np.isfinite(float(text))
            except ValueError:
                wrong = True
            if wrong:
                return DataError(
                    path,
                    place=f"line {number}, column {column}",
                    expected="a number (the file has no header line)",
                    found=repr(text),
                )
    return DataError(path, expected="numbers", found="a row that numpy cannot read")


def _holds_vectors(path: Path, table: FloatArray, coordinates: Coordinates) -> bool:
    width = table.shape[1]
    if width != 6:
        vectors: bool = width == 7
        if coordinates != "auto" and vectors != (coordinates == "cartesian"):
            held = "4 to 6 columns" if coordinates == "polar" else "6 or 7 columns"
            raise DataError(
                path, expected=f"{coordinates} coordinates, {held}", found=f"{width} columns"
            )
        return vectors
    if coordinates != "auto":
        return coordinates == "cartesian"
    last = table[:, 3:]
    if not look_like_vectors(last):
        return False
    if (last == np.round(last)).all():
        raise DataError(
            path,
            expected="six columns of frame, class, source and angles with a distance, or a vector",
            found=f"values that could be either, such as {last[0].tolist()}",
            advice="Say which with --coordinates polar or --coordinates cartesian",
        )
    return True


def look_like_vectors(values: FloatArray) -> bool:
    """Return whether (N, 3) numbers are all about as long as unit vectors."""
    if not (np.abs(values) <= _GREATEST_COMPONENT).all():
        return False
    length = np.sqrt((values**2).sum(axis=1))
    return bool(((length >= _LENGTHS[0]) & (length <= _LENGTHS[1])).all())


def _column_names(width: int, vectors: bool) -> tuple[str, ...]:
    place = _CARTESIAN if vectors else _POLAR
    names = ("frame", "class", *(() if width == 4 else ("source",)), *place)
    return names if len(names) == width else (*names, "distance")


def _check(
    path: Path,
    numbers: Sequence[int],
    names: Sequence[str],
    table: FloatArray,
    classes: int | None,
) -> None:
    column = dict(zip(names, table.T, strict=True))
    rules: list[tuple[str, NDArray[np.bool_], str]] = [
        (name, column[name] == np.round(column[name]), "a whole number")
        for name in ("frame", "class", "source")
        if name in column
    ]
    rules.append(("frame", column["frame"] >= 0, "0 or more"))
    most = "0 or more" if classes is None else f"a class of 0-{classes - 1}"
    below = np.inf if classes is None else classes
    rules.append(("class", (column["class"] >= 0) & (column["class"] < below), most))
    if "source" in column:
        rules.append(("source", np.abs(column["source"]) < 2**31, "a number of 32 bits"))
    if "azimuth" in column:
        rules.append(("azimuth", np.abs(column["azimuth"]) <= 360, "degrees from -180 to 180"))
        rules.append(("elevation", np.abs(column["elevation"]) <= 90, "degrees from -90 to 90"))
    else:
        length = sum(column[name] ** 2 for name in _CARTESIAN)
        rules.append(("x, y, z", np.asarray(length > 0), "a vector with a direction"))
    if "distance" in column:
        rules.append(("distance", column["distance"] >= 0, "0 or more"))
    for name, right, expected in rules:
        if not right.all():
            row = int(np.argmin(right))
            found = table[row, 3:] if name not in column else column[name][row]
            raise DataError(
                path, place=f"line {numbers[row]}, {name}", expected=expected, found=f"{found}"
            )
    FRAMES.check(int(column["frame"].max()) + 1, DataError, path, place="frames")


def _rows(
    table: FloatArray, names: Sequence[str], vectors: bool, distance_unit: DistanceUnit
) -> SourceRows:
    column = dict(zip(names, table.T, strict=True))
    nothing = np.full(len(table), np.nan)
    azimuth, elevation = (
        _angles(*(column[name] for name in _CARTESIAN))
        if vectors
        else (column["azimuth"], column["elevation"])
    )
    distance = column.get("distance", nothing)
    return SourceRows(
        frame=column["frame"].astype(np.int64),
        class_id=column["class"].astype(np.int64),
        source=column.get("source", np.zeros(len(table))).astype(np.int64),
        azimuth=np.ascontiguousarray(azimuth),
        elevation=np.ascontiguousarray(elevation),
        distance_m=distance / 100 if distance_unit == "cm" else distance.copy(),
    )


def _angles(x: FloatArray, y: FloatArray, z: FloatArray) -> tuple[FloatArray, FloatArray]:
    # The public code squares Python's floats one by one. In one of a thousand, the power function
    # of the C library differs from a product by the last digit.
    level = np.array([a**2 + b**2 for a, b in zip(x.tolist(), y.tolist(), strict=True)])
    return np.arctan2(y, x) * 180 / np.pi, np.arctan2(z, np.sqrt(level)) * 180 / np.pi
