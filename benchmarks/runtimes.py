"""The graphs against torch on the packaged scene: agreement, and the time of a frame.

Run: ``python -m benchmarks.runtimes``. The sides take turns, so that other work slows all of them;
the best of the rounds is printed. A side with several threads works on a batch of frames in each,
torch by default on one in all. Every other round another process keeps a core busy: what that costs
is seen against one thread of the graphs without it, of which at most 1.3 times is wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import Process
from time import perf_counter, process_time

import numpy as np
import torch

from saiseld.acoustics.front_end import FrontEnd
from saiseld.conventions.timebase import SAMPLES_PER_FRAME
from saiseld.data.recordings import open_recording
from saiseld.data.video import open_video, rgb_planes
from saiseld.decision.selection import emittable
from saiseld.detector.detections import Found, FrameDetector
from saiseld.detector.graphs import GraphDetector
from saiseld.detector.model import Detector
from saiseld.pipeline.engine import BATCH
from saiseld.pipeline.weights import PACKAGED
from saiseld.runtime.parallel import die_with_parent
from saiseld.runtime.threads import in_threads, one_blas_thread, threads_here
from saiseld.seld.audio_branch import AudioBranch
from saiseld.seld.inference import HOP_FRAMES
from saiseld.seld.model import Seld
from saiseld.seld.output import WINDOW_FRAMES

FRAMES, ROUNDS = 50, 3


def main() -> None:
    (sound,) = (PACKAGED / "demo").glob("*.wav")
    recording, weights = open_recording(sound), PACKAGED / "detector.safetensors"
    (images,) = FrontEnd(PACKAGED / "uplam.safetensors").images(recording, recording.frames)
    rgb = rgb_planes(list(open_video(sound.with_suffix(".mp4")))[:FRAMES])
    latent = images.latent[:FRAMES]
    starts = range(0, FRAMES, BATCH)
    cores = threads_here()
    graphs, in_torch = GraphDetector(weights), Detector.load(weights)
    sample = np.concatenate(list(recording.blocks()))[: WINDOW_FRAMES * SAMPLES_PER_FRAME].T
    ear = PACKAGED / "seld.safetensors"
    ears = {"graphs": AudioBranch.load(ear), "torch": AudioBranch(Seld.load(ear))}

    def find(detector: FrameDetector, threads: int) -> list[Found]:
        def batch(start: int) -> list[Found]:
            rows = slice(start, start + BATCH)
            return detector.find(rgb[rows], latent[rows], keep=emittable)

        return [frame for found in in_threads(batch, starts, threads) for frame in found]

    def torch_on(threads: int) -> list[Found]:
        torch.set_num_threads(threads)
        return find(in_torch, 1)

    def hear(runtime: str) -> list[Found]:
        torch.set_num_threads(1)
        for _ in range(round(FRAMES / HOP_FRAMES)):
            ears[runtime].window(sample)
        return []

    sides: dict[str, Callable[[], list[Found]]] = {
        "eye, graphs, 1 thread": lambda: find(graphs, 1),
        f"eye, graphs, {cores} threads": lambda: find(graphs, cores),
        "eye, torch, 1 thread": lambda: torch_on(1),
        f"eye, torch, {cores} threads in each frame": lambda: torch_on(cores),
        "ear, graphs, 1 thread": lambda: hear("graphs"),
        "ear, torch, 1 thread": lambda: hear("torch"),
    }
    print_agreement(sides["eye, graphs, 1 thread"](), sides["eye, torch, 1 thread"]())
    heard, expected = (ears[runtime].window(sample) for runtime in ("graphs", "torch"))
    print(f"largest difference of what is heard: {np.abs(heard - expected).max():.1e}")
    wall = {name: dict.fromkeys((False, True), np.inf) for name in sides}
    cpu = dict.fromkeys(sides, np.inf)
    with one_blas_thread():
        for number in range(2 * ROUNDS):
            busy = number % 2 == 1
            with another_process(busy):
                for name, side in sides.items():
                    began, used = perf_counter(), process_time()
                    side()
                    took = 1e3 * (perf_counter() - began) / FRAMES
                    wall[name][busy] = min(wall[name][busy], took)
                    cpu[name] = min(cpu[name], 1e3 * (process_time() - used) / FRAMES)
    print("ms a frame, of CPU; beside a busy process; both in times of one thread of the graphs")
    for name, (alone, beside) in ((name, took.values()) for name, took in wall.items()):
        one = wall[f"{name[:3]}, graphs, 1 thread"][False]
        print(
            f"{name:38s} {alone:7.1f}, {cpu[name]:5.1f}; {beside:7.1f}; "
            f"{alone / one:.2f} x, {beside / one:.2f} x"
        )


def print_agreement(found: list[Found], expected: list[Found]) -> None:
    """Print the largest differences between two detectors' outputs."""
    same = [np.array_equal(a["labels"], b["labels"]) for a, b in zip(found, expected, strict=True)]
    print(f"frames of the same selection: {sum(same)} of {len(same)}")
    pairs = [
        pair for pair, equal in zip(zip(found, expected, strict=True), same, strict=True) if equal
    ]
    for name in ("scores", "boxes", "energy_maps"):
        largest = max(np.abs(a[name] - b[name]).max() for a, b in pairs)  # type: ignore[literal-required]
        print(f"largest difference of {name}: {largest:.1e}")


@contextmanager
def another_process(wanted: bool) -> Iterator[None]:
    """Keep one core busy in this block, if that is wanted."""
    other = Process(target=count, daemon=True)
    if wanted:
        other.start()
    try:
        yield
    finally:
        if wanted:
            other.kill()


def count() -> None:
    """Count until the process that wants it is gone."""
    die_with_parent()
    number = 0
    while True:
        number += 1


if __name__ == "__main__":
    main()
