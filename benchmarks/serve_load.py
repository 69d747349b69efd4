"""Many clients at once, good, bad, slow and broken off: ``python -m benchmarks.serve_load``.

A server in a process of its own is asked over loopback. Every answer must have the code that it
should, every job that was started must end as it should, and nothing may be left of what was
deleted. Jobs take a twentieth of a second of sleep; ``--real`` images one second of noise instead.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from tests.serve.asking import Client, wav

IDLE_S = 3.0
UPLOAD_BYTES = 4 << 20
_SERVER = """
import sys, threading
from pathlib import Path
from saiseld.serve.api import serve
from saiseld.serve.jobs import Limits
from saiseld.serve.worker import image_job
from tests.serve.fake import work

if __name__ == "__main__":
    limits = Limits(upload_bytes={bytes}, idle_s={idle}, jobs=1000)
    do = image_job if "--real" in sys.argv else work
    with serve(Path(sys.argv[1]), port=0, limits=limits, do=do) as server:
        print(server.url, flush=True)
        threading.Event().wait()
"""


class Load:
    """What the clients share."""

    def __init__(self, url: str, seconds: float) -> None:
        self.client, self.until = Client(url, timeout=120), time.monotonic() + seconds
        self.codes: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.ended: Counter[str] = Counter()
        self.good, self.long = wav(1.0), wav(5.0)

    def expect(self, what: str, answer, *codes: int):
        """Count an answer, and note one with another code than it should have."""
        self.codes[f"{what} {answer.status}"] += 1
        if answer.status not in codes:
            self.wrong.append(f"{what}: {answer.status} {answer.body[:200]!r}")
        return answer

    def open(self, name: str) -> str:
        """Open a job."""
        answer = self.expect("open", self.client.ask("POST", "/jobs", {"name": name}), 201)
        return answer.json["id"]

    def put(self, job: str, body: bytes, *codes: int) -> None:
        """Upload, and come again where there are too many."""
        while True:
            answer = self.client.ask("PUT", f"/jobs/{job}/recording", body)
            self.expect("upload", answer, 503, *codes)
            if answer.status != 503:
                return
            time.sleep(0.2 + random.random())

    def start(self, job: str) -> None:
        """Start a job and wait until it is done."""
        self.expect("start", self.client.ask("POST", f"/jobs/{job}/start"), 202)
        while (found := self.client.ask("GET", f"/jobs/{job}").json)["state"] not in (
            "done",
            "failed",
        ):
            time.sleep(0.25)
        self.ended[found["state"]] += 1
        if found["state"] != "done":
            self.wrong.append(f"job: {found['error']}")

    def delete(self, job: str) -> None:
        """Delete a job, and look that it is gone."""
        self.expect("delete", self.client.ask("DELETE", f"/jobs/{job}"), 204)
        self.expect("gone", self.client.ask("GET", f"/jobs/{job}"), 404)

    def well(self) -> None:
        """Do all as it should be."""
        job = self.open("sleep 0.05")
        self.put(job, self.good, 200)
        self.start(job)
        for file in ("events", "results/index.html"):
            self.expect("fetch", self.client.ask("GET", f"/jobs/{job}/{file}"), 200)
        self.delete(job)

    def badly(self) -> None:
        """Send what cannot be used."""
        job = self.open("nonsense")
        self.put(job, random.randbytes(50_000), 422)
        self.put(job, self.good[:20_000], 422)
        self.put(job, bytes(UPLOAD_BYTES + 1), 413)
        self.expect("start", self.client.ask("POST", f"/jobs/{job}/start"), 409)
        self.expect("fetch", self.client.ask("GET", f"/jobs/{job}/results/index.html"), 409)
        self.expect("open", self.client.ask("POST", "/jobs", {"threshold": 7}), 422)
        self.delete(job)

    def slowly(self) -> None:
        """Send in trickles; every other time stop in the middle and wait."""
        job, stands = self.open("sleep 0.05"), random.random() < 0.5
        piece = len(self.long) // 20
        with self.client.uploading(job, len(self.long)) as connection:
            for number in range(21):
                if stands and number == 10:
                    break
                connection.sendall(self.long[number * piece : (number + 1) * piece])
                time.sleep(0.1)
            code = int(connection.recv(12)[9:])
        self.codes[f"slow upload {code}"] += 1
        if code not in ((408, 503) if stands else (200, 503)):
            self.wrong.append(f"slow upload: {code}")
        if code == 200:
            self.start(job)
        self.delete(job)

    def broken_off(self) -> None:
        """Go in the middle of an upload."""
        job = self.open("broken off")
        self.client.uploading(job, len(self.long), self.long[: len(self.long) // 3]).close()
        time.sleep(random.random())
        self.delete(job)

    def work(self, number: int) -> None:
        """Be one client."""
        kinds = (self.well, self.badly, self.slowly, self.broken_off)
        while time.monotonic() < self.until:
            try:
                kinds[number % len(kinds)]()
            except Exception as error:
                self.wrong.append(f"{kinds[number % len(kinds)].__name__}: {error!r}")


def main() -> None:
    """Load a server, print what came of it, and end with 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.serve_load")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--real", action="store_true", help="image each recording")
    options = parser.parse_args()
    with TemporaryDirectory() as work:
        script, folder = Path(work) / "server.py", Path(work) / "jobs"
        script.write_text(_SERVER.format(bytes=UPLOAD_BYTES, idle=IDLE_S))
        line = [sys.executable, str(script), str(folder), *(["--real"] if options.real else [])]
        process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        load = Load(process.stdout.readline(), options.seconds)
        clients = [threading.Thread(target=load.work, args=(n,)) for n in range(options.clients)]
        for client in clients:
            client.start()
        memory: list[float] = []
        while any(client.is_alive() for client in clients):
            memory.append(psutil.Process(process.pid).memory_info().rss / 1e6)
            time.sleep(1)
        left = load.client.ask("GET", "/jobs").json
        files = [path for path in (folder / "jobs").rglob("*") if path.is_file()]
        process.terminate()
        process.wait(30)
    half = len(memory) // 2
    first, second = max(memory[:half]), max(memory[half:])
    print("| answer | times |\n|---|---:|")
    for code, times in sorted(load.codes.items()):
        print(f"| {code} | {times} |")
    print(f"jobs ended: {dict(load.ended)}; left: {len(left)} jobs, {len(files)} files")
    print(f"server's memory, MB: first half {first:.0f}, second {second:.0f}")
    print(f"wrong: {len(load.wrong)}", *load.wrong[:10], sep="\n  ")
    sys.exit(bool(load.wrong or left or files))


if __name__ == "__main__":
    main()
