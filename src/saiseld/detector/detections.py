"""Detections, and what numpy decides between the networks: which boxes stand beside better ones.

A box is (x0, y0, x1, y1) in pixels of the canvas, with its margin until the end. Boxes come best
first everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypedDict

import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.sphere import WIDTH, Projection, box_iou
from saiseld.data.video import Scaling

SCORE_THRESHOLD = 0.01
DETECTION_IOU = 0.5
PROPOSAL_IOU = 0.7
DETECTIONS_PER_FRAME = 100
DISTANCE_UNIT_CM = 500.0
"""Detected distances are in units of 500 cm."""

Keep = Callable[[NDArray[np.float32], NDArray[np.int64]], NDArray[np.bool_]]
"""From the scores and class ids of a frame's detections, which ones can be emitted or scored."""

Boxes = NDArray[np.float32]
Labelled = tuple[Boxes, NDArray[np.float32], NDArray[np.int64]]
"""Boxes (n, 4), scores (n,) and labels (n,), class id + 1, of one frame."""


class Found(TypedDict):
    """The n detections of one frame, best first.

    ``boxes`` (n, 4) canvas pixels, ``labels`` (n,) class id + 1, ``scores`` (n,), ``measured`` (n,)
    bool, ``energy_maps`` (n, 28, 28) in [0, 1], ``distances`` (n,) in units of 500 cm; zero and NaN
    where not measured.
    """

    boxes: Boxes
    labels: NDArray[np.int64]
    scores: NDArray[np.float32]
    measured: NDArray[np.bool_]
    energy_maps: NDArray[np.float32]
    distances: NDArray[np.float32]


class FrameDetector(Protocol):
    """What finds instances in frames: the detector in torch, or its graphs without torch."""

    @property
    def size(self) -> str:
        """``paper`` or ``compact``."""

    @property
    def projection(self) -> Projection:
        """How its latents become acoustic images."""

    @property
    def context(self) -> int:
        """Frames before and after each whose acoustic images it is shown."""

    @property
    def frame_scaling(self) -> Scaling:
        """How pictures of another size are scaled before it is shown them."""

    def find(
        self,
        rgb: NDArray[np.floating[Any] | np.uint8],
        latent: NDArray[np.float32],
        *,
        keep: Keep | None = None,
    ) -> list[Found]:
        """Return what is found in each frame.

        Parameters
        ----------
        rgb
            (B, 3, 180, 360) pictures, uint8 or floating in [0, 1].
        latent
            (B, acoustic, 484) acoustic images, with the detector's context
            (`saiseld.data.context`).
        keep
            Which detections get an energy map and a distance; all of them without it.
        """
        ...


_SMALLEST_PROPOSAL = 1e-3
_SMALLEST_DETECTION = 1e-2
_FEW = 256
"""Boxes that are compared at once, whatever their group: calls cost more than their products."""


def standing(overlapping: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which of N boxes, best first, no better one that stands itself overlaps too much.

    Parameters
    ----------
    overlapping
        (N, N) symmetric: the pairs that overlap too much.
    """
    # The greedy answer is the only fixed point of this rule. Every round settles at least the best
    # box that is not settled yet, and all it can suppress; in practice a few rounds settle all.
    better = np.triu(overlapping, 1).astype(np.float32)
    stands = np.ones(len(overlapping), bool)
    while True:
        now = stands.astype(np.float32) @ better == 0
        if np.array_equal(now, stands):
            return stands
        stands = now


def overlaps(boxes: NDArray[np.floating[Any]], threshold: float) -> NDArray[np.bool_]:
    """Return the (N, N) pairs of boxes of an IoU above a threshold, in the plane."""
    x0, y0, x1, y1 = boxes.T
    wide = np.minimum(x1[:, None], x1) - np.maximum(x0[:, None], x0)
    high = np.minimum(y1[:, None], y1) - np.maximum(y0[:, None], y0)
    shared = np.maximum(wide, 0) * np.maximum(high, 0)
    area = (x1 - x0) * (y1 - y0)
    with np.errstate(invalid="ignore"):  # two boxes without an area share nothing of nothing
        return np.asarray(shared / (area[:, None] + area - shared) > threshold)


def proposals(
    boxes: Boxes, objectness: NDArray[np.float32], levels: Sequence[int], number: int
) -> Boxes:
    """Return one frame's regions to be classified: at most ``number``, best first.

    Parameters
    ----------
    boxes, objectness
        (P, 4) and (P,), feature maps one after the other.
    levels
        How many of them are each feature map's.
    """
    level = np.repeat(np.arange(len(levels)), levels)
    rows = np.flatnonzero(_sides(boxes) >= _SMALLEST_PROPOSAL)
    rows = rows[_standing_in_groups(boxes[rows], level[rows], PROPOSAL_IOU)]
    return boxes[rows[np.argsort(-objectness[rows], kind="stable")[:number]]]


def best_labelled(boxes: Boxes, scores: NDArray[np.float32]) -> Labelled:
    """Return what is found in one frame's regions, best first.

    Parameters
    ----------
    boxes, scores
        (N, labels, 4) and (N, labels): a box and a score a label; label 0 is background.
    """
    found = (scores > SCORE_THRESHOLD) & (_sides(boxes) >= _SMALLEST_DETECTION)
    row, label = np.nonzero(found[:, 1:])
    label = label + 1
    order = np.argsort(-scores[row, label], kind="stable")
    row, label = row[order], label[order]
    selected = _standing_in_groups(boxes[row, label].astype(np.float64), label, DETECTION_IOU)
    row, label = row[selected][:DETECTIONS_PER_FRAME], label[selected][:DETECTIONS_PER_FRAME]
    return boxes[row, label], scores[row, label], label


def on_cylinder(
    boxes: Boxes, scores: NDArray[np.float32], labels: NDArray[np.int64], margin: int
) -> Labelled:
    """Drop what the margin shows twice: the weaker of two detections of one place and class.

    No box is left that goes more than once round.
    """
    excess = np.clip(boxes[:, 2] - boxes[:, 0] - WIDTH, 0, None) / 2
    boxes = boxes + np.stack([excess, 0 * excess, -excess, 0 * excess], axis=1)
    centre = (boxes[:, 0] + boxes[:, 2]) / 2 - margin
    # A copy that is centred deep in the margin is cut by its end; the other one is whole.
    rows = np.flatnonzero((centre > -margin / 2) & (centre < WIDTH + margin / 2))
    boxes, scores, labels = boxes[rows], scores[rows], labels[rows]
    same = (box_iou(boxes, boxes) > DETECTION_IOU) & (labels[:, None] == labels)
    selected = standing(same)
    return boxes[selected], scores[selected], labels[selected]


def _standing_in_groups(
    boxes: NDArray[np.floating[Any]], group: NDArray[np.int64], threshold: float
) -> NDArray[np.bool_]:
    """Return which boxes stand among those of their own group."""
    if len(boxes) <= _FEW:
        return standing(overlaps(boxes, threshold) & (group[:, None] == group))
    selected = np.zeros(len(boxes), bool)
    for number in np.unique(group):
        rows = np.flatnonzero(group == number)
        selected[rows] = standing(overlaps(boxes[rows], threshold))
    return selected


def _sides(boxes: Boxes) -> NDArray[np.float32]:
    return np.asarray((boxes[..., 2:] - boxes[..., :2]).min(axis=-1))
