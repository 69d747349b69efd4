"""Energy maps inside boxes, one cell at a time."""

from __future__ import annotations

import math

import numpy as np


def crop_energy(energy: np.ndarray, owner: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Sample canvases (n, 180, 360), which wrap in x, at the centres of 28 x 28 cells of boxes."""
    maps = np.zeros((len(boxes), 28, 28))
    for number, (x0, y0, x1, y1) in enumerate(boxes):
        canvas = energy[owner[number]]
        for row in range(28):
            for column in range(28):
                x = x0 + (column + 0.5) / 28 * (x1 - x0)
                y = min(max(y0 + (row + 0.5) / 28 * (y1 - y0), 0), 179)
                maps[number, row, column] = _bilinear(canvas, x, y)
    return maps


def _bilinear(canvas: np.ndarray, x: float, y: float) -> float:
    left, top = math.floor(x), math.floor(y)
    value = 0.0
    for i in (0, 1):
        for j in (0, 1):
            weight = (1 - abs(x - left - i)) * (1 - abs(y - top - j))
            value += weight * canvas[min(top + j, 179), (left + i) % 360]
    return value
