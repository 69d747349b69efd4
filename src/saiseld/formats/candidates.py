"""The candidate table: every candidate of a recording, measured once, decided on often.

One row per candidate, of either branch: the detector's rows and those of the audio branch are in
one table, told apart by the column ``branch``. Boxes are canvas pixels and may reach past the seam
(``x0 < 0`` or ``x1 > 360``, width at most 360). Kept as Parquet, one file per recording, schema
versioned, written whole or not at all. Tables of schema version 1, which held one branch, are read
as rows of that branch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from saiseld.conventions.sphere import HEIGHT, WIDTH
from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.formats.parquet_check import check_pages
from saiseld.runtime.errors import CandidateError, refusing
from saiseld.runtime.extras import optional_module
from saiseld.runtime.files import atomic_path, is_plain_name, visible
from saiseld.runtime.limits import DISTANCE_CM, FRAMES, Limit

SCHEMA_VERSION = 2
MAP_SIZE = 28
CANDIDATES_SUFFIX = ".candidates.parquet"

Branch = Literal["detector", "audio"]
BRANCHES: tuple[Branch, ...] = ("detector", "audio")
"""What fills a table: the audiovisual detector, and the SELD network of the audio branch.

A file's column ``branch`` has their numbers, from 0."""

FUSED = "both"
"""Branch of a row that fusion made of one of each; only in memory."""

ROWS = Limit("candidate_rows", 4_000_000)
"""Detections in a table: more than a hundred a frame for an hour. A row takes 1.6 kB of memory."""
ROWS_PER_FRAME = Limit("candidate_rows_per_frame", 1000)

# Scores and boxes do not shrink much: a file that claims more rows than it can hold is a bomb.
_MIN_BYTES_PER_ROW = 8
_ROWS_OF_ANY_SIZE = 20_000
_BATCH_ROWS = 4096

_VALUES_PER_ROW = {"energy_map.list.element": MAP_SIZE * MAP_SIZE}
FOOTER_BYTES = 64 << 20
_DEGREES_BEYOND = 1e-3
"""By which an angle may exceed its range: what rounding to 32 bits leaves."""

_MAP = pa.list_(pa.float16(), MAP_SIZE * MAP_SIZE)
_SCHEMA = pa.schema(
    [
        pa.field("frame", pa.int32(), nullable=False),
        pa.field("class_id", pa.int8(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
        *(pa.field(name, pa.float32(), nullable=False) for name in ("x0", "y0", "x1", "y1")),
        pa.field("azimuth", pa.float32(), nullable=False),
        pa.field("elevation", pa.float32(), nullable=False),
        pa.field("distance_cm", pa.float32(), nullable=False),
        pa.field("has_map", pa.bool_(), nullable=False),
        pa.field("energy_map", _MAP, nullable=False),
        pa.field("closure", pa.float32(), nullable=False),
        pa.field("diffuseness", pa.float32(), nullable=False),
        pa.field("matchability", pa.float32(), nullable=False),
        pa.field("branch", pa.int8(), nullable=False),
        pa.field("pictured", pa.bool_(), nullable=False),
    ]
)
_ADDED = ("branch", "pictured")
_FIRST_SCHEMA = pa.schema([field for field in _SCHEMA if field.name not in _ADDED])
"""That of version 1."""


def _no_branch() -> NDArray[np.str_]:
    return np.empty(0, "U8")


def _no_picture() -> NDArray[np.bool_]:
    return np.empty(0, bool)


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The candidates of one recording, sorted by frame; N rows.

    Parameters
    ----------
    recording
        Its name, as in the label and prediction file names.
    frames
        Frames in the recording, with candidates or without.
    frame, class_id, score
        (N,) int32, int8, float32: frame, class (0-12), the branch's raw score in [0, 1].
    box
        (N, 4) float32 ``x0, y0, x1, y1``.
    azimuth, elevation
        (N,) float32, degrees: direction of the energy peak (of the box centre where no map is).
    distance_cm
        (N,) float32, NaN where the distance head was not run.
    has_map, energy_map
        (N,) bool and (N, 28, 28) float16: the energy map, zeros where it was not computed. A
        detector gives maps and distances wider; see `as_stored`.
    closure, diffuseness
        (N,) float32: the frame's acoustic gates (`saiseld.acoustics.gates`).
    matchability
        (N,) float32: calibrated probability of matching the ground truth, NaN until calibrated.
    provenance
        What made the table: system, models, options. JSON values.
    branches
        The branches that were run, whether or not they found anything.
    branch
        (N,) str: which of them a row is of; all of the first one where it is not given.
    pictured
        (N,) bool: whether the row's frame had a picture; all had one where it is not given.
    """

    recording: str
    frames: int
    frame: NDArray[np.int32]
    class_id: NDArray[np.int8]
    score: NDArray[np.float32]
    box: NDArray[np.float32]
    azimuth: NDArray[np.float32]
    elevation: NDArray[np.float32]
    distance_cm: NDArray[np.floating]
    has_map: NDArray[np.bool_]
    energy_map: NDArray[np.floating]
    closure: NDArray[np.float32]
    diffuseness: NDArray[np.float32]
    matchability: NDArray[np.float32]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    branches: tuple[Branch, ...] = ("detector",)
    branch: NDArray[np.str_] = field(default_factory=_no_branch)
    pictured: NDArray[np.bool_] = field(default_factory=_no_picture)

    def __len__(self) -> int:
        return len(self.frame)

    def __post_init__(self) -> None:
        rows = len(self.frame)
        if not self.branches or not set(self.branches) <= set(BRANCHES):
            self._fail("branches", f"some of {', '.join(BRANCHES)}", str(self.branches))
        if rows and not len(self.branch):
            object.__setattr__(self, "branch", np.full(rows, self.branches[0], "U8"))
        if rows and not len(self.pictured):
            object.__setattr__(self, "pictured", np.ones(rows, bool))
        if not is_plain_name(self.recording):
            self._fail("recording", "a name that a file can have", repr(self.recording))
        for name in _COLUMNS:
            tail = {"box": (4,), "energy_map": (MAP_SIZE, MAP_SIZE)}.get(name, ())
            shape = getattr(self, name).shape
            if shape != (rows, *tail):
                self._fail(name, f"shape {(rows, *tail)}", f"{shape}")
        valid = np.isin(self.branch, (*self.branches, FUSED))
        self._check("branch", valid, f"one of {', '.join(self.branches)}")
        x0, y0, x1, y1 = self.box.T
        self._check("frame", (self.frame >= 0) & (self.frame < self.frames), "0 <= frame < frames")
        ordered = np.ones(rows, bool)
        ordered[1:] = self.frame[1:] >= self.frame[:-1]
        self._check("frame", ordered, "rows sorted by frame")
        self._check(
            "class_id",
            (self.class_id >= 0) & (self.class_id < NUM_CLASSES),
            f"a class of 0-{NUM_CLASSES - 1}",
        )
        self._check("score", (self.score >= 0) & (self.score <= 1), "a score in [0, 1]")
        self._check(
            "box",
            (x1 >= x0)
            & (y1 >= y0)
            & (x0 >= -WIDTH)
            & (x1 <= 2 * WIDTH)
            & (x1 - x0 <= WIDTH + 1e-3)
            & (y0 >= -1e-3)
            & (y1 <= HEIGHT + 1e-3),
            "a box on the canvas",
        )
        # A sum is finite where all its terms are, and needs no mask of the whole column.
        totals = self.energy_map.sum(axis=(1, 2), dtype=np.float32)
        self._check("energy_map", np.isfinite(totals), "finite energies")
        for name, minimum, most in _RANGES:
            values = getattr(self, name)
            inside = (values >= minimum - _DEGREES_BEYOND) & (values <= most + _DEGREES_BEYOND)
            self._check(name, inside, f"a number from {minimum} to {most}")
        far, likely = self.distance_cm, self.matchability
        self._check(
            "distance_cm",
            np.isnan(far) | ((far >= 0) & (far <= DISTANCE_CM.most)),
            f"0 to {DISTANCE_CM.most}, NaN where unknown",
        )
        self._check(
            "matchability",
            np.isnan(likely) | ((likely >= 0) & (likely <= 1)),
            "a probability, NaN where unknown",
        )

    def __repr__(self) -> str:
        return f"Candidates({self.recording!r}: {len(self)} rows in {self.frames} frames)"

    def to_pandas(self) -> Any:
        """Return a pandas DataFrame, one row a candidate, without its energy map.

        Raises
        ------
        OutputError
            If pandas is not there; the extra ``pandas`` brings it.
        """
        pandas = optional_module("pandas", "saiseld[pandas]", "DataFrame")
        columns = {name: getattr(self, name) for name in _COLUMNS}
        del columns["energy_map"]
        box = columns.pop("box")
        columns |= dict(zip(("x0", "y0", "x1", "y1"), box.T, strict=True))
        return pandas.DataFrame(columns)

    def _check(self, column: str, ok: NDArray[np.bool_], expected: str) -> None:
        if not ok.all():
            row = int(np.argmin(ok))
            value = getattr(self, column)[row]
            text = "a value that is not finite" if value.ndim == 2 else f"{value}"
            self._fail(f"{column}, row {row}", expected, text)

    def _fail(self, place: str, expected: str, found: str) -> None:
        raise CandidateError(self.recording, place=place, expected=expected, found=found)

    def take(self, rows: NDArray[Any]) -> Candidates:
        """Return the table of some rows (a boolean mask or increasing indices)."""
        return replace(self, **{name: getattr(self, name)[rows] for name in _COLUMNS})

    def of_branch(self, branch: Branch) -> Candidates:
        """Return the rows of one branch; none where it was not run."""
        if self.branches == (branch,):
            return self
        return replace(self.take(self.branch == branch), branches=(branch,))

    def as_stored(self) -> Candidates:
        """Return the table as narrow as its file keeps it, so that both ways decide alike."""
        return replace(
            self,
            distance_cm=self.distance_cm.astype(np.float32, copy=False),
            energy_map=self.energy_map.astype(np.float16, copy=False),
        )


_RANGES = (
    ("azimuth", -180, 180),
    ("elevation", -90, 90),
    ("closure", -1, 1),
    ("diffuseness", 0, 1),
)
"""Columns, and the least and greatest value of each by its definition."""

_OF_TABLE = ("recording", "frames", "provenance", "branches")
_COLUMNS = tuple(f.name for f in fields(Candidates) if f.name not in _OF_TABLE)


def joined(parts: Sequence[Candidates]) -> Candidates:
    """Return parts of one recording's table as one, sorted by frame; the first says what made it.

    Where parts share a frame their rows follow one another in the order of the parts.
    """
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS
    }
    order = np.argsort(columns["frame"], kind="stable")
    if not np.array_equal(order, np.arange(len(order))):
        columns = {name: column[order] for name, column in columns.items()}
    branches = tuple(dict.fromkeys(branch for part in parts for branch in part.branches))
    frames = max(part.frames for part in parts)
    return replace(parts[0], frames=frames, branches=branches, **columns)


def no_candidates(recording: str, frames: int = 0) -> Candidates:
    """Return a table without rows."""
    columns: dict[str, Any] = {name: np.empty(0, np.float32) for name in _COLUMNS}
    columns |= {
        "box": np.empty((0, 4), np.float32),
        "energy_map": np.empty((0, MAP_SIZE, MAP_SIZE), np.float16),
        "frame": np.empty(0, np.int32),
        "class_id": np.empty(0, np.int8),
        "has_map": np.empty(0, bool),
        "branch": _no_branch(),
        "pictured": _no_picture(),
    }
    return Candidates(recording, frames, **columns)


@contextmanager
def candidate_writer(path: str | Path) -> Iterator[Callable[[Candidates], None]]:
    """Yield a function that appends a recording's next frames; the file is whole or absent.

    A long recording is written block by block, so that it never has to be held at once. The first
    block says whose recording it is and what made it.
    """
    with atomic_path(path) as temporary, ExitStack() as stack:
        writers: list[pq.ParquetWriter] = []

        def append(block: Candidates) -> None:
            if not writers:
                schema = _SCHEMA.with_metadata({"saiseld": json.dumps(_header(block))})
                writer = pq.ParquetWriter(
                    temporary, schema, compression="zstd", write_page_checksum=True
                )
                writers.append(stack.enter_context(writer))
            if (block.branch == FUSED).any():
                raise CandidateError(
                    path, place="branch", expected="rows of a branch", found="fused ones"
                )
            writers[0].write_table(_arrow(block, writers[0].schema))

        yield append


def write_candidates(path: str | Path, table: Candidates) -> None:
    """Write a candidate table, whole or not at all."""
    with candidate_writer(path) as append:
        append(table)


def _header(table: Candidates) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "recording": table.recording,
        "frames": table.frames,
        "branches": list(table.branches),
        "provenance": dict(table.provenance),
    }


def _arrow(table: Candidates, schema: pa.Schema) -> pa.Table:
    columns = {name: getattr(table, name) for name in _COLUMNS if name not in ("box", "energy_map")}
    columns["branch"] = (table.branch == BRANCHES[1]).astype(np.int8)
    columns |= {name: table.box[:, i] for i, name in enumerate(("x0", "y0", "x1", "y1"))}
    flat = _column(table.energy_map, pa.float16())
    arrays = [
        pa.FixedSizeListArray.from_arrays(flat, type=_MAP)
        if name == "energy_map"
        else _column(columns[name], schema.field(name).type)
        for name in schema.names
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _column(values: NDArray[Any], kind: pa.DataType) -> pa.Array:
    """Return numbers as a column; ``pa.array`` would import pandas, which takes a second."""
    flat = np.ascontiguousarray(values, kind.to_pandas_dtype()).reshape(-1)
    stored = np.packbits(flat, bitorder="little") if flat.dtype == bool else flat
    return pa.Array.from_buffers(kind, len(flat), [None, pa.py_buffer(stored)])


class _Header(msgspec.Struct):
    recording: str
    frames: Annotated[int, msgspec.Meta(ge=0)]
    branches: tuple[Branch, ...] = ()
    provenance: dict[str, Any] = {}


def read_candidates(path: str | Path) -> Candidates:
    """Read a candidate table.

    Raises
    ------
    CandidateError
        If the file is not a candidate table of this schema version, holds impossible values, is
        not named after its recording, or claims more than `ROWS`, `ROWS_PER_FRAME` or
        `saiseld.runtime.limits.FRAMES`.
    """
    path = Path(path)
    file, header = _opened(path)
    rows = file.metadata.num_rows
    scalars = [name for name in file.schema_arrow.names if name != "energy_map"]
    maps = np.empty((rows, MAP_SIZE, MAP_SIZE), np.float16)
    with refusing(CandidateError, path, "a Parquet file"):
        # One thread: tables are read from many processes at once.
        columns = file.read(scalars, use_threads=False)
        row = 0
        # Maps are decoded a few at a time: Arrow takes several times their size.
        for batch in file.iter_batches(_BATCH_ROWS, columns=["energy_map"], use_threads=False):
            maps[row : row + len(batch)] = _maps(batch)
            row += len(batch)
        if row != rows:
            raise CandidateError(path, expected=f"{rows} rows, as it says", found=str(row))
        return _table(path, header, columns, maps)


def read_header(path: str | Path) -> Candidates:
    """Return a candidate table without its rows; raises what `read_candidates` does."""
    path = Path(path)
    file, header = _opened(path)
    no_maps = np.empty((0, MAP_SIZE, MAP_SIZE), np.float16)
    return _table(path, header, file.schema_arrow.empty_table(), no_maps)


def read_provenance(path: str | Path) -> Mapping[str, Any]:
    """Return what made a candidate table, without its rows; raises what `read_candidates` does."""
    return _opened(Path(path))[1].provenance


def iter_candidates(path: str | Path) -> Iterator[Candidates]:
    """Yield a candidate table some whole frames at a time, in bounded memory.

    There is always a last block, though it may have no rows. Raises what `read_candidates` does.
    """
    path = Path(path)
    file, header = _opened(path)
    held: Candidates | None = None
    with refusing(CandidateError, path, "a Parquet file"):
        for batch in file.iter_batches(_BATCH_ROWS, use_threads=False):
            block = _table(path, header, batch, _maps(batch))
            if held is not None:
                block = joined([held, block])
            if len(block):
                going_on = block.frame == block.frame[-1]
                if not going_on.all():
                    yield block.take(~going_on)
                held = block.take(going_on)
        if held is None:
            no_maps = np.empty((0, MAP_SIZE, MAP_SIZE), np.float16)
            held = _table(path, header, file.read(use_threads=False), no_maps)
        yield held


def _opened(path: Path) -> tuple[pq.ParquetFile, _Header]:
    """Return the file, its schema and claims checked, and its header."""
    if not path.is_file():
        raise CandidateError(path, expected="a candidate table", found="no such file")
    with refusing(CandidateError, path, "a candidate table (Parquet)"):
        _check_footer(path)
        file = pq.ParquetFile(path, page_checksum_verification=True)
        schema, rows = file.schema_arrow, file.metadata.num_rows
        content = (schema.metadata or {}).get(b"saiseld", b"{}")
        version = msgspec.json.decode(content, type=dict[str, Any]).get("schema_version")
    if version not in (1, SCHEMA_VERSION):
        raise CandidateError(
            path,
            place="schema_version",
            expected=str(SCHEMA_VERSION),
            found=str(version),
            advice="Run `saiseld detect` again with this version",
        )
    valid = _SCHEMA if version == SCHEMA_VERSION else _FIRST_SCHEMA
    if not schema.equals(valid):
        wrong = [n for n in valid.names if n not in schema.names] or ["column types"]
        expected = f"the columns of schema version {version}"
        raise CandidateError(path, place=wrong[0], expected=expected, found="others")
    with refusing(CandidateError, path, "a name, frames and provenance", place="header"):
        header = msgspec.json.decode(content, type=_Header)
        if version == 1:
            header.branches = _branches_of_first_version(path, header.provenance)
    stem = path.name.removesuffix(CANDIDATES_SUFFIX)
    if header.recording != stem:
        raise CandidateError(
            path,
            place="recording",
            expected=f"that of the file's name, {stem!r}",
            found=repr(header.recording),
            advice=f"A table is named <recording>{CANDIDATES_SUFFIX}",
        )
    FRAMES.check(header.frames, CandidateError, path)
    ROWS.check(rows, CandidateError, path, place="rows")
    ROWS_PER_FRAME.check(-(-rows // max(header.frames, 1)), CandidateError, path, place="a frame")
    with refusing(CandidateError, path, "pages of a candidate table"):
        check_pages(path, file.metadata, CandidateError, _VALUES_PER_ROW)
    if rows > path.stat().st_size // _MIN_BYTES_PER_ROW + _ROWS_OF_ANY_SIZE:
        raise CandidateError(
            path, place="rows", expected="no more than the file can hold", found=str(rows)
        )
    return file, header


def _check_footer(path: Path) -> None:
    """Refuse a file whose footer is larger than that of any table."""
    with path.open("rb") as file:
        file.seek(-8, 2)
        length, mark = int.from_bytes(file.read(4), "little"), file.read(4)
    if mark == b"PAR1" and length > FOOTER_BYTES:
        raise CandidateError(
            path, place="footer", expected=f"at most {FOOTER_BYTES} bytes", found=str(length)
        )


def _branches_of_first_version(path: Path, provenance: Mapping[str, Any]) -> tuple[Branch, ...]:
    """Return the one branch that a table of schema version 1 holds."""
    imager = provenance.get("imager")
    if imager == "fusion":
        raise CandidateError(
            path,
            place="schema_version",
            expected=f"rows of a branch (version {SCHEMA_VERSION})",
            found="fused rows of version 1, which no other system can decide on",
            advice="Run `saiseld image` again with this version",
        )
    return ("audio",) if imager == "seld" else ("detector",)


def _maps(batch: pa.RecordBatch) -> NDArray[np.float16]:
    values = batch["energy_map"].flatten().to_numpy(zero_copy_only=False)
    return np.asarray(values.reshape(-1, MAP_SIZE, MAP_SIZE))


def _table(
    path: Path, header: _Header, arrow: pa.Table | pa.RecordBatch, maps: NDArray[np.float16]
) -> Candidates:
    names = [n for n in arrow.schema.names if n in _COLUMNS and n not in ("energy_map", "branch")]
    columns = {n: np.asarray(arrow[n]) for n in names}
    if "branch" in arrow.schema.names:
        # What is no branch's number is named by none, and refused with the other values.
        numbers = np.clip(np.asarray(arrow["branch"]), -1, len(BRANCHES))
        columns["branch"] = np.array([*BRANCHES, "?", "?"], "U8")[numbers]
    box = np.stack([np.asarray(arrow[name]) for name in ("x0", "y0", "x1", "y1")], axis=1)
    columns |= {"box": box, "energy_map": maps}
    try:
        return Candidates(
            recording=header.recording,
            frames=header.frames,
            provenance=header.provenance,
            branches=header.branches,
            **columns,
        )
    except CandidateError as error:
        raise CandidateError(
            path, place=error.place, expected=error.expected, found=error.found
        ) from error


def candidate_files(folder: str | Path) -> dict[str, Path]:
    """Return recording name to path of the candidate tables of a folder (or of one file)."""
    folder = Path(folder)
    found = visible(folder.glob(f"*{CANDIDATES_SUFFIX}"))
    paths = [folder] if folder.is_file() else sorted(found)
    if not paths:
        raise CandidateError(
            folder,
            expected=f"candidate tables (*{CANDIDATES_SUFFIX})",
            found="none" if folder.is_dir() else "no such folder",
            advice="Make them with `saiseld detect`",
        )
    return {path.name.removesuffix(CANDIDATES_SUFFIX): path for path in paths}
