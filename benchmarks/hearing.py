"""The ear on one core: milliseconds a frame of a recording, and its share of it while it streams.

A stream is heard in windows of 5 s anew every half a second; its latest frames are what is new.
Processor time of one thread, so that other work on the machine weighs less.
"""

from time import process_time

import numpy as np
from threadpoolctl import threadpool_limits

from saiseld.conventions.timebase import FPS, SAMPLE_RATE
from saiseld.pipeline.weights import PACKAGED
from saiseld.seld.audio_branch import AudioBranch
from saiseld.seld.decode import candidates

SECONDS, EVERY_S, WINDOWS = 30, 0.5, 10


def main() -> None:
    """Print the costs with all four symmetries averaged and with one."""
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((SECONDS * SAMPLE_RATE, 1))
    own = rng.standard_normal((SECONDS * SAMPLE_RATE, 4))
    audio = (0.1 * shared + 0.02 * own).astype(np.float32)
    for tta in (4, 1):
        ear = AudioBranch.load(PACKAGED / "seld.safetensors", tta=tta)
        window = np.ascontiguousarray(audio[: 5 * SAMPLE_RATE].T)
        ear.window(window)  # what is computed once only

        begin = process_time()
        blocks = ear.blocks([audio])
        rows = sum(len(table) for table in candidates("noise", SECONDS * FPS, blocks, {}))
        offline = (process_time() - begin) / (SECONDS * FPS)

        begin = process_time()
        for _ in range(WINDOWS):
            ear.window(window)
        share = (process_time() - begin) / WINDOWS / EVERY_S
        print(f"symmetries averaged: {tta}")
        print(f"    recording to table ({rows} rows): {offline * 1e3:6.2f} ms a frame")
        print(f"    stream, anew every {EVERY_S} s:    {share:6.1%} of a core")


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
