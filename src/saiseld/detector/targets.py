"""What the detector is trained towards: the instances of one frame."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from torch import Tensor

Targets = Literal["cylinder", "public"]
"""How labels become targets: on the cylinder, or as the public recipe has it (Baseline2026)."""


class FrameTargets(TypedDict):
    """The instances of one frame; n of them, possibly none.

    ``boxes`` (n, 4) float32, canvas pixels, may reach past the seam; ``labels`` (n,) int64, class
    id + 1; ``energy`` (n, 180, 360) float32, 0 where nothing is annotated, the value at index
    (y, x) belonging to the canvas point (x, y); ``distance_cm`` (n,) float32, NaN where unknown.

    The public recipe's targets alone have ``annotated`` (n, 180, 360) bool, every pixel that has a
    point, also one of no energy; and ``field`` (180, 360) float32, the largest energy of any point
    at a pixel, where ``energy`` has an instance's last one.
    """

    boxes: Tensor
    labels: Tensor
    energy: Tensor
    distance_cm: Tensor
    annotated: NotRequired[Tensor]
    field: NotRequired[Tensor]
