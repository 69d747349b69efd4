"""The ear without torch: three ONNX graphs.

``know`` turns a window's spectrum into what the prior makes of it; ``tell`` that and the window's
covariances into what is known of each frame; ``locate`` this, of the frames that are wanted, into
classes, maps and distances. The latter two run once for every view. What they are given of the
array's steering is physics, made anew where it is used: no file holds it. `saiseld.seld.export`
writes the graphs.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from saiseld.formats.graph import Graph
from saiseld.seld.heard import GRID, Array
from saiseld.seld.inputs import (
    HOPS_PER_FRAME,
    MELS,
    VIEWS,
    Inputs,
    banded,
    steering,
    turned_covariance,
    turned_grid,
    viewed,
    with_past,
)

GRAPHS = ("know", "tell", "locate")


class GraphSeld:
    """An ear of the graphs beside a checkpoint, on one thread of the CPU.

    Parameters
    ----------
    weights
        The checkpoint.

    Raises
    ------
    CheckpointError
        If a graph is not there, cannot be read, or was made for another checkpoint.
    """

    def __init__(self, weights: str | Path) -> None:
        self._know, self._tell, self._locate = (Graph(weights, name) for name in GRAPHS)

    def __call__(self, audio: Array, shown: Inputs, views: int, last: int) -> Array:
        """Hear one window: a `saiseld.seld.ear.Network`."""
        del audio
        frames = len(shown.covariance)
        (known,) = self._know(shown.mels.reshape(frames, HOPS_PER_FRAME, MELS))
        spectrum = np.ascontiguousarray(shown.spectrum.swapaxes(0, 1))
        tail = slice(frames - with_past(last, frames), None)
        said: list[list[Array]] = []
        for view, symmetry in enumerate(VIEWS[:views]):
            covariance = turned_covariance(shown.covariance, symmetry)
            told, local = self._tell(spectrum, covariance, known, _seen())
            parts = told[tail], local[tail], known[tail], covariance[tail]
            said.append(self._locate(*parts, _steer(view)))
        means = [np.mean(part, axis=0)[-last:] for part in zip(*said, strict=True)]
        return np.concatenate([part.reshape(last, -1) for part in means], axis=1)


@cache
def _seen() -> Array:
    """Return the steering that ``tell`` looks at."""
    return viewed(steering(GRID))


@cache
def _steer(view: int) -> Array:
    """Return the steering that ``locate`` makes a view's maps with."""
    return banded(steering(turned_grid(VIEWS[view])))
