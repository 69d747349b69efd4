"""The finest grids that fit a file: more points where they show, fewer where they do not.

Every mask gets one of a few grid sizes. The choice maximises the sum, over the masks of a file, of
the soft IoU between the emitted grid and all 784 cells of the detector's own map, both as the
official scorer draws them, under a limit on the file's bytes: a Lagrangian allocation, as coders
spend bits.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from saiseld.decision.emission import Points, grid_points
from saiseld.evaluation.rendering import render
from saiseld.evaluation.soft_iou import soft_iou
from saiseld.formats.candidates import MAP_SIZE, Candidates

SIZES = (3, 5, 7, 9)
"""Points a side, coarse to fine: the scorer's canvas shows little of a finer one."""


def adaptive_points(table: Candidates, max_bytes: int) -> list[Points]:
    """Return the points of every row of a table, together at most ``max_bytes`` of JSON.

    Parameters
    ----------
    table
        Rows to emit, each with an energy map.
    max_bytes
        Limit on the points alone. Where not even the coarsest grids fit, those are returned.
    """
    choices = [list(grid_points(table.box, table.energy_map, size)) for size in SIZES]
    encode = msgspec.json.encode
    cost = np.array([[len(encode(p.tolist())) for p in points] for points in choices]).T
    if cost[:, -1].sum() <= max_bytes:
        return choices[-1]
    if cost[:, 0].sum() >= max_bytes:
        return choices[0]
    whole = [render((p,)) for p in grid_points(table.box, table.energy_map, MAP_SIZE, "centre")]
    value = np.array(
        [
            [soft_iou(render((p,)), canvas) for p, canvas in zip(points, whole, strict=True)]
            for points in choices
        ]
    ).T
    chosen = allocate(value, cost, max_bytes)
    return [choices[choice][row] for row, choice in enumerate(chosen)]


def allocate(
    value: NDArray[np.float64], cost: NDArray[np.int64], budget: float
) -> NDArray[np.int64]:
    """Return (N,) the choice of each row that maximises total value at a total cost in budget.

    Parameters
    ----------
    value, cost
        (N, choices); choice 0 is the cheapest and is taken throughout if nothing fits.

    Notes
    -----
    At a price per unit of cost every row takes its best bargain on its own; the lowest price that
    stays in budget is found by bisection. What is lost against the exact optimum is less than one
    row's step.
    """
    low, high = -12.0, 12.0  # log10 of the price
    for _ in range(60):
        middle = (low + high) / 2
        chosen = np.argmax(value - 10**middle * cost, axis=1)
        if np.take_along_axis(cost, chosen[:, None], axis=1).sum() > budget:
            low = middle
        else:
            high = middle
    return np.asarray(np.argmax(value - 10**high * cost, axis=1))
