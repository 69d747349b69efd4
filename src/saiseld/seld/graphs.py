"""The SELD network without torch: three ONNX graphs.

``encoder`` turns a window's spectrum into the encoder's embedding; ``temporal`` turns embedding,
spectrum and covariances into features of each frame; ``localization`` turns those of the requested
frames into classes, maps and distances. The last two run once for every view. The array's steering
vectors are computed where they are used: no file holds them. `saiseld.seld.export` writes the
graphs.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from saiseld.conventions.taxonomy import CLASS_NAMES, NUM_CLASSES
from saiseld.formats.checkpoint import check_header, read_header
from saiseld.formats.graph import Graph
from saiseld.seld.inputs import (
    HOPS_PER_FRAME,
    MELS,
    TTA_SYMMETRIES,
    Inputs,
    banded,
    steering,
    turned_covariance,
    turned_grid,
    viewed,
    with_past,
)
from saiseld.seld.output import GRID, ROWS, Array

GRAPHS = ("encoder", "temporal", "localization")
_OUTPUTS = ("n e",), ("n e", "n c c"), (f"n {ROWS}", f"n {ROWS} 484", f"n {NUM_CLASSES}")


class GraphSeld:
    """A network of the graphs beside a checkpoint, on one thread of the CPU.

    Parameters
    ----------
    weights
        The checkpoint.

    Raises
    ------
    CheckpointError
        If a graph is not there, cannot be read, or was made for another checkpoint, or the
        checkpoint is of other classes.
    """

    def __init__(self, weights: str | Path) -> None:
        check_header(weights, read_header(weights), classes=list(CLASS_NAMES))
        self._encoder, self._temporal, self._localization = (
            Graph(weights, name, outputs) for name, outputs in zip(GRAPHS, _OUTPUTS, strict=True)
        )

    def __call__(self, audio: Array, features: Inputs, tta: int, last: int) -> Array:
        """Process one window: a `saiseld.seld.audio_branch.Network`."""
        del audio
        frames = len(features.covariance)
        (embedded,) = self._encoder(features.mels.reshape(frames, HOPS_PER_FRAME, MELS), n=frames)
        spectrum = np.ascontiguousarray(features.spectrum.swapaxes(0, 1))
        tail = slice(frames - with_past(last, frames), None)
        outputs: list[list[Array]] = []
        for view, symmetry in enumerate(TTA_SYMMETRIES[:tta]):
            covariance = turned_covariance(features.covariance, symmetry)
            encoded, local = self._temporal(spectrum, covariance, embedded, _seen(), n=frames)
            parts = encoded[tail], local[tail], embedded[tail], covariance[tail]
            outputs.append(self._localization(*parts, _steer(view), n=len(parts[0])))
        means = [np.mean(part, axis=0)[-last:] for part in zip(*outputs, strict=True)]
        return np.concatenate([part.reshape(last, -1) for part in means], axis=1)


@cache
def _seen() -> Array:
    """Return the steering that ``temporal`` looks at."""
    return viewed(steering(GRID))


@cache
def _steer(view: int) -> Array:
    """Return the steering that ``localization`` makes a view's maps with."""
    return banded(steering(turned_grid(TTA_SYMMETRIES[view])))
