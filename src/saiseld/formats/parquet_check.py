"""What the pages of a Parquet file claim, read before anything is as large as they claim.

A page of some bytes may say that it unpacks to two gigabytes, and a column that it holds more
values than its rows: Arrow makes room for both. So the page headers (Thrift's compact protocol,
https://github.com/apache/parquet-format) are walked first, without unpacking any page.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow.parquet as pq

from saiseld.runtime.errors import InputError
from saiseld.runtime.limits import Limit

ROW_GROUPS = Limit("row_groups", 20_000)
"""Of a table; one is written for a block of frames."""

ENCODINGS = frozenset({"PLAIN", "RLE", "BIT_PACKED", "RLE_DICTIONARY", "PLAIN_DICTIONARY"})
COMPRESSIONS = frozenset({"UNCOMPRESSED", "SNAPPY", "GZIP", "BROTLI", "LZ4", "ZSTD"})

FIXED_BYTES = 1 << 20
"""Of a column chunk, whatever it holds: levels, a dictionary, statistics."""
_TYPES = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "FLOAT": 4, "DOUBLE": 8, "FIXED_LEN_BYTE_ARRAY": 2}
_LARGEST_HEADER = 1 << 16
_DEEPEST = 8

_UNPACKED, _PACKED = 2, 3
_COLUMN, _CODEC = (4, 1, 3), 4  # fields down to what is said of a column chunk, and one in it
_KNOWN_CODECS = 8
_VALUES = {5: 1, 8: 1}  # field of a page header, and in it that of the number of values


def check_pages(
    path: Path,
    metadata: pq.FileMetaData,
    kind: type[InputError],
    values_per_row: Mapping[str, int],
) -> None:
    """Refuse a file whose pages claim more than its rows hold.

    Parameters
    ----------
    path
        The file.
    metadata
        Its footer.
    kind
        Of the error.
    values_per_row
        Values in a row, by the path of a column; 1 where a column is not named.

    Raises
    ------
    InputError
        Of ``kind``, naming the column.
    """
    ROW_GROUPS.check(metadata.num_row_groups, kind, path, place="row groups")
    _check_codecs(path, kind)
    rows = 0
    with path.open("rb") as file:
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            if group.num_rows < 0:
                raise kind(path, place="rows", expected="0 or more", found=str(group.num_rows))
            rows += group.num_rows
            for index in range(group.num_columns):
                column = group.column(index)
                name = column.path_in_schema
                values = group.num_rows * values_per_row.get(name, 1)
                _Column(path, file, kind, column, values).check()
    if rows != metadata.num_rows:
        raise kind(path, place="rows", expected=f"{metadata.num_rows}, as it says", found=str(rows))


def _check_codecs(path: Path, kind: type[InputError]) -> None:
    """Refuse a number of a compression that there is none of: asked its name, Arrow aborts."""
    with path.open("rb") as file:
        file.seek(-8, 2)
        length = int.from_bytes(file.read(4), "little")
        file.seek(-8 - length, 2)
        footer = _Footer(file.read(length))
    footer.struct()
    if unknown := footer.codecs - set(range(_KNOWN_CODECS)):
        expected = "compressions by their numbers"
        raise kind(path, place="footer", expected=expected, found=", ".join(map(str, unknown)))


class _Column:
    def __init__(
        self, path: Path, file: BinaryIO, kind: type[InputError], column: Any, values: int
    ) -> None:
        self._path, self._file, self._kind = path, file, kind
        self._column, self._values = column, values

    def check(self) -> None:
        column = self._column
        if column.num_values != self._values:
            raise self._wrong(f"{self._values} values", str(column.num_values))
        if other := set(column.encodings) - ENCODINGS:
            raise self._wrong("plain values or a dictionary", ", ".join(sorted(other)))
        if column.compression not in COMPRESSIONS or column.physical_type not in _TYPES:
            found = f"{column.physical_type}, {column.compression}"
            raise self._wrong("numbers in a known compression", found)
        size = self._path.stat().st_size
        offsets = [column.data_page_offset]
        if column.dictionary_page_offset is not None:
            offsets.append(column.dictionary_page_offset)
        if not self._values:  # a chunk without values has no data page, and says 0
            offsets = [offset for offset in offsets if offset]
        start, length = min(offsets, default=0), column.total_compressed_size
        if start == length == 0 and not self._values:
            return
        if not (start > 0 and length >= 0 and start + length <= size):
            raise self._wrong("pages in the file", f"{length} bytes at {start}")
        unpacked, values = self._walk(start, start + length)
        most = self._values * (_TYPES[column.physical_type] + 1) + FIXED_BYTES
        if unpacked > most:
            raise self._wrong(f"at most {most} bytes unpacked", str(unpacked))
        if values != self._values:
            raise self._wrong(f"{self._values} values in its pages", str(values))

    def _walk(self, place: int, end: int) -> tuple[int, int]:
        """Return unpacked bytes and values that the pages of a column chunk claim."""
        unpacked = values = 0
        while place < end:
            self._file.seek(place)
            header = _Thrift(self._file.read(min(_LARGEST_HEADER, end - place)))
            fields = header.struct()
            sizes = fields.get(_UNPACKED), fields.get(_PACKED)
            if not all(isinstance(one, int) and one >= 0 for one in sizes):
                raise self._wrong("pages with sizes", f"{sizes}")
            unpacked += fields[_UNPACKED]
            for field, inner in _VALUES.items():
                if isinstance(page := fields.get(field), dict):
                    count = page.get(inner)
                    if not isinstance(count, int) or count < 0:
                        raise self._wrong("pages with a number of values", str(count))
                    values += count
            place += header.place + fields[_PACKED]
        if place > end:
            raise self._wrong("pages inside its part of the file", f"{place - end} bytes more")
        return unpacked, values

    def _wrong(self, expected: str, found: str) -> InputError:
        return self._kind(
            self._path,
            place=f"column {self._column.path_in_schema}",
            expected=expected,
            found=found,
        )


class _Thrift:
    """A value in Thrift's compact protocol; only as much as page headers and footers have.

    Raises ``ValueError`` (or ``IndexError``) where it is malformed.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.place = 0

    def struct(self, within: tuple[int, ...] = ()) -> dict[int, Any]:
        """Return the fields of a struct by number: integers and structs, None for others.

        ``within`` are the fields that lead to it.
        """
        if len(within) > _DEEPEST:
            raise ValueError("a page header that is nested too deeply")
        fields: dict[int, Any] = {}
        number = 0
        while (head := self._byte()) != 0:
            number = number + (head >> 4) if head >> 4 else self._zigzag()
            if number in fields:
                raise ValueError("a field twice in a page header")
            fields[number] = self._value(head & 15, (*within, number))
        return fields

    def _value(self, kind: int, within: tuple[int, ...]) -> Any:
        if kind in (1, 2):  # a boolean is its type
            return None
        if kind == 3:
            self._byte()
            return None
        if kind in (4, 5, 6):
            return self._zigzag()
        if kind == 7:
            return self._skip(8)
        if kind == 8:
            return self._skip(self._varint())
        if kind in (9, 10):
            head = self._byte()
            count = head >> 4 if head >> 4 != 15 else self._varint()
            if count > len(self._content):
                raise ValueError("a list that is longer than its header")
            for _ in range(count):
                self._byte() if head & 15 in (1, 2) else self._value(head & 15, within)
            return None
        if kind == 12:
            return self.struct(within)
        raise ValueError(f"type {kind} in a page header")

    def _byte(self) -> int:
        self.place += 1
        return self._content[self.place - 1]

    def _skip(self, length: int) -> None:
        self.place += length
        if self.place > len(self._content):
            raise ValueError("a page header that is cut off")

    def _varint(self) -> int:
        value = shift = 0
        while shift < 70:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
        raise ValueError("a number that does not end")

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)


class _Footer(_Thrift):
    """A footer, of which the numbers of the compressions are kept."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.codecs: set[object] = set()

    def struct(self, within: tuple[int, ...] = ()) -> dict[int, Any]:
        fields = super().struct(within)
        if within == _COLUMN:
            self.codecs.add(fields.get(_CODEC))
        return fields
