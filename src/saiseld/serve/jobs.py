"""The jobs of a server: one table on disk, and a folder for each.

Whatever ends the server or the worker, the table says afterwards where each job is: a step is one
transaction, and files are whole or absent. Folders and files are named by the server alone; the
name that a user gives is only ever shown.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, field_validator

from saiseld.arrays.description import MicrophoneArray, array_names, read_array
from saiseld.pipeline.open import Format, Layout
from saiseld.runtime.errors import OutputError, SaiseldError, one_line, refusing
from saiseld.runtime.files import output_folder, visible
from saiseld.runtime.limits import Limit

State = Literal["open", "queued", "running", "done", "failed"]

ATTEMPTS = 2
"""A job whose process is killed is begun again this often in all."""

Part = Literal["recording", "video"]
RECORDING: Part = "recording"
VIDEO: Part = "video"
"""What uploaded files are called in a job's folder; results are named after the recording."""

_TABLE = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, wish TEXT NOT NULL, state TEXT NOT NULL, share REAL NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0, created REAL NOT NULL, touched REAL NOT NULL,
    queued REAL, started REAL, ended REAL, error TEXT, warnings TEXT NOT NULL DEFAULT '[]'
)
"""


_SCHEMA_NAMES = ("jobs", "sqlite_autoindex_jobs_1")
_COLUMNS = (
    *("id", "wish", "state", "share", "attempts", "created", "touched"),
    *("queued", "started", "ended", "error", "warnings"),
)
_STATES = ("open", "queued", "running", "done", "failed", "deleted")
_ID = re.compile(r"[0-9a-f]{32}")
_PRIVATE = 0o700

TABLE_BYTES = Limit("job_table_bytes", 64 << 20)
"""Of the table of jobs that a server begins with."""


class Limits(BaseModel):
    """What a server takes on.

    Attributes
    ----------
    upload_bytes
        The most of one file.
    jobs
        Jobs kept at a time, finished ones too.
    uploads
        Files that are being uploaded at a time.
    idle_s, upload_s
        An upload that sends nothing for the first, or takes longer than the second, is cut off.
    open_s
        A job that is neither uploaded to nor started for this long is removed.
    job_s
        A job that takes longer is failed.
    cpu_s
        Processor time of a job, in seconds, all its threads together.
    memory_bytes
        What the worker may take of memory.
    result_bytes
        The largest file that a job may write.
    free_bytes
        What all uploads together leave free on the disk.
    checks
        Uploaded files that are opened at a time, each in a process of its own.
    check_s
        Processor time for opening an uploaded file, in seconds.
    check_bytes
        Memory for opening an uploaded file.
    """

    upload_bytes: int = 4 << 30
    jobs: int = 100
    uploads: int = 16
    idle_s: float = 30.0
    upload_s: float = 3600.0
    open_s: float = 3600.0
    job_s: float = 4 * 3600.0
    cpu_s: float = 16 * 3600.0
    memory_bytes: int = 8 << 30
    result_bytes: int = 8 << 30
    free_bytes: int = 1 << 30
    checks: int = 2
    check_s: float = 60.0
    check_bytes: int = 1 << 30


class JobRequest(BaseModel):
    """The options of a job."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(min_length=1, max_length=200)] = "recording"
    """What the job is called; shown, never a path."""
    channels: Format = "auto"
    """Capsules of the tetrahedron (mic), all 32 (em32), first-order ambisonics (foa), or auto."""
    array: Annotated[str, Field(max_length=60)] = ""
    """The built-in microphone array that recorded (`saiseld array list`), instead of channels."""
    threshold: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    """Show only masks scored this or more; if absent, the threshold chosen for the weights."""
    overlay: bool = True
    """Whether the overlay video is wanted."""

    @field_validator("array")
    @classmethod
    def _is_built_in(cls, name: str) -> str:
        # Never a path: files of the server are not for who asks.
        if name and name not in array_names():
            raise ValueError(f"expected one of {', '.join(array_names())}")
        return name

    def layout(self, usual: MicrophoneArray | None = None) -> Layout:
        """Return what the recording's channels are; of the usual array where nothing is said."""
        if self.array:
            return read_array(self.array)
        return usual if usual is not None and self.channels == "auto" else self.channels


class ErrorDetail(BaseModel):
    """Why something failed: one line, and its parts where there are some."""

    message: str
    place: str | None = None
    expected: str | None = None
    found: str | None = None
    advice: str | None = None


class Job(BaseModel):
    """A job as it is now."""

    id: str
    name: str
    state: State
    """open (takes uploads), queued, running, done or failed."""
    share: float
    """Share of the work that is done, 0 to 1."""
    uploaded: list[Part]
    created: datetime
    started: datetime | None
    ended: datetime | None
    error: ErrorDetail | None
    """Why it failed."""
    warnings: list[str]
    """What may not image well."""
    files: list[str]
    """Results, under ``results/``; ``index.html`` shows them."""


class Full(SaiseldError):
    """There are as many jobs as the server keeps."""


class Jobs:
    """The table and the folders of a server.

    Raises
    ------
    OutputError
        If the folder cannot be written, or holds something else under the table's name.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = output_folder(folder)
        self._file = self.folder / "jobs.sqlite"
        self._used: dict[str, float] = {}
        self._lock = threading.Lock()
        self._make_private()
        with self._transaction() as table:
            table.execute("PRAGMA trusted_schema = OFF")
            table.execute(_TABLE)
        with self._transaction() as table:
            self._check_table(table)

    def _make_private(self) -> None:
        """Let no other user read uploads, whatever the umask: folders 0700, the table 0600."""
        jobs = self.folder / "jobs"
        with refusing(OutputError, self.folder, "a folder for jobs that can be written"):
            if jobs.is_symlink():
                raise OutputError(jobs, expected="a folder of jobs", found="a link")
            jobs.mkdir(mode=_PRIVATE, exist_ok=True)
            jobs.chmod(_PRIVATE)
            for folder in jobs.iterdir():
                if folder.is_dir() and not folder.is_symlink():
                    folder.chmod(_PRIVATE)
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
            os.close(os.open(self._file, flags, 0o600))
            self._file.chmod(0o600)
        TABLE_BYTES.check(self._file.stat().st_size, OutputError, self._file)
        with refusing(OutputError, self._file, "a table of jobs"):
            table = sqlite3.connect(self._file, timeout=30)
            try:
                # Whoever reads waits for nobody who writes.
                table.execute("PRAGMA journal_mode = WAL")
            finally:
                table.close()

    def _check_table(self, table: sqlite3.Connection) -> None:
        """Raise ``OutputError`` where the table is none that a server of this version wrote."""
        found = table.execute("SELECT type, name FROM sqlite_master").fetchall()
        others = [row["name"] for row in found if row["name"] not in _SCHEMA_NAMES]
        columns = [row["name"] for row in table.execute("PRAGMA table_info(jobs)")]
        if others or tuple(columns) != _COLUMNS:
            raise self._wrong("schema", ", ".join(_COLUMNS), ", ".join([*columns, *others]))
        if (state := table.execute("PRAGMA integrity_check(1)").fetchone()[0]) != "ok":
            raise self._wrong("content", "a table that is whole", str(state))
        for row in table.execute("SELECT * FROM jobs"):
            if not (isinstance(row["id"], str) and _ID.fullmatch(row["id"])):
                raise self._wrong("id", "32 hexadecimal digits", repr(row["id"]))
            place = f"job {row['id']}"
            if row["state"] not in _STATES:
                raise self._wrong(place, f"a state of {', '.join(_STATES)}", repr(row["state"]))
            if row["state"] != "deleted":
                with refusing(OutputError, self._file, "a job of this version", place=place):
                    self._job(row)

    def _wrong(self, place: str, expected: str, found: str) -> OutputError:
        return OutputError(
            self._file,
            place=place,
            expected=expected,
            found=found,
            advice="Choose another folder, or move this file away: its jobs are then forgotten",
        )

    @contextmanager
    def _transaction(self, *, write: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction.

        Raises
        ------
        OutputError
            If the table is damaged, or the disk is full.
        """
        with refusing(OutputError, self._file, "a table of jobs"):
            table = sqlite3.connect(self._file, timeout=30, isolation_level=None)
            table.row_factory = sqlite3.Row
            try:
                table.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                with table:
                    yield table
            finally:
                table.close()

    def folder_of(self, job: str) -> Path:
        """Return a job's folder.

        Raises
        ------
        OutputError
            If it is no name that a server gave: nothing outside is ever read or removed.
        """
        if not _ID.fullmatch(job):
            raise self._wrong("id", "32 hexadecimal digits", repr(job))
        return self.folder / "jobs" / job

    def results_of(self, job: str) -> Path:
        """Return the folder of a job's results."""
        return self.folder_of(job) / "results"

    # What who asks does.

    def create(self, request: JobRequest, most: int) -> Job:
        """Open a job.

        Raises
        ------
        Full
            If there are ``most`` already.
        """
        request = request.model_copy(update={"name": one_line(request.name)})
        job, now = secrets.token_hex(16), time.time()
        with self._transaction() as table:
            # The insertion itself counts, so that no two of them can both be the last.
            added = table.execute(
                "INSERT INTO jobs (id, wish, state, created, touched) SELECT ?, ?, 'open', ?, ? "
                "WHERE (SELECT count(*) FROM jobs) < ?",
                (job, request.model_dump_json(), now, now, most),
            )
            if not added.rowcount:
                raise Full
        self.folder_of(job).mkdir(parents=True, mode=_PRIVATE)
        self._use(job)
        found = self.get(job)
        assert found is not None
        return found

    def get(self, job: str) -> Job | None:
        """Return a job, None where there is none."""
        with self._transaction(write=False) as table:
            row = table.execute(
                "SELECT * FROM jobs WHERE id = ? AND state != 'deleted'", (job,)
            ).fetchone()
        return None if row is None else self._job(row)

    def request(self, job: str) -> JobRequest | None:
        """Return what was asked for with a job, None where there is none."""
        with self._transaction(write=False) as table:
            row = table.execute("SELECT wish FROM jobs WHERE id = ?", (job,)).fetchone()
        return None if row is None else JobRequest.model_validate_json(row["wish"])

    def all(self) -> list[Job]:
        """Return all jobs, the youngest first."""
        with self._transaction(write=False) as table:
            rows = table.execute(
                "SELECT * FROM jobs WHERE state != 'deleted' ORDER BY rowid DESC"
            ).fetchall()
        return [self._job(row) for row in rows]

    def waiting(self) -> int:
        """Return how many jobs are queued or running."""
        with self._transaction(write=False) as table:
            count = "SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')"
            return int(table.execute(count).fetchone()[0])

    def touch(self, job: str) -> None:
        """Say that someone is at it."""
        self._use(job)
        self._update("touched = ? WHERE id = ?", time.time(), job)

    def _use(self, job: str) -> None:
        with self._lock:
            self._used[job] = time.monotonic()

    def queue(self, job: str) -> bool:
        """Let an open job be worked on; return whether it was open."""
        # Never before one that waits already, whatever was done to the clock.
        return self._update(
            "state = 'queued', queued = (SELECT max(?, coalesce(max(queued), 0) + 1e-3) FROM jobs) "
            "WHERE id = ? AND state = 'open'",
            time.time(),
            job,
        )

    def delete(self, job: str) -> bool:
        """Delete a job; return whether there was one. One that runs goes when it is stopped."""
        with self._transaction() as table:
            query = "SELECT state FROM jobs WHERE id = ? AND state != 'deleted'"
            row = table.execute(query, (job,)).fetchone()
            table.execute("UPDATE jobs SET state = 'deleted' WHERE id = ?", (job,))
        if row is not None and row["state"] != "running":
            self.remove(job)
        return row is not None

    # What the worker does.

    def claim(self) -> tuple[str, JobRequest] | None:
        """Take the job that has waited longest, if one does."""
        with self._transaction() as table:
            row = table.execute(
                "UPDATE jobs SET state = 'running', started = ?, attempts = attempts + 1 WHERE id ="
                " (SELECT id FROM jobs WHERE state = 'queued' ORDER BY queued, created LIMIT 1)"
                " RETURNING id, wish",
                (time.time(),),
            ).fetchone()
        return None if row is None else (row["id"], JobRequest.model_validate_json(row["wish"]))

    def progress(self, job: str, share: float) -> None:
        """Say how far a running job is."""
        self._update("share = ? WHERE id = ? AND state = 'running'", min(max(share, 0), 1), job)

    def end(self, job: str, warnings: Sequence[str], error: ErrorDetail | None = None) -> None:
        """Say that a running job is done, or why it failed."""
        state, detail = ("done", None) if error is None else ("failed", error.model_dump_json())
        self._update(
            "state = ?, error = ?, warnings = ?, ended = ?, share = CASE ? WHEN 'done' THEN 1 "
            "ELSE share END WHERE id = ? AND state = 'running'",
            *(state, detail, msgspec.json.encode(warnings).decode(), time.time(), state, job),
        )

    # What who watches the worker does; nobody works meanwhile.

    def running(self) -> tuple[str, bool] | None:
        """Return the running job's id and attempt, and whether it was deleted since."""
        with self._transaction(write=False) as table:
            row = table.execute(
                "SELECT id, attempts, state FROM jobs WHERE state = 'running' OR "
                "(state = 'deleted' AND ended IS NULL AND started IS NOT NULL) ORDER BY state"
            ).fetchone()
        return (
            None if row is None else (f"{row['id']} {row['attempts']}", row["state"] == "deleted")
        )

    def stopped(self, why: str, *, again: bool = True, counts: bool = True) -> None:
        """Say that the worker was stopped: its job is queued again, or failed.

        Parameters
        ----------
        why
            Why a failed job failed.
        again
            Whether to begin it again, unless that was done `ATTEMPTS` times.
        counts
            Whether this was an attempt: not where the server itself stopped the worker.
        """
        detail = ErrorDetail(message=why).model_dump_json()
        if not counts:
            self._update("attempts = attempts - 1 WHERE state = 'running'")
        if again:
            self._update(f"state = 'queued' WHERE state = 'running' AND attempts < {ATTEMPTS}")
        self._update(
            "state = 'failed', error = ?, ended = ? WHERE state = 'running'", detail, time.time()
        )

    def sweep(self, open_s: float, *, deleted: bool) -> None:
        """Remove open jobs that were left alone, and with ``deleted`` those that were deleted.

        How long is counted by this process: a clock that is set forward removes nothing.
        """
        now = time.monotonic()
        with self._transaction(write=False) as table:
            opened = [r["id"] for r in table.execute("SELECT id FROM jobs WHERE state = 'open'")]
            which = "SELECT id FROM jobs WHERE state = 'deleted'"
            which = which if deleted else f"{which} AND started IS NULL"
            gone = [row["id"] for row in table.execute(which)]
        with self._lock:
            self._used = {job: self._used.get(job, now) for job in opened}
            alone = [job for job, used in self._used.items() if now - used > open_s]
        for job in alone:
            if self._update("state = 'deleted' WHERE id = ? AND state = 'open'", job):
                gone.append(job)
        for job in gone:
            self.remove(job)

    def remove(self, job: str) -> None:
        """Remove all that there is of a job that was deleted."""
        shutil.rmtree(self.folder_of(job), ignore_errors=True)
        with self._transaction() as table:
            table.execute("DELETE FROM jobs WHERE id = ?", (job,))

    def _update(self, what: str, *values: object) -> bool:
        with self._transaction() as table:
            return bool(table.execute(f"UPDATE jobs SET {what}", values).rowcount)

    def _job(self, row: sqlite3.Row) -> Job:
        folder, request = self.folder_of(row["id"]), JobRequest.model_validate_json(row["wish"])
        parts: tuple[Part, ...] = (RECORDING, VIDEO)
        done = row["state"] == "done"
        return Job(
            id=row["id"],
            name=request.name,
            state=row["state"],
            share=row["share"],
            uploaded=[part for part in parts if (folder / part).is_file()],
            created=_moment(row["created"]),
            started=_moment(row["started"]),
            ended=_moment(row["ended"]),
            error=None if row["error"] is None else ErrorDetail.model_validate_json(row["error"]),
            warnings=msgspec.json.decode(row["warnings"]),
            files=result_names(self.results_of(row["id"])) if done else [],
        )


def named(file: str, title: str) -> str:
    """Return the name under which a result is saved: after the job's title, not ``recording``."""
    stem = "".join("_" if c in '/\\:*?"<>|' else c for c in title).strip(". ")
    stem = stem.removesuffix(".wav").removesuffix(".flac") or RECORDING
    return stem + file.removeprefix(RECORDING) if file.startswith(RECORDING) else file


def result_names(folder: Path) -> list[str]:
    """Return the names of a job's results."""
    return sorted(p.name for p in visible(folder.iterdir())) if folder.is_dir() else []


def _moment(seconds: float | None) -> Any:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
