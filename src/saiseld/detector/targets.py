"""What the detector is trained towards: the instances of one frame."""

from __future__ import annotations

from typing import TypedDict

from torch import Tensor


class FrameTargets(TypedDict):
    """The instances of one frame; n of them, possibly none.

    ``boxes`` (n, 4) float32, canvas pixels, may reach past the seam; ``labels`` (n,) int64, class
    id + 1; ``energy`` (n, 180, 360) float32, 0 where nothing is annotated, the value at index
    (y, x) belonging to the canvas point (x, y); ``distance_cm`` (n,) float32, NaN where unknown.
    """

    boxes: Tensor
    labels: Tensor
    energy: Tensor
    distance_cm: Tensor
