"""What runs for days, killed at random moments: ``python -m tests.robustness.services --kills 6``.

`live --record` must leave whole segments, and the next run must remove what it left hidden. Of the
jobs that `serve` took, each must be done or plainly failed once a server runs again, and nothing
may be left of uploads that were broken off. Recordings are also made two at a time into one folder,
on a disk that is soon full, and while the clock jumps; so are jobs.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from saiseld.conventions.timebase import SAMPLES_PER_FRAME
from saiseld.data.recordings import read_audio
from saiseld.data.video import open_video
from saiseld.formats.annotation import read_annotations
from saiseld.runtime.files import visible
from tests.robustness.soak import ended, start
from tests.serve.apart import Server
from tests.serve.asking import wav

WAYS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
SEGMENT_FRAMES = 10
RECORD = ["live", "--loop", "--no-page", "--segment", str(SEGMENT_FRAMES / 10)]
Trial = Callable[[Path, int, Random], tuple[Counter[str], list[str]]]
BEGINS_S = 120.0
"""In which recording begins, on a machine with much other work."""


def hidden(folder: Path) -> list[str]:
    """Return what is being written, or was."""
    return [path.name for path in folder.rglob(".*.part*")]


def wrong_segments(folder: Path) -> Iterator[str]:
    """Yield what is not whole among the segments that can be seen."""
    sounds = list(visible(folder.glob("*.wav")))
    told = list(visible(folder.glob("*.json")))
    for sound in sounds:
        frames, rest = divmod(len(read_audio(sound)), SAMPLES_PER_FRAME)
        if rest or frames > SEGMENT_FRAMES:
            yield f"{sound.name}: {frames} frames and {rest} samples"
    for masks in told:
        sound, video = masks.with_suffix(".wav"), masks.with_suffix(".mp4")
        read_annotations(masks, predictions=True)
        frames = len(read_audio(sound)) // SAMPLES_PER_FRAME
        if (pictures := sum(1 for _ in open_video(video))) != frames:
            yield f"{masks.name}: {frames} frames and {pictures} pictures"
    if len(sounds) > len(told) + 1:
        yield f"{len(sounds)} segments of sound, {len(told)} of masks"


def record(folder: Path, kills: int, random: Random) -> tuple[Counter[str], list[str]]:
    """Kill a recording live run again and again."""
    log, runs, findings = folder / "log", Counter[str](), []
    for number in range(kills):
        way, out = WAYS[number % len(WAYS)], folder / f"out{number}"
        process = start([*RECORD, "--record", str(out)], log)
        until = time.monotonic() + BEGINS_S
        while not hidden(out) and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(random.uniform(0, 4))
        os.kill(process, way)
        code, told = ended(process, 30.0), log.read_text(errors="replace")
        if code != -signal.SIGKILL and (code not in (0, 130) or "Traceback" in told):
            findings.append(f"{way.name}: exit {code}: {told[-300:]!r}")
        findings += [f"{way.name}: {wrong}" for wrong in wrong_segments(out)]
        if way != signal.SIGKILL and hidden(out):
            findings.append(f"{way.name}: left {hidden(out)}")
        if ended(start([*RECORD, "--record", str(out), "--seconds", "1"], log)) != 0:
            findings.append(f"{way.name}, again: {log.read_text()[-300:]!r}")
        if hidden(out):
            findings.append(f"{way.name}, again: left {hidden(out)}")
        findings += [f"{way.name}, again: {wrong}" for wrong in wrong_segments(out)]
        runs[way.name] += 1
    return runs, findings


def _recorded(folder: Path) -> int:
    """Return how many frames all segments of a folder hold."""
    sounds = visible(folder.glob("*.wav"))
    return sum(len(read_audio(path)) // SAMPLES_PER_FRAME for path in sounds)


def record_twice(folder: Path, times: int, random: Random) -> tuple[Counter[str], list[str]]:
    """Record twice at once into one folder, each run while its own clock jumps."""
    runs, findings = Counter[str](), []
    for number in range(times):
        out, seconds = folder / f"twice{number}", random.randrange(2, 6)
        logs = [folder / f"log{k}" for k in range(2)]
        line = [*RECORD, "--seconds", str(seconds), "--record", str(out)]
        processes = [start(line, log, jumping_clock) for log in logs]
        codes = [ended(process) for process in processes]
        if codes != [0, 0] or any("Traceback" in log.read_text() for log in logs):
            findings.append(f"two at once: exit {codes}: {logs[0].read_text()[-300:]!r}")
        if (frames := _recorded(out)) != 20 * seconds:
            findings.append(f"two at once: {frames} of {20 * seconds} frames kept")
        findings += [f"two at once: {wrong}" for wrong in wrong_segments(out)]
        findings += [f"two at once: left {name}" for name in hidden(out)]
        runs["two at once"] += 1
    return runs, findings


def record_full(folder: Path, times: int, random: Random) -> tuple[Counter[str], list[str]]:
    """Record onto a small disk until it is full: whole segments, one line, nothing left."""
    runs, findings, log = Counter[str](), [], folder / "log"
    for _ in range(times):
        size = random.randrange(500, 3000)
        with small_disk(folder / "disk", size) as disk:
            code = ended(start([*RECORD, "--seconds", "60", "--record", str(disk / "out")], log))
            told = log.read_text(errors="replace")
            if code != 2 or "Traceback" in told or "error: " not in told:
                findings.append(f"full disk, {size} kB: exit {code}: {told[-300:]!r}")
            findings += [f"full disk: {wrong}" for wrong in wrong_segments(disk / "out")]
            findings += [f"full disk: left {name}" for name in hidden(disk / "out")]
        runs["full disk"] += 1
    return runs, findings


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """Mount a disk of so many kilobytes in memory (Linux, as root)."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    subprocess.run(mount, check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def jumping_clock() -> None:
    """Let the clock of this process jump by hours, forwards and back, whenever it is read."""
    from datetime import datetime, timedelta

    from saiseld.live import recorder

    random, true = Random(os.getpid()), time.time
    time.time = lambda: true() + random.choice((-90_000.0, 0.0, 0.0, 7200.0))

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):  # type: ignore[no-untyped-def, override]
            return datetime.now(tz) + timedelta(hours=random.choice((-25, 0, 0, 2)))

    recorder.datetime = Clock  # type: ignore[misc]


def serve(folder: Path, kills: int, random: Random) -> tuple[Counter[str], list[str]]:
    """Kill a server again and again while jobs wait, run and are uploaded."""
    runs, jobs = Counter[str](), []
    for number in range(kills):
        way, server = WAYS[number % len(WAYS)], Server(folder, clock_jumps=number % 2 == 1)
        jobs += [server.client.begin(f"sleep {random.uniform(0, 1):.2f}") for _ in range(3)]
        uploading, body = server.client.open(), wav(5.0)
        with server.client.uploading(uploading, len(body), body[: len(body) // 2]):
            time.sleep(random.uniform(0, 1.5))
            server.kill(way)
        runs[way.name] += 1
    server = Server(folder)
    findings = []
    for job in jobs:
        end = server.client.ended(job)
        if end["state"] != "done" and "stopped twice" not in end["error"]["message"]:
            findings.append(f"job: {end}")
        runs[end["state"]] += 1
    open_jobs = [job for job in server.client.ask("GET", "/jobs").json if job["state"] == "open"]
    if len(open_jobs) != kills or any(job["uploaded"] for job in open_jobs):
        findings.append(f"uploads that were broken off: {open_jobs}")
    server.kill()
    if hidden(folder):
        findings.append(f"left {hidden(folder)}")
    return runs, findings


def main() -> None:
    """Kill both, print what came of it, and end with 1 if anything was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, prog="python -m tests.robustness.services"
    )
    parser.add_argument("--kills", type=int, default=6, help="of each, ways taking turns")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", help="trials whose name holds this")
    options = parser.parse_args()
    found = []
    trials: list[tuple[str, Trial]] = [("serve", serve), ("live --record", record)]
    trials.append(("live --record twice", record_twice))
    if sys.platform == "linux" and os.geteuid() == 0:
        trials.append(("live --record on a full disk", record_full))
    for name, soak in trials:
        if options.only and options.only not in name:
            continue
        with TemporaryDirectory() as work:
            (Path(work) / "work").mkdir()
            runs, findings = soak(Path(work) / "work", options.kills, Random(options.seed))
        told = ", ".join(f"{count} {what}" for what, count in runs.items())
        print(
            f"{name}, seed {options.seed}: {told}; {len(findings)} findings", *findings, sep="\n  "
        )
        found += findings
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
