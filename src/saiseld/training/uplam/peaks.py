"""Where an acoustic image peaks, and how far that is from where the sources are.

Peaks are looked for every 2.5 degrees, after smoothing by about a step of the grid: a source
between two of the 484 directions would flip a coin.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from saiseld.conventions.sphere import fibonacci_sphere

APART_DEG = 30.0
"""Two sources, and two peaks of an image, are at least this far apart."""

SMOOTHING_DEG = 8.0

FloatArray = NDArray[np.float64]


def image_errors(images: FloatArray, directions: Sequence[FloatArray]) -> FloatArray:
    """Return the (frames x sources,) angles in degrees from sources to the peaks assigned to them.

    As many peaks as there are sources are taken from each image (484,), and assigned so that the
    sum of the angles is least.
    """
    errors = []
    for image, sources in zip(images, directions, strict=True):
        angle = np.degrees(
            np.arccos(np.clip(peak_directions(image, len(sources)) @ sources.T, -1, 1))
        )
        errors.append(angle[linear_sum_assignment(angle)])
    return np.concatenate(errors)


def peak_directions(image: FloatArray, count: int) -> FloatArray:
    """Return the (count, 3) highest peaks of an image (484,), `APART_DEG` apart."""
    grid, smoothing = _fine()
    smooth = smoothing @ image
    peaks = []
    for _ in range(count):
        peaks.append(grid[:, smooth.argmax()])
        smooth = np.where(peaks[-1] @ grid > np.cos(np.radians(APART_DEG)), -np.inf, smooth)
    return np.stack(peaks)


def grid_smoothing(points: FloatArray) -> FloatArray:
    """Return the (m, 484) weights of the grid's directions at smooth points (3, m)."""
    angle = np.degrees(np.arccos(np.clip(points.T @ fibonacci_sphere(), -1, 1)))
    weight = np.exp(-0.5 * (angle / SMOOTHING_DEG) ** 2)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))


@cache
def _fine() -> tuple[FloatArray, FloatArray]:
    """Return unit vectors (3, m) about 2.5 degrees apart, and their `grid_smoothing`."""
    points = fibonacci_sphere(order=40)
    return points, grid_smoothing(points)
