"""How cost grows: ``python -m benchmarks.growth``.

Processor time against length, channels, sources, the video's width, and recordings, one thread,
each with the slope of its logarithm: 1 is linear, a fixed cost makes it smaller. Networks are
loaded before. Sizes are small, so that all of it takes minutes; the ranges are printed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

import av
import numpy as np
import soundfile

from saiseld.conventions.timebase import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from saiseld.data.recordings import open_recording, read_audio
from saiseld.formats.annotation import EnergyMask
from saiseld.labels import Event, annotate, sparse_image
from saiseld.pipeline.imager import Imager
from saiseld.pipeline.weights import DEMO
from saiseld.runtime.threads import one_blas_thread
from saiseld.viewing.overlay import write_overlay


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return the slope of log cost over log size, by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(np.maximum(costs, 1e-9)), 1)[0])


def cpu(work: Callable[[], object]) -> float:
    """Return the processor time of some work."""
    begin = process_time()
    work()
    return process_time() - begin


def tell(what: str, unit: str, sizes: Sequence[int], costs: Sequence[float]) -> None:
    """Print the costs against the sizes, and the exponent."""
    each = ", ".join(f"{size}: {cost:.3f} s" for size, cost in zip(sizes, costs, strict=True))
    print(f"{what} ({unit}) {each}; exponent {exponent(sizes, costs):.2f}", flush=True)


def length(imager: Imager, frames: Sequence[int]) -> None:
    """Image recordings of some lengths, with and without a video."""
    (path,) = DEMO.glob("*.wav")
    once = read_audio(path)
    for video in (None, path.with_suffix(".mp4")):
        costs = []
        for count in frames:
            audio = np.resize(once, (count * SAMPLES_PER_FRAME, once.shape[1]))
            costs.append(cpu(partial(imager, audio, video, sample_rate=SAMPLE_RATE)))
        tell("length" + ", with video" * (video is not None), "frames", frames, costs)


def channels(imager: Imager, frames: int) -> None:
    """Image a recording of 4 channels, and of the 32 that they are among."""
    rng = np.random.default_rng(0)
    costs = []
    for count in (4, 32):
        audio = 0.05 * rng.standard_normal((frames * SAMPLES_PER_FRAME, count)).astype(np.float32)
        costs.append(cpu(partial(imager, audio, sample_rate=SAMPLE_RATE)))
    tell(f"channels, {frames} frames", "channels", (4, 32), costs)


def sources(frames: int, counts: Sequence[int]) -> None:
    """Make the labels of more and more events."""
    rng = np.random.default_rng(0)
    audio = 0.05 * rng.standard_normal((frames * SAMPLES_PER_FRAME, 32))
    images = sparse_image(audio)
    costs = []
    for count in counts:
        events = [
            Event(f, k % 13, k, 360 * k / count - 180, 10, 100)
            for f in range(frames)
            for k in range(count)
        ]
        costs.append(cpu(partial(annotate, images, events)))
    tell(f"sources: labels, {frames} frames", "sources", counts, costs)


def resolution(folder: Path, frames: int, widths: Sequence[int]) -> None:
    """Read videos of more and more pixels, and draw overlays of them."""
    audio = np.zeros((frames * SAMPLES_PER_FRAME, 4), np.float32)
    soundfile.write(folder / "silence.wav", audio, SAMPLE_RATE)
    recording, imager = open_recording(folder / "silence.wav"), Imager(device="cpu", threads=1)
    points = np.array([[x, y, 1.0] for x in range(80, 100) for y in range(80, 100)])
    masks = [EnergyMask(frame, 0, 1, (points,), None, 0.9) for frame in range(frames)]
    read, drawn = [], []
    for width in widths:
        video = folder / f"{width}.mp4"
        write_noise_video(video, width, frames)
        read.append(cpu(partial(deque, imager.pictures(video) or (), 0)))
        pictures = [np.full((width // 2, width, 3), 90, np.uint8)] * frames
        target = folder / f"{width}.overlay.mp4"
        drawn.append(cpu(partial(write_overlay, target, recording, masks, pictures, width=width)))
    pixels = [width * width // 2 for width in widths]
    tell(f"resolution: pictures read, {frames} frames", "pixels", pixels, read)
    tell(f"resolution: overlay, {frames} frames", "pixels", pixels, drawn)


def write_noise_video(path: Path, width: int, frames: int) -> None:
    """Write a video of coarse noise that moves."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (width // 2 // 20 + 1, width // 20 + 1, 3), np.uint8)
    whole = coarse.repeat(20, axis=0).repeat(20, axis=1)[: width // 2, :width]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, width // 2, "yuv420p"
        for number in range(frames):
            rolled = np.ascontiguousarray(np.roll(whole, number, axis=1))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rolled, "rgb24")))
        container.mux(stream.encode())


def recordings(folder: Path, counts: Sequence[int], frames: int) -> None:
    """Image more and more short recordings by whole commands, one and two at a time."""
    rng = np.random.default_rng(0)
    walls: dict[int, list[float]] = {1: [], 2: []}
    for count in counts:
        given = folder / f"{count}"
        given.mkdir()
        for number in range(count):
            audio = 0.05 * rng.standard_normal((frames * SAMPLES_PER_FRAME, 4))
            soundfile.write(given / f"r{number}.wav", audio, SAMPLE_RATE)
        for jobs, wall in walls.items():
            line = ["image", str(given), "-o", str(folder / f"{count}-{jobs}"), "--no-overlay"]
            begin = perf_counter()
            subprocess.run(
                [sys.executable, "-m", "saiseld", "-q", *line, "--jobs", str(jobs)],
                check=True,
                stdout=subprocess.DEVNULL,
            )
            wall.append(perf_counter() - begin)
    for jobs, wall in walls.items():
        tell(f"recordings of {frames} frames, wall, --jobs {jobs}", "recordings", counts, wall)
    speed = ", ".join(
        f"{count}: {one / two:.2f} x"
        for count, one, two in zip(counts, *walls.values(), strict=True)
    )
    print(f"speed-up of --jobs 2 by recordings {speed}")


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tiny", action="store_true", help="sizes of a test: seconds")
    run(tiny=parser.parse_args().tiny)


def run(*, tiny: bool) -> None:
    """Print a line for each."""
    imager = Imager(device="cpu", threads=1)
    imager(np.zeros((SAMPLES_PER_FRAME, 4), np.float32), sample_rate=SAMPLE_RATE)  # made once
    with one_blas_thread(), TemporaryDirectory() as name:
        folder = Path(name)
        length(imager, (5, 10) if tiny else (50, 100, 200, 400))
        channels(imager, 5 if tiny else 200)
        sources(1 if tiny else 10, (1, 2) if tiny else (1, 2, 4, 8))
        resolution(folder, 2 if tiny else 20, (360, 720) if tiny else (360, 720, 1440, 2880))
        if not tiny:
            recordings(folder, (1, 2, 20), 100)


if __name__ == "__main__":
    main()
