"""The table of jobs and the room on the disk, without a server: what is damaged, who may read."""

import shutil
import sqlite3
import stat
import time
from collections import namedtuple

import numpy as np
import pytest
import soundfile
from pydantic import ValidationError

from saiseld.arrays.description import read_array
from saiseld.pipeline.networks import NetworkOptions
from saiseld.pipeline.results import Results, read_run_record
from saiseld.runtime.errors import OutputError
from saiseld.serve import uploads, worker
from saiseld.serve.jobs import JobRequest, Jobs
from saiseld.serve.uploads import DiskSpace

EVIL = "../../x"


@pytest.fixture
def jobs(tmp_path):
    return Jobs(tmp_path / "served")


def change(jobs, *statements):
    table = sqlite3.connect(jobs.folder / "jobs.sqlite")
    for statement in statements:
        table.execute(statement)
    table.commit()
    table.close()


def test_no_other_user_may_read_what_was_uploaded(jobs):
    job = jobs.create(JobRequest(), 10)
    for folder in (jobs.folder / "jobs", jobs.folder_of(job.id)):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((jobs.folder / "jobs.sqlite").stat().st_mode) == 0o600


def test_folders_of_an_earlier_version_become_private(jobs):
    job = jobs.create(JobRequest(), 10)
    jobs.folder_of(job.id).chmod(0o755)
    (jobs.folder / "jobs").chmod(0o755)
    again = Jobs(jobs.folder)
    assert stat.S_IMODE(again.folder_of(job.id).stat().st_mode) == 0o700
    assert stat.S_IMODE((jobs.folder / "jobs").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("place", "statements"),
    [
        ("id", [f"UPDATE jobs SET id = '{EVIL}'"]),
        ("id", ["UPDATE jobs SET id = x'00'"]),
        ("", ["UPDATE jobs SET state = 'else'"]),
        ("", ["UPDATE jobs SET wish = '{}', warnings = '3'"]),
        ("", ["UPDATE jobs SET wish = 'no JSON'"]),
        ("", ["UPDATE jobs SET created = 'yesterday'"]),
        ("", ["UPDATE jobs SET error = '[]'"]),
        ("schema", ["DROP TABLE jobs", "CREATE TABLE jobs (id TEXT)"]),
        ("schema", ["ALTER TABLE jobs ADD COLUMN more TEXT"]),
        ("schema", ["CREATE TABLE other (id TEXT)"]),
        (
            "schema",
            ["CREATE TRIGGER t AFTER INSERT ON jobs BEGIN DELETE FROM jobs WHERE id != ''; END"],
        ),
    ],
)
def test_a_table_that_no_server_wrote_is_refused(jobs, place, statements):
    job = jobs.create(JobRequest(), 10)
    change(jobs, *statements)
    with pytest.raises(OutputError) as caught:
        Jobs(jobs.folder)
    assert caught.value.source.endswith("jobs.sqlite")
    assert place in (caught.value.place, "")
    assert caught.value.place in ("schema", "id", f"job {job.id}")


@pytest.mark.parametrize("content", [b"no table" * 200, b"SQLite format 3\0" + bytes(4080)])
def test_a_file_that_is_no_table_is_refused(tmp_path, content):
    (tmp_path / "jobs.sqlite").write_bytes(content)
    with pytest.raises(OutputError):
        Jobs(tmp_path)


def test_damage_while_the_server_runs_is_one_error(jobs):
    job = jobs.create(JobRequest(), 10)
    for path in jobs.folder.glob("jobs.sqlite*"):
        path.unlink()
    (jobs.folder / "jobs.sqlite").write_bytes(b"damaged" * 1000)
    with pytest.raises(OutputError):
        jobs.get(job.id)


def test_a_row_that_leads_outside_removes_nothing(jobs, tmp_path):
    outside = tmp_path / "x"
    outside.mkdir()
    jobs.create(JobRequest(), 10)
    change(jobs, f"UPDATE jobs SET id = '{EVIL}', state = 'deleted'")
    with pytest.raises(OutputError):
        jobs.sweep(0.0, deleted=True)
    assert not jobs.delete(EVIL)
    with pytest.raises(OutputError):
        jobs.remove(EVIL)
    assert outside.is_dir()


def test_a_link_in_place_of_the_folder_of_jobs_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "jobs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError):
        Jobs(tmp_path / "served")


def test_a_clock_that_jumps_removes_nothing_and_keeps_the_order(jobs, monkeypatch):
    first, second = (jobs.create(JobRequest(), 10).id for _ in range(2))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 1e7)
    jobs.sweep(3600.0, deleted=True)
    assert jobs.queue(first)
    monkeypatch.setattr(time, "time", lambda: now - 1e7)
    assert jobs.queue(second)
    assert [jobs.claim()[0] for _ in range(2)] == [first, second]


def test_the_watch_counts_by_its_own_clock(jobs, monkeypatch):
    from saiseld.serve.jobs import Limits
    from saiseld.serve.worker import Watchdog

    class Alive:
        def is_alive(self):
            return True

    job = jobs.create(JobRequest(), 10).id
    jobs.queue(job)
    jobs.claim()
    watch, process = Watchdog(jobs, Limits(job_s=5.0), None), Alive()
    monkeypatch.setattr(time, "time", lambda: 4e9)
    assert watch.check(process) is process
    assert watch.check(process) is process
    assert jobs.get(job).state == "running"


Disk = namedtuple("Disk", "total used free")


@pytest.fixture
def disk(monkeypatch):
    free = [100 << 20]
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Disk(0, 0, free[0]))
    monkeypatch.setattr(uploads, "STEP_BYTES", 8 << 20)
    return free


def test_uploads_together_leave_the_reserve_free(disk, tmp_path):
    space = DiskSpace(tmp_path, 50 << 20)
    with (
        space.reserved(30 << 20),
        space.reserved(20 << 20),
        pytest.raises(OutputError),
        space.reserved(1 << 20),
    ):
        pass
    with space.reserved(50 << 20):
        pass


def test_uploads_of_unknown_length_leave_the_reserve_free(disk, tmp_path):
    space = DiskSpace(tmp_path, 50 << 20)
    written = 0
    with space.reserved(0) as first, space.reserved(0) as second:
        with pytest.raises(OutputError):
            while True:
                for one in (first, second):
                    one.write(1 << 20)
                    disk[0] -= 1 << 20  # as the disk fills
                    written += 1
        assert disk[0] >= 50 << 20 and written > 30
    with space.reserved(disk[0] - (50 << 20)):
        pass


def test_jobs_are_of_the_array_that_they_name_or_of_the_server_s(untrained, tmp_path):
    usual = read_array("respeaker-usb-4")
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (3 * 2400, 6))
    soundfile.write(tmp_path / worker.RECORDING, noise, 24_000, format="WAV")
    (tmp_path / "results").mkdir()
    networks = NetworkOptions(untrained)
    worker.image_job(tmp_path, JobRequest(overlay=False), print, networks=networks, array=usual)
    (record,) = (tmp_path / "results").glob("*.provenance")
    made = read_run_record(Results(record.parent, record.stem))
    assert made.provenance.channels.startswith(usual.name) and made.provenance.elevation_assumed
    assert any("assumed" in note for note in made.notes())
    assert JobRequest(array="zm-1").layout(usual).name == read_array("zm-1").name
    assert JobRequest(channels="foa").layout(usual) == "foa"
    with pytest.raises(ValidationError):
        JobRequest(array="/etc/passwd")
