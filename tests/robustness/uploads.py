"""Many hostile uploads at once: ``python -m tests.robustness.uploads FILE --clients 16``.

A server whose jobs do nothing takes the same file from every client, as a video, while good jobs
go on beside. Prints the memory of the process that answers, how long `/health` took, and what came
of the good jobs.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from tests.serve.apart import Server
from tests.serve.asking import wav


def main() -> None:
    """Upload, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--good", type=int, default=3)
    options = parser.parse_args()
    content = options.file.read_bytes()
    with TemporaryDirectory() as folder:
        server = Server(Path(folder) / "jobs")
        answers, health, peak = Counter[int](), [], [0.0]
        over = threading.Event()

        def upload() -> None:
            job = server.client.open()
            answers[server.client.ask("PUT", f"/jobs/{job}/video", content).status] += 1

        def watch() -> None:
            process = psutil.Process(server.process.pid)
            while not over.wait(0.05):
                begun = time.monotonic()
                server.client.ask("GET", "/health")
                health.append(time.monotonic() - begun)
                peak[0] = max(peak[0], process.memory_info().rss / 1e6)

        def image() -> str:
            job = server.client.open("sleep 0")
            while server.client.ask("PUT", f"/jobs/{job}/recording", wav()).status == 503:
                time.sleep(0.2)  # as many uploads as it takes at a time
            server.client.ask("POST", f"/jobs/{job}/start")
            return job

        watcher = threading.Thread(target=watch)
        watcher.start()
        clients = [threading.Thread(target=upload) for _ in range(options.clients)]
        for client in clients:
            client.start()
        good = [image() for _ in range(options.good)]
        for client in clients:
            client.join()
        states = Counter(server.client.ended(job)["state"] for job in good)
        over.set()
        watcher.join()
        server.kill()
    last = sorted(health)[int(0.99 * (len(health) - 1))]
    print(f"{options.clients} uploads: answers {dict(answers)}; good jobs {dict(states)}")
    print(f"main process {peak[0]:.0f} MB; /health {len(health)} times, 99 % within {last:.2f} s")


if __name__ == "__main__":
    main()
