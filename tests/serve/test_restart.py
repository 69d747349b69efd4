"""Servers that are killed in the middle of jobs: afterwards each is finished or plainly failed."""

import signal
import time

import pytest
from tests.serve.apart import Server

from saiseld.serve.jobs import Jobs


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "jobs"


def running(client, job):
    until = time.monotonic() + 300
    while client.ask("GET", f"/jobs/{job}").json["state"] != "running":
        assert time.monotonic() < until
        time.sleep(0.05)


def test_jobs_are_done_after_a_kill(folder):
    first = Server(folder)
    jobs = [first.client.begin("sleep 1.5"), first.client.begin("sleep 0")]
    still_open = first.client.open()
    running(first.client, jobs[0])
    with first.client.uploading(still_open, 100_000, bytes(5000)):
        time.sleep(0.3)
        first.kill()
    assert list((folder / "jobs" / still_open).iterdir())
    second = Server(folder)
    try:
        assert [second.client.ended(job)["state"] for job in jobs] == ["done", "done"]
        assert second.client.ask("GET", f"/jobs/{still_open}").json["state"] == "open"
        assert not list((folder / "jobs" / still_open).iterdir())
    finally:
        second.kill()


def test_a_job_is_failed_that_two_servers_were_killed_with_and_a_stop_is_no_kill(folder):
    server = Server(folder)
    job = server.client.begin("sleep 60")
    for how in (signal.SIGINT, signal.SIGKILL, signal.SIGKILL):
        running(server.client, job)
        server.kill(how)
        if how == signal.SIGINT:
            assert Jobs(folder).get(job).state == "queued"
        server = Server(folder)
    found = server.client.ended(job)
    assert found["state"] == "failed" and "stopped twice" in found["error"]["message"]
    other = server.client.begin("sleep 60")
    running(server.client, other)
    for known in (job, other):
        assert server.client.ask("DELETE", f"/jobs/{known}").status == 204
    server.kill()
    Server(folder).kill()
    assert not list((folder / "jobs").iterdir())
