"""Rows of a CSV as people's programs write them: in UTF-8 or UTF-16, parted by various marks.

Commas, semicolons, tabs or spaces. Spreadsheets of many countries part columns by semicolons and
write a comma for the decimal point. Lines that begin with ``#`` are comments, but for a first one
that has as many columns as the next: it names them.
"""

from __future__ import annotations

import codecs
import csv
import io
import re

_DELIMITERS = (";", "\t", ",")
"""The first of these that stands in the first line parts all lines; if none does, spaces do."""
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*")
_SEPARATOR_LINE = re.compile(r"sep=.\s*", re.IGNORECASE)


def decoded(content: bytes) -> str:
    """Return the text of a file in UTF-8, or in UTF-16 that begins with its mark.

    Raises
    ------
    UnicodeDecodeError
        If it is neither.
    """
    is_wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if is_wide else "utf-8-sig")


def csv_rows(text: str) -> list[tuple[int, list[str]]]:
    """Return the rows of a CSV that are not empty, each after the number of its last line.

    A last column that is empty in every row is left out.

    Raises
    ------
    csv.Error
        If it is no CSV.
    """
    written = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    first = next(written, "")
    has_separator_line = _SEPARATOR_LINE.fullmatch(first) is not None
    sample = first[4] if has_separator_line else first
    delimiter = next((mark for mark in _DELIMITERS if mark in sample), " ")
    # Universal line breaks: old programs end lines by a carriage return alone.
    lines = io.StringIO(text, newline=None)
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter == " ")
    rows = [(reader.line_num, row) for row in reader if row]
    rows = rows[1:] if has_separator_line else rows
    if len(rows) > 1 and len(rows[0][1]) == len(rows[1][1]):
        rows[0][1][0] = rows[0][1][0].lstrip("# ")
    rows = [(number, row) for number, row in rows if not row[0].startswith("#")]
    if rows and all(len(row) > 1 and not row[-1].strip() for _, row in rows):
        rows = [(number, row[:-1]) for number, row in rows]
    if delimiter == ",":
        return rows
    return [(number, [_with_point(text) for text in row]) for number, row in rows]


def _with_point(text: str) -> str:
    return text.replace(",", ".") if _DECIMAL_COMMA.fullmatch(text) else text
