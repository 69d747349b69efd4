"""Label maker against its plain reference, on one core: milliseconds a frame, in one run.

The reference (tests/reference/sparse_imaging.py) solves each band by itself in operator form. Both
get the same noise-in-a-free-field recording; the reference a few frames of it, each from the fast
solution of the frame before, so both do the same iterations.
"""

import os

for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"

import sys
from pathlib import Path
from time import perf_counter

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from saiseld.acoustics.covariance import LABEL_CENTRES, visibility
from saiseld.labels import Event, annotate, sparse_image
from tests.reference.sparse_imaging import minimise

FRAMES, REFERENCE_FRAMES = 200, 4


def main() -> None:
    with np.load(Path(__file__).parents[1] / "tests/golden/labels_input.npz") as file:
        audio = np.tile(file["audio32"], (FRAMES // 4, 1))
    sparse_image(audio[:2400])  # constants are computed once, on first use

    begin = perf_counter()
    images = sparse_image(audio)
    fast = (perf_counter() - begin) / FRAMES

    slow, largest = 0.0, 0.0
    minimise(np.eye(32), np.zeros(484))
    for frame in range(1, 1 + REFERENCE_FRAMES):
        begin = perf_counter()
        matrices = visibility(audio[frame * 2400 : (frame + 1) * 2400], centres=LABEL_CENTRES)[0]
        plain = [minimise(s, x) for s, x in zip(matrices, images[frame - 1], strict=True)]
        slow += (perf_counter() - begin) / REFERENCE_FRAMES
        error = np.linalg.norm(images[frame] - plain) / np.linalg.norm(plain)
        largest = max(largest, float(error))

    events = [Event(f, k, k, 90 * k - 120, 10 * k, 100) for f in range(FRAMES) for k in range(2)]
    begin = perf_counter()
    annotate(images, events)
    masks = (perf_counter() - begin) / FRAMES

    begin = perf_counter()
    sparse_image(audio[: 20 * 2400], to_convergence=True)
    exact = (perf_counter() - begin) / 20

    print(f"reference, operator form per band: {slow * 1e3:8.2f} ms a frame")
    print(f"sparse_image:                      {fast * 1e3:8.2f} ms a frame")
    print(f"ratio:                             {slow / fast:8.1f} x")
    print(f"largest relative difference:       {largest:8.1e}")
    print(f"annotate, two events:              {masks * 1e3:8.2f} ms a frame")
    print(f"sparse_image, to convergence:      {exact * 1e3:8.2f} ms a frame")


if __name__ == "__main__":
    main()
