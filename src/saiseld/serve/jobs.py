"""The jobs of a server: one table on disk, and a folder for each.

Whatever ends the server or the worker, the table says afterwards where each job is: a step is one
transaction, and files are whole or absent. Folders and files are named by the server alone; the
name that a user gives is only ever shown.
"""

from __future__ import annotations

import secrets
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from saiseld.pipeline.defaults import VIEWING_THRESHOLD
from saiseld.pipeline.open import Format
from saiseld.runtime.errors import OutputError, one_line, refusing
from saiseld.runtime.files import output_folder, visible

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
    memory_bytes
        What the worker may take of memory.
    free_bytes
        What an upload leaves free on the disk.
    """

    upload_bytes: int = 4 << 30
    jobs: int = 100
    uploads: int = 16
    idle_s: float = 30.0
    upload_s: float = 3600.0
    open_s: float = 3600.0
    job_s: float = 4 * 3600.0
    memory_bytes: int = 8 << 30
    free_bytes: int = 1 << 30


class JobRequest(BaseModel):
    """What is wanted of a recording."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(min_length=1, max_length=200)] = "recording"
    """What the job is called; shown, never a path."""
    channels: Format = "auto"
    """Capsules of the tetrahedron (mic), all 32 (em32), first-order ambisonics (foa), or auto."""
    threshold: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = VIEWING_THRESHOLD
    """Show only masks scored this or more, in events, overlay and page."""
    overlay: bool = True
    """Whether the overlay video is wanted."""


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


class Full(Exception):
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
        with refusing(OutputError, self._file, "a table of jobs"), self._table() as table:
            table.execute(_TABLE)

    @contextmanager
    def _table(self) -> Iterator[sqlite3.Connection]:
        """One transaction."""
        table = sqlite3.connect(self._file, timeout=30, isolation_level=None)
        table.row_factory = sqlite3.Row
        try:
            table.execute("BEGIN IMMEDIATE")
            with table:
                yield table
        finally:
            table.close()

    def folder_of(self, job: str) -> Path:
        """Return a job's folder."""
        return self.folder / "jobs" / job

    def results_of(self, job: str) -> Path:
        """Return the folder of a job's results."""
        return self.folder_of(job) / "results"

    # What who asks does.

    def create(self, wish: JobRequest, most: int) -> Job:
        """Open a job.

        Raises
        ------
        Full
            If there are ``most`` already.
        """
        wish = wish.model_copy(update={"name": one_line(wish.name)})
        job, now = secrets.token_hex(16), time.time()
        with self._table() as table:
            # The insertion itself counts, so that no two of them can both be the last.
            added = table.execute(
                "INSERT INTO jobs (id, wish, state, created, touched) SELECT ?, ?, 'open', ?, ? "
                "WHERE (SELECT count(*) FROM jobs) < ?",
                (job, wish.model_dump_json(), now, now, most),
            )
            if not added.rowcount:
                raise Full
        self.folder_of(job).mkdir(parents=True)
        found = self.get(job)
        assert found is not None
        return found

    def get(self, job: str) -> Job | None:
        """Return a job, None where there is none."""
        with self._table() as table:
            row = table.execute(
                "SELECT * FROM jobs WHERE id = ? AND state != 'deleted'", (job,)
            ).fetchone()
        return None if row is None else self._job(row)

    def all(self) -> list[Job]:
        """Return all jobs, the youngest first."""
        with self._table() as table:
            rows = table.execute(
                "SELECT * FROM jobs WHERE state != 'deleted' ORDER BY created DESC"
            ).fetchall()
        return [self._job(row) for row in rows]

    def touch(self, job: str) -> None:
        """Say that someone is at it."""
        self._update("touched = ? WHERE id = ?", time.time(), job)

    def queue(self, job: str) -> bool:
        """Let an open job be worked on; return whether it was open."""
        known = "state = 'queued', queued = ? WHERE id = ? AND state = 'open'"
        return self._update(known, time.time(), job)

    def delete(self, job: str) -> bool:
        """Delete a job; return whether there was one. One that runs goes when it is stopped."""
        with self._table() as table:
            known = "SELECT state FROM jobs WHERE id = ? AND state != 'deleted'"
            row = table.execute(known, (job,)).fetchone()
            table.execute("UPDATE jobs SET state = 'deleted' WHERE id = ?", (job,))
        if row is not None and row["state"] != "running":
            self._remove(job)
        return row is not None

    # What the worker does.

    def claim(self) -> tuple[str, JobRequest] | None:
        """Take the job that has waited longest, if one does."""
        with self._table() as table:
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
        state, told = ("done", None) if error is None else ("failed", error.model_dump_json())
        self._update(
            "state = ?, error = ?, warnings = ?, ended = ?, share = CASE ? WHEN 'done' THEN 1 "
            "ELSE share END WHERE id = ? AND state = 'running'",
            *(state, told, orjson.dumps(warnings).decode(), time.time(), state, job),
        )

    # What who watches the worker does; nobody works meanwhile.

    def running(self) -> tuple[float, bool] | None:
        """Return when the running job was begun and whether it was deleted since."""
        with self._table() as table:
            row = table.execute(
                "SELECT started, state, ended FROM jobs WHERE state = 'running' OR "
                "(state = 'deleted' AND ended IS NULL AND started IS NOT NULL) ORDER BY state"
            ).fetchone()
        return None if row is None else (row["started"], row["state"] == "deleted")

    def stopped(self, why: str, *, again: bool = True, counts: bool = True) -> None:
        """Say that the worker was stopped: its job is queued again, or failed.

        Parameters
        ----------
        why
            What a failed job is told.
        again
            Whether to begin it again, unless that was done `ATTEMPTS` times.
        counts
            Whether this was an attempt: not where the server itself stopped the worker.
        """
        told = ErrorDetail(message=why).model_dump_json()
        if not counts:
            self._update("attempts = attempts - 1 WHERE state = 'running'")
        if again:
            self._update(f"state = 'queued' WHERE state = 'running' AND attempts < {ATTEMPTS}")
        self._update(
            "state = 'failed', error = ?, ended = ? WHERE state = 'running'", told, time.time()
        )

    def sweep(self, open_s: float, *, deleted: bool) -> None:
        """Remove open jobs that were left alone, and with ``deleted`` those that were deleted."""
        before = time.time() - open_s
        self._update("state = 'deleted' WHERE state = 'open' AND touched < ?", before)
        known = "SELECT id FROM jobs WHERE state = 'deleted'"
        with self._table() as table:
            ids = table.execute(known if deleted else f"{known} AND started IS NULL").fetchall()
        for row in ids:
            self._remove(row["id"])

    def _remove(self, job: str) -> None:
        shutil.rmtree(self.folder_of(job), ignore_errors=True)
        with self._table() as table:
            table.execute("DELETE FROM jobs WHERE id = ?", (job,))

    def _update(self, what: str, *values: object) -> bool:
        with self._table() as table:
            return bool(table.execute(f"UPDATE jobs SET {what}", values).rowcount)

    def _job(self, row: sqlite3.Row) -> Job:
        folder, wish = self.folder_of(row["id"]), JobRequest.model_validate_json(row["wish"])
        parts: tuple[Part, ...] = (RECORDING, VIDEO)
        done = row["state"] == "done"
        return Job(
            id=row["id"],
            name=wish.name,
            state=row["state"],
            share=row["share"],
            uploaded=[part for part in parts if (folder / part).is_file()],
            created=_moment(row["created"]),
            started=_moment(row["started"]),
            ended=_moment(row["ended"]),
            error=None if row["error"] is None else ErrorDetail.model_validate_json(row["error"]),
            warnings=orjson.loads(row["warnings"]),
            files=result_names(self.results_of(row["id"])) if done else [],
        )


def result_names(folder: Path) -> list[str]:
    """Return the names of a job's results."""
    return sorted(p.name for p in visible(folder.iterdir())) if folder.is_dir() else []


def _moment(seconds: float | None) -> Any:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
