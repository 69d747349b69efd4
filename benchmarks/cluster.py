"""A Ray cluster of two nodes here, a worker and a node killed: ``python -m benchmarks.cluster``.

Pieces of the packaged scene are imaged by ear, in processes here and on the cluster, where a worker
is killed after a quarter of them and the second node after half; all files must be the same, byte
for byte. Then tasks that do nothing are spread in both ways: what a recording costs over its work.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import soundfile

from saiseld.pipeline.image import Outcome, image_recordings
from saiseld.pipeline.weights import DEMO
from saiseld.runtime.cluster import connected
from saiseld.runtime.parallel import Workers, run_all

NOTHING = 400
"""Tasks that do nothing."""


def pieces(folder: Path, count: int, seconds: float) -> Path:
    """Write recordings ``1.wav`` to ``<count>.wav``, from one moment of the scene after another."""
    folder.mkdir()
    sound, rate = soundfile.read(next(DEMO.glob("*.wav")), dtype="int16")
    last = len(sound) - int(seconds * rate)
    for number in range(count):
        start = last * number // max(count - 1, 1)
        piece = sound[start : start + int(seconds * rate)]
        soundfile.write(folder / f"{number + 1}.wav", piece, rate, subtype="PCM_16")
    return folder


@contextmanager
def two_nodes() -> Iterator[Any]:
    """Yield a cluster of two nodes with a core each."""
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 200 << 20}
    nodes = Cluster(initialize_head=True, head_node_args=node)
    nodes.add_node(**node)
    try:
        yield nodes
    finally:
        nodes.shutdown()


def kill_a_worker(names: set[str]) -> str:
    """Kill one process that works on a recording; return the recording."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            name = "".join(process.cmdline()[:1]).removeprefix("ray::").strip()
            if name in names:
                process.kill()
                return name
    return "none: no recording was being worked on"


def cpu_s() -> float:
    """Return the CPU seconds of this process and of all that it started and that still run."""
    used = 0.0
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        with suppress(psutil.Error):
            used += sum(process.cpu_times()[:2])
    return used


def nothing(number: int) -> int:
    """Return what is given."""
    return number


def overhead(jobs: Workers) -> tuple[float, float]:
    """Return milliseconds and CPU milliseconds of a task that does nothing."""
    tasks = {str(number): (number,) for number in range(NOTHING)}
    run_all(nothing, {name: tasks[name] for name in "01234567"}, jobs=jobs)
    start, used = time.monotonic(), cpu_s()
    run_all(nothing, tasks, jobs=jobs)
    return 1000 * (time.monotonic() - start) / NOTHING, 1000 * (cpu_s() - used) / NOTHING


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def main() -> None:
    """Image both ways, compare, and time nothing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--undisturbed", action="store_true", help="Kill nothing; print CPU.")
    chosen = parser.parse_args()
    with TemporaryDirectory() as scratch, two_nodes() as nodes:
        folder = Path(scratch)
        recordings = pieces(folder / "recordings", chosen.recordings, chosen.seconds)
        names = {path.stem for path in recordings.iterdir()}
        done: list[str] = []

        def on_done(name: str, outcome: Outcome) -> None:
            done.append(name)
            if chosen.undisturbed:
                return
            if len(done) == chosen.recordings // 4:
                print("killed the worker of", kill_a_worker(names - set(done)), flush=True)
            if len(done) == chosen.recordings // 2:
                nodes.remove_node(next(iter(nodes.worker_nodes)), allow_graceful=False)
                print(f"killed the second node after {len(done)}", flush=True)

        with connected(nodes.address) as cluster:
            spread = overhead(cluster)
            start, used = time.monotonic(), cpu_s()
            image_recordings([recordings], folder / "there", jobs=cluster, on_done=on_done)
            there_s = time.monotonic() - start
            if chosen.undisturbed:
                print(f"{cpu_s() - used:.1f} s of CPU in all")
        start = time.monotonic()
        image_recordings([recordings], folder / "here", jobs=2)
        here_s = time.monotonic() - start
        there, here = contents(folder / "there"), contents(folder / "here")
        same = sum(there.get(name) == content for name, content in here.items())
        print(f"{len(done)} recordings; {same} of {len(here)} files the same, {len(there)} there")
        print(f"cluster {there_s:.1f} s; two processes {here_s:.1f} s")
        print(f"a task that does nothing: cluster {spread[0]:.1f} ms, {spread[1]:.1f} ms of CPU")
        here_ms, here_cpu = overhead(2)
        print(f"two processes, starting them included: {here_ms:.1f} ms, {here_cpu:.1f} ms of CPU")
        if there != here:
            differing = [name for name in here | there if here.get(name) != there.get(name)]
            raise SystemExit(f"not the same: {', '.join(sorted(differing))}")


if __name__ == "__main__":
    main()
