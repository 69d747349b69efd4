"""What keeping acoustic images in 16 bits costs, as they are stored and as a detector sees them.

Run: ``python -m benchmarks.features RECORDINGS...``. Every recording is imaged by the packaged
front end and its images are stored both ways. The detector's norm gives every band of a frame mean
0 and deviation 1 over the canvas, so a band that hardly varies shows its rounding more. Printed:
the relative L2 error, a frame and band at a time, and after the norm the largest error of a pixel
in standard deviations too.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch.nn.functional import instance_norm

from saiseld.conventions.sphere import projection_table
from saiseld.formats.features import FEATURES_SUFFIX, Features, Width
from saiseld.pipeline.features import features_of_recordings

WIDTHS: tuple[Width, Width] = ("float32", "float16")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recordings", type=Path, nargs="+")
    chosen = parser.parse_args()
    stored, seen, pixel = [], [], []
    with TemporaryDirectory() as folder:
        for width in WIDTHS:
            features_of_recordings(chosen.recordings, Path(folder) / width, width=width)
        for path in sorted((Path(folder) / WIDTHS[0]).glob(f"*{FEATURES_SUFFIX}")):
            exact, rounded = (Features(path.parents[1] / width / path.name) for width in WIDTHS)
            table = projection_table(exact.provenance["projection"])
            for one, other in zip(exact.images(), rounded.images(), strict=True):
                stored.append(relative(other.latent, one.latent))
                normed = [
                    instance_norm(torch.from_numpy(image.latent[..., table])).numpy()
                    for image in (one, other)
                ]
                seen.append(relative(normed[1], normed[0]))
                pixel.append(np.abs(normed[1] - normed[0]).max(axis=(2, 3)))
    print(f"{sum(map(len, stored))} frames: median, 99 %, largest over frames and bands")
    for name, errors in (
        ("as stored, relative", stored),
        ("after the norm, relative", seen),
        ("after the norm, worst pixel", pixel),
    ):
        found = np.quantile(np.concatenate(errors), [0.5, 0.99, 1])
        print(f"{name:28}" + "".join(f"{value:10.1e}" for value in found))


def relative(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Return the relative L2 error of each frame and band; 0 where nothing is expected."""
    error, size = (
        np.linalg.norm(value.reshape(*value.shape[:2], -1), axis=-1)
        for value in (found - expected, expected)
    )
    return np.divide(error, size, out=np.zeros_like(error), where=size > 0)


if __name__ == "__main__":
    main()
