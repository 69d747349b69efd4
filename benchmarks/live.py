"""Real time: the packaged scene, looped, as `saiseld live` runs it without a page.

    python -m benchmarks.live --minutes 30
    python -m benchmarks.live --minutes 30 --ear-only

Latency is from a frame's last sample to when the stream knows it, and to when it is shown (at an
even pace). Processor time is of the whole process, of one core; memory what is resident.
"""

import argparse
import os
from pathlib import Path
from time import monotonic, process_time
from typing import Any

import numpy as np

from saiseld.live.arrays import ChannelMap
from saiseld.live.frames import LiveFrame
from saiseld.live.opening import Asked, open_live
from saiseld.live.session import MOST_BEHIND_S, run
from saiseld.live.stream import Stream
from saiseld.pipeline.imager import Imager
from saiseld.pipeline.weights import DEMO

STATM = Path("/proc/self/statm")
"""Linux alone has it."""


class Timed(Stream):
    """A stream that notes how late each frame is known."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.known: list[float] = []

    def push(self, *arguments: Any) -> list[LiveFrame]:
        """Note and return what is known."""
        frames = super().push(*arguments)
        now = monotonic()
        self.known += [now - frame.captured for frame in frames]
        return frames


def resident_mib() -> float:
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--ear-only", action="store_true")
    parser.add_argument("--latency", choices=("prompt", "exact"), default="prompt")
    asked = parser.parse_args()

    (scene,) = DEMO.glob("*.wav")
    source, camera = open_live(Asked(str(scene) if asked.ear_only else None, loop=True))
    stream = Timed(
        Imager(threads=1),
        video=camera is not None,
        latency=asked.latency,
        most_behind=MOST_BEHIND_S,
    )
    shown: list[float] = []
    memory: list[float] = []
    pictured = dropped = 0
    began = monotonic(), process_time()

    def look(frame: LiveFrame) -> None:
        nonlocal pictured, dropped, began
        if not shown:  # loading is over
            began = monotonic(), process_time()
        shown.append(monotonic() - frame.captured)
        pictured += frame.pictured
        dropped = frame.dropped
        if frame.frame % 10 == 0:
            memory.append(resident_mib())

    run(source, camera, stream, [look], channels=ChannelMap(), seconds=60 * asked.minutes)
    share = (process_time() - began[1]) / (monotonic() - began[0])
    part = min(300, len(memory) // 5)
    print(f"{'ear only' if asked.ear_only else 'audiovisual'}, {asked.latency}, ", end="")
    print(f"{asked.minutes:g} minutes, {os.cpu_count()} cores")
    print(f"frames       {len(shown)}, {pictured} with a picture, {dropped} dropped")
    for name, late in (("known", stream.known), ("shown", shown)):
        median, p99 = np.percentile(late, [50, 99])
        print(f"{name} after  {median:.2f} s (median), {p99:.2f} s (99th percentile)")
    print(f"processor    {share:.1%} of a core")
    first, last = np.mean(memory[:part]), np.mean(memory[-part:])
    print(f"memory       {first:.0f} MiB in the first {part} s, {last:.0f} MiB in the last")


if __name__ == "__main__":
    main()
