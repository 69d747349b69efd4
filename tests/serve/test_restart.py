"""Servers that are killed in the middle of jobs: afterwards each is finished or plainly failed."""

import signal

import pytest
from tests.serve.apart import Server
from tests.waiting import wait_until

from saiseld.serve.jobs import Jobs


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "jobs"


@pytest.mark.slow
def test_jobs_are_done_after_a_kill(folder):
    first = Server(folder)
    jobs = [first.client.begin("wait go"), first.client.begin("sleep 0")]
    still_open = first.client.open()
    first.client.running(jobs[0])
    with first.client.uploading(still_open, 100_000, bytes(5000)):
        wait_until(lambda: list((folder / "jobs" / still_open).iterdir()))
        first.kill()
    assert list((folder / "jobs" / still_open).iterdir())
    (folder / "go").touch()
    second = Server(folder)
    try:
        assert [second.client.ended(job)["state"] for job in jobs] == ["done", "done"]
        assert second.client.ask("GET", f"/jobs/{still_open}").json["state"] == "open"
        assert not list((folder / "jobs" / still_open).iterdir())
    finally:
        second.kill()


@pytest.mark.slow
def test_a_job_is_failed_that_two_servers_were_killed_with_and_a_stop_is_no_kill(folder):
    server = Server(folder)
    job = server.client.begin("sleep 3600")
    for how in (signal.SIGINT, signal.SIGKILL, signal.SIGKILL):
        server.client.running(job)
        server.kill(how)
        if how == signal.SIGINT:
            assert Jobs(folder).get(job).state == "queued"
        server = Server(folder)
    found = server.client.ended(job)
    assert found["state"] == "failed" and "stopped twice" in found["error"]["message"]
    other = server.client.begin("sleep 3600")
    server.client.running(other)
    for known in (job, other):
        assert server.client.ask("DELETE", f"/jobs/{known}").status == 204
    server.kill()
    Server(folder).kill()
    assert not list((folder / "jobs").iterdir())
