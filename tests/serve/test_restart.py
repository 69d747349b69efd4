"""Servers that are killed in the middle of jobs: afterwards each is finished or plainly failed."""

import os
import select
import signal
import subprocess
import sys
import time

import psutil
import pytest
from tests.serve.asking import Client

from saiseld.serve.jobs import Jobs

PROGRAM = """
import sys, threading
from pathlib import Path
from saiseld.serve.api import serve
from tests.serve.fake import work

if __name__ == "__main__":
    with serve(Path(sys.argv[1]), port=0, do=work) as server:
        print(server.url, flush=True)
        threading.Event().wait()
"""


class Server:
    """A server in a process of its own."""

    def __init__(self, folder):
        script = folder.with_suffix(".py")
        script.write_text(PROGRAM)
        self.process = subprocess.Popen(
            [sys.executable, str(script), str(folder)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert select.select([self.process.stdout], [], [], 60)[0]
        self.client = Client(self.process.stdout.readline())

    def kill(self, how=signal.SIGKILL):
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(how)
        self.process.wait(20)
        self.process.stdout.close()
        _, left = psutil.wait_procs(children, timeout=5)
        assert not [p for p in left if p.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "jobs"


def running(client, job):
    until = time.monotonic() + 30
    while client.ask("GET", f"/jobs/{job}").json["state"] != "running":
        assert time.monotonic() < until
        time.sleep(0.05)


def test_jobs_are_done_after_a_kill(folder):
    first = Server(folder)
    jobs = [first.client.begin("sleep 1.5"), first.client.begin("sleep 0")]
    still_open = first.client.open()
    running(first.client, jobs[0])
    first.kill()
    second = Server(folder)
    try:
        assert [second.client.ended(job)["state"] for job in jobs] == ["done", "done"]
        assert second.client.ask("GET", f"/jobs/{still_open}").json["state"] == "open"
    finally:
        second.kill()


def test_a_job_that_two_servers_were_killed_with_is_failed(folder):
    server = Server(folder)
    job = server.client.begin("sleep 60")
    for _ in range(2):
        running(server.client, job)
        server.kill()
        server = Server(folder)
    found = server.client.ended(job)
    server.kill()
    assert found["state"] == "failed" and "stopped twice" in found["error"]["message"]


def test_a_server_that_is_told_to_stop_counts_no_attempt(folder):
    server = Server(folder)
    job = server.client.begin("sleep 60")
    for _ in range(3):
        running(server.client, job)
        server.kill(signal.SIGINT)
        assert Jobs(folder).get(job).state == "queued"
        server = Server(folder)
    running(server.client, job)
    assert server.client.ask("DELETE", f"/jobs/{job}").status == 204
    server.kill()
    Server(folder).kill()
    assert not list((folder / "jobs").iterdir())
