"""What is heard: in every frame, whether a class sounds, from where on the sphere, and how far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.sphere import fibonacci_sphere
from saiseld.conventions.taxonomy import NUM_CLASSES

ROWS = NUM_CLASSES + 1
"""Classes, and in the last row whatever sounds."""

GRID = fibonacci_sphere()
"""(3, 484) directions of the maps."""

MAPS = ROWS * GRID.shape[1]
"""Numbers of a frame's maps."""

WINDOW_FRAMES = 50
"""Frames that are heard together: 5 s."""

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class SeldOutput:
    """What is heard in T frames.

    Parameters
    ----------
    start
        Number of the first frame in the recording.
    classes
        (T, 13) logit of whether a class sounds.
    maps
        (T, 13, 484) logit of whether it sounds from a direction of the grid
        (`saiseld.conventions.sphere.fibonacci_sphere`).
    activity
        (T, 484) the same of anything.
    distance_cm
        (T, 13) to the nearest source of a class, if it sounds.
    silent
        (T,) whether the frame holds no sound at all.
    """

    start: int
    classes: Array
    maps: Array
    activity: Array
    distance_cm: Array
    silent: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.classes)
