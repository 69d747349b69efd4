"""Many hostile uploads at once: ``python -m tests.robustness.uploads FILE --clients 16``.

A server whose jobs do nothing takes the same file from every client, as a video, half of them in
pieces of unknown length, while good jobs go on beside. A client that is told to come again does.
Prints the memory of the process that answers, how long `/health` took, and what came of the good
jobs; ends with 1 where these are more than is promised.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.serve.apart import Server
from tests.serve.asking import wav

MEMORY_MB, HEALTH_S = 400, 0.2
"""The most that the process that answers may take, and `/health` in 99 of 100 cases."""


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
        answers, health = Counter[int](), list[float]()
        over = threading.Event()

        def upload(number: int) -> None:
            path, status = f"/jobs/{server.client.open()}/video", 503
            pieces = [content[k : k + 65_536] for k in range(0, len(content), 65_536)]
            while status == 503:  # as many uploads as it takes at a time
                with suppress(OSError):  # it need not read what it does not take
                    if number % 2:
                        status = server.client.ask_in_pieces("PUT", path, pieces).status
                    else:
                        status = server.client.ask("PUT", path, content).status
                    answers[status] += 1
                time.sleep(0.5 * (status == 503))

        def watch() -> None:
            while not over.wait(0.05):
                begun = time.monotonic()
                server.client.ask("GET", "/health")
                health.append(time.monotonic() - begun)

        def image() -> str:
            job = server.client.open("sleep 0")
            while server.client.ask("PUT", f"/jobs/{job}/recording", wav()).status == 503:
                time.sleep(0.2)  # as many uploads as it takes at a time
            server.client.ask("POST", f"/jobs/{job}/start")
            return job

        watcher = threading.Thread(target=watch)
        watcher.start()
        clients = [threading.Thread(target=upload, args=(n,)) for n in range(options.clients)]
        for client in clients:
            client.start()
        good = [image() for _ in range(options.good)]
        for client in clients:
            client.join()
        states = Counter(server.client.ended(job)["state"] for job in good)
        over.set()
        watcher.join()
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        peak_mb = int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6
        server.kill()
    last = sorted(health)[int(0.99 * (len(health) - 1))]
    print(f"{options.clients} uploads: answers {dict(answers)}; good jobs {dict(states)}")
    load, cores = os.getloadavg()[0], os.cpu_count()
    print(
        f"main process {peak_mb:.0f} MB; /health {len(health)} times, 99 % within {last:.3f} s, "
        f"median {sorted(health)[len(health) // 2]:.3f}; load {load:.0f} on {cores} cores"
    )
    sys.exit(states["done"] < options.good or peak_mb > MEMORY_MB or last > HEALTH_S)


if __name__ == "__main__":
    main()
