"""What one GPU does, under 8 minutes: ``python -m benchmarks.gpu --out gpu.json``.

Imaging by the detector at both sizes, in single and in half precision with its error; acoustic
images; the audio branch; the training steps of the detector against a plain loop; how many frames a
second its loader gives. Labels are made on the CPU, whatever the device.
One JSON, and a table. Without a GPU, or with ``--device cpu``, the same runs on the CPU; ``--tiny``
takes sizes of seconds. Weights are random where speed does not depend on them.
"""

from __future__ import annotations

import argparse
import json
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import torch

from saiseld.acoustics.uplam import UpLAM
from saiseld.data.stairs26 import open_dataset
from saiseld.decision.selection import emittable
from saiseld.detector.model import Detector
from saiseld.labels import sparse_image
from saiseld.pipeline.weights import PACKAGED
from saiseld.runtime.devices import Device, device_of
from saiseld.seld.audio_branch import AudioBranch
from saiseld.seld.model import Seld

Figures = dict[str, float]


def rate(work: Callable[[], object], count: int, device: Device, seconds: float) -> float:
    """Return how many of the ``count`` items of some work are done a second, after a first time."""
    wait: Callable[[], object] = torch.cuda.synchronize if device == "cuda" else lambda: None
    work()
    wait()
    done, begin = 0, perf_counter()
    while perf_counter() - begin < seconds or not done:
        work()
        wait()
        done += count
    return done / (perf_counter() - begin)


def imaging(device: Device, batch: int, seconds: float, sizes: Sequence[str]) -> Figures:
    """Return frames a second of the detector, and how far half precision's scores are off."""
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (batch, 3, 180, 360), np.uint8)
    latent = rng.random((batch, 9, 484), np.float32)
    figures: Figures = {}
    for size in sizes:
        if size == "compact":
            detector = Detector.load(PACKAGED / "detector.safetensors").to(device)
        else:
            torch.manual_seed(0)
            detector = Detector("paper").eval().to(device)
        scores = {}
        for half in (False, True) if device == "cuda" else (False,):
            detector.half_precision = half
            name = f"imaging, {size}, {'float16' if half else 'float32'}, frames/s"
            figures[name] = rate(
                partial(detector.find, rgb, latent, keep=emittable), batch, device, seconds
            )
            found = detector.find(rgb, latent)
            scores[half] = np.array([frame["scores"].max(initial=0) for frame in found])
        if True in scores:
            error = np.abs(scores[True] - scores[False]).max()
            figures[f"imaging, {size}, float16: largest error of a frame's best score"] = error
    return figures


def sound(device: Device, batch: int, seconds: float) -> Figures:
    """Return frames a second of acoustic images, of the audio branch, and of labels on the CPU."""
    rng = np.random.default_rng(0)
    uplam = UpLAM.load(PACKAGED / "uplam.safetensors").to(device)
    values = rng.standard_normal((2, batch, 9, 4, 4)).astype(np.float32)
    matrices = values[0] + 1j * values[1]
    hermitian = matrices @ matrices.conj().swapaxes(-1, -2)
    covariance = torch.from_numpy(hermitian.astype(np.complex64)).to(device)

    @torch.inference_mode()
    def images() -> None:
        uplam(covariance)

    branch = AudioBranch(Seld.load(PACKAGED / "seld.safetensors").to(device))
    window = 0.05 * rng.standard_normal((4, 50 * 2400)).astype(np.float32)
    capsules = 0.05 * rng.standard_normal((2 * 2400, 32))
    return {
        "acoustic images, frames/s": rate(images, batch, device, seconds),
        "audio branch, frames/s": rate(lambda: branch.window(window), 50, device, seconds),
        "labels (CPU), frames/s": rate(lambda: sparse_image(capsules), 2, "cpu", seconds),
    }


def training(folder: Path, seconds: float, sizes: Sequence[str]) -> Figures:
    """Return images a second of the detector's training, of a plain loop, and of its loader."""
    from benchmarks.training import BATCH, compare, write_pictures
    from tests.training.tiny_tree import make_tree

    from saiseld.training.detector.data import training_data
    from saiseld.training.detector.recipes import read_recipe

    tree = make_tree(folder)
    for recording in open_dataset(tree).recordings:
        write_pictures(tree, recording)
    figures: Figures = {}
    for size in sizes:
        rates = compare(tree, size)
        figures[f"training, detector, {size}, images/s"] = rates["ours"]
        figures[f"training, detector, {size}, plain loop, images/s"] = rates["plain"]
    recipe = read_recipe("compact").model_copy(update={"batch_size": BATCH})
    data = training_data(tree, tree / "features", tree / "cache", recipe=recipe)
    count = len(data.train)

    def load() -> None:
        deque((data.train[number] for number in range(count)), 0)

    figures["loader of the detector, one process, images/s"] = rate(load, count, "cpu", seconds)
    return figures


def measured(device: Device, *, tiny: bool) -> Figures:
    """Return all figures."""
    seconds, batch = (0.0, 2) if tiny else (10.0, 32 if device == "cuda" else 8)
    sizes = ("compact",) if tiny else ("paper", "compact")
    figures = imaging(device, batch, seconds, sizes) | sound(device, batch, seconds)
    with TemporaryDirectory() as folder:
        return figures | training(Path(folder), seconds, sizes)


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    parser.add_argument("--tiny", action="store_true", help="sizes of a test: seconds")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    options = parser.parse_args()
    device = device_of(options.device)
    name = torch.cuda.get_device_name() if device == "cuda" else device
    figures = measured(device, tiny=options.tiny)
    content: dict[str, Any] = {"device": name, "torch": torch.__version__, "figures": figures}
    options.out.write_text(json.dumps(content, indent=2) + "\n")
    print(f"{name}, torch {torch.__version__}")
    for what, value in figures.items():
        print(f"{what:72s} {value:10.4g}")


if __name__ == "__main__":
    main()
