"""CPU of ear and eye a frame, offline and streaming: ``python -m benchmarks.senses``.

Process CPU time, all threads together, on the packaged recording and weights; a fusion model is
needed in the weights. Streaming hears the last five seconds anew every half second.
"""

from __future__ import annotations

import argparse
import resource
from pathlib import Path

import numpy as np

from saiseld.conventions.timebase import FPS, SAMPLES_PER_FRAME
from saiseld.data.recordings import open_recording
from saiseld.decision.systems import Senses
from saiseld.pipeline.imager import Imager
from saiseld.pipeline.weights import DEMO

EVERY = 5
"""Frames from one window to the next in a stream."""
SENSES: tuple[Senses, ...] = ("ear", "eye", "both")


def cpu_s() -> float:
    """Return the CPU seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args()
    imager = Imager(chosen.weights)
    path = next(DEMO.glob("*.wav"))
    recording, video = open_recording(path), path.with_suffix(".mp4")
    cost = {}
    for senses in SENSES:
        list(imager.sensed(recording, video, senses))  # what is loaded once is not counted
        start = cpu_s()
        for _ in range(chosen.repeats):
            list(imager.sensed(recording, video, senses))
        cost[senses] = 1000 * (cpu_s() - start) / (chosen.repeats * recording.frames)
        print(f"offline, {senses}: {cost[senses]:.1f} ms of CPU a frame", flush=True)
    ear = imager.hearing.ear
    window = np.random.default_rng(0).normal(0, 0.1, (4, 50 * SAMPLES_PER_FRAME))
    window = window.astype(np.float32)
    ear.window(window)
    start = cpu_s()
    for _ in range(10):
        ear.window(window)
    heard = 1000 * (cpu_s() - start) / 10
    load = (heard / EVERY + cost["eye"]) * FPS / 1000
    print(f"streaming: {heard:.0f} ms a window, {load:.0%} of a core with the eye")


if __name__ == "__main__":
    main()
