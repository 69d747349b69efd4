"""Label maker against its plain reference, on one core: milliseconds a frame, in one run.

The reference (tests/reference/sparse_imaging.py) solves each band by itself in operator form. It
gets a few frames of the same recording, each from the fast solution of the frame before, so both do
the same iterations. Processor time, so that other work on the machine weighs less.
"""

from pathlib import Path
from time import process_time

import numpy as np
from tests.reference.sparse_imaging import lipschitz, minimise
from threadpoolctl import threadpool_limits

from saiseld.acoustics.covariance import visibility
from saiseld.conventions.bands import LABEL_CENTRES
from saiseld.labels import Event, annotate, sparse_image

ROOT = Path(__file__).parents[1]
FRAMES, REFERENCE_FRAMES = 200, 8


def main() -> None:
    """Print the times and their ratio."""
    with np.load(ROOT / "tests/golden/labels_input.npz") as file:
        audio = np.tile(file["audio32"], (FRAMES // 4, 1))
    sparse_image(audio[:2400])  # what is computed once only

    begin = process_time()
    images = sparse_image(audio)
    fast = (process_time() - begin) / FRAMES

    slow, difference = 0.0, 0.0
    for frame in range(1, 1 + REFERENCE_FRAMES):
        begin = process_time()
        matrices = visibility(audio[frame * 2400 : (frame + 1) * 2400], centres=LABEL_CENTRES)[0]
        plain = [minimise(s, x) for s, x in zip(matrices, images[frame - 1], strict=True)]
        slow += (process_time() - begin) / REFERENCE_FRAMES
        error = np.linalg.norm(images[frame] - plain) / np.linalg.norm(plain)
        difference = max(difference, float(error))

    begin = process_time()
    for _ in range(9):
        lipschitz()
    steps = process_time() - begin

    events = [Event(f, k, k, 90 * k - 120, 10 * k, 100) for f in range(FRAMES) for k in range(2)]
    begin = process_time()
    annotate(images, events)
    masks = (process_time() - begin) / FRAMES

    print(f"reference, operator form per band:  {slow * 1e3:8.2f} ms a frame")
    print(f"    of which the bands' step sizes: {steps * 1e3:8.2f} ms a frame")
    print(f"sparse_image:                       {fast * 1e3:8.2f} ms a frame")
    print(f"ratio:                              {slow / fast:8.1f} x")
    print(f"    beside the step sizes:          {(slow - steps) / fast:8.1f} x")
    print(f"largest relative difference:        {difference:8.1e}")
    print(f"annotate, two events:               {masks * 1e3:8.2f} ms a frame")


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
