"""The detector without torch: three ONNX graphs, and what is decided between them in numpy.

``rpn`` turns pictures and latents into feature maps and boxes to look at, ``box_head`` those
that stand into scores and boxes of every class, ``energy_head`` detections into energy maps and
distances. `saiseld.detector.export` writes them, and INT8 quantised ones that look at fewer regions
and sample each more sparsely: their scores differ a little (docs/performance.md#int8).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.sphere import DIRECTIONS, Projection, projection_table
from saiseld.conventions.taxonomy import NUM_CLASSES, class_of_label
from saiseld.data.video import Scaling
from saiseld.detector.detections import (
    Boxes,
    Found,
    Keep,
    Labelled,
    best_labelled,
    on_cylinder,
    proposals,
)
from saiseld.formats.candidates import MAP_SIZE
from saiseld.formats.graph import FAST, Graph

GRAPHS = ("rpn", "box_head", "energy_head")
_OUTPUTS = (
    ("n b 4", "n b", "* n c h w"),
    (f"r {NUM_CLASSES + 1}", f"r {NUM_CLASSES + 1} 4"),
    (f"r {MAP_SIZE} {MAP_SIZE}", "r"),
)

PRECISE = tuple(
    f"model.{layer}.weight"
    for layer in (
        "det.rpn.head.cls_logits",
        "det.rpn.head.bbox_pred",
        "det.roi_heads.box_head.fc7",
        "det.roi_heads.box_predictor.cls_score",
        "det.roi_heads.box_predictor.bbox_pred",
        "distance_head.fc.0",
        "distance_head.fc.3",
        "distance_head.fc.6",
    )
)
"""Kernels of small layers that stay in floats: boxes, scores, maps and distances come from them."""

Canvas = Callable[[NDArray[np.float32]], NDArray[np.float32]]

_CANONICAL_SIDE, _CANONICAL_LEVEL = 224, 4


_Count = Annotated[int, msgspec.Meta(ge=0, le=100_000)]


class _Header(msgspec.Struct):
    """What `saiseld.detector.export` says of a detector."""

    size: str
    projection: Projection
    context: Annotated[int, msgspec.Meta(ge=0, le=100)]
    acoustic_stride: Literal[1, 2, 3, 4, 5, 6, 9, 10, 12, 15, 18, 20]
    margin: Annotated[int, msgspec.Meta(ge=0, le=360)]
    proposed: list[_Count]
    proposals: _Count
    pooled: Annotated[list[Annotated[int, msgspec.Meta(ge=0, le=16)]], msgspec.Meta(min_length=1)]
    frame_scaling: Scaling = "bicubic"


class GraphDetector:
    """A detector of the graphs beside a checkpoint, on one thread of the CPU.

    Parameters
    ----------
    weights
        The checkpoint.
    fast
        Whether it is the fast graphs.

    Raises
    ------
    CheckpointError
        If a graph is not there, cannot be read, or was made for another checkpoint.
    """

    def __init__(self, weights: str | Path, *, fast: bool = False) -> None:
        self.rpn, self.box_head, self.energy_head = (
            Graph(weights, name + FAST * fast, outputs)
            for name, outputs in zip(GRAPHS, _OUTPUTS, strict=True)
        )
        header = self.rpn.header_as(_Header)
        self.size: str = header.size
        self.projection: Projection = header.projection
        self.context: int = header.context
        self.frame_scaling: Scaling = header.frame_scaling
        self._canvas = canvas_of_latent(self.projection, header.acoustic_stride)
        self._margin: int = header.margin
        self._proposed: list[int] = header.proposed
        self._proposals: int = header.proposals
        self.pooled: list[int] = header.pooled

    def inputs(
        self, rgb: NDArray[np.floating[Any] | np.uint8], latent: NDArray[np.float32]
    ) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Return what ``rpn`` is given of pictures and latents, as `find` takes them."""
        if rgb.dtype == np.uint8:
            rgb = rgb / np.float32(255)
        return rgb, self._canvas(latent)

    def find(
        self,
        rgb: NDArray[np.floating[Any] | np.uint8],
        latent: NDArray[np.float32],
        *,
        keep: Keep | None = None,
    ) -> list[Found]:
        """Return the detections of each frame: a `saiseld.detector.detections.FrameDetector`."""
        boxes, objectness, *features = self.rpn(*self.inputs(rgb, latent), n=len(rgb))
        regions = [
            proposals(*frame, levels=self._proposed, number=self._proposals)
            for frame in zip(boxes, objectness, strict=True)
        ]
        found = [
            on_cylinder(*best_labelled(box, score), margin=self._margin)
            for score, box in self.of_regions(self.box_head, features, regions)
        ]
        measured = [_measured_rows(frame, keep) for frame in found]
        boxes_of = [boxes[rows] for (boxes, _, _), rows in zip(found, measured, strict=True)]
        values = self.of_regions(self.energy_head, features, boxes_of)
        return [
            self._found(frame, rows, *energies)
            for frame, rows, energies in zip(found, measured, values, strict=True)
        ]

    def of_regions(
        self, graph: Graph, features: Sequence[NDArray[np.float32]], regions: Sequence[Boxes]
    ) -> list[list[NDArray[np.float32]]]:
        """Return what a graph says of each frame's regions.

        Frame by frame: how sums of products are rounded depends on how many there are.
        """
        return [
            self._of_frame(graph, [level[frame : frame + 1] for level in features], boxes)
            for frame, boxes in enumerate(regions)
        ]

    def _of_frame(
        self, graph: Graph, features: Sequence[NDArray[np.float32]], boxes: Boxes
    ) -> list[NDArray[np.float32]]:
        rows = np.column_stack([np.zeros(len(boxes), np.float32), boxes])
        level = pooled_level(boxes, self.pooled)
        order = np.argsort(level, kind="stable")
        parts = [rows[order][level[order] == number] for number in range(len(features))]
        back = np.argsort(order)
        return [output[back] for output in graph(*features, *parts, r=len(rows))]

    def _found(
        self,
        frame: Labelled,
        measured: NDArray[np.bool_],
        maps: NDArray[np.float32],
        distances: NDArray[np.float32],
    ) -> Found:
        boxes, scores, labels = frame
        energy_maps = np.zeros((len(boxes), MAP_SIZE, MAP_SIZE), np.float32)
        every_distance = np.full(len(boxes), np.nan, np.float32)
        energy_maps[measured], every_distance[measured] = maps, distances
        return {
            "boxes": boxes - np.array([self._margin, 0, self._margin, 0], np.float32),
            "labels": labels,
            "scores": scores,
            "measured": measured,
            "energy_maps": energy_maps,
            "distances": every_distance,
        }


def canvas_of_latent(projection: Projection, stride: int) -> Canvas:
    """Return what projects latents (B, bands, 484) to canvases (B, bands, 180 / s, 360 / s).

    A cell is the mean over its stride x stride pixels.
    """
    from scipy.sparse import csr_array

    table = projection_table(projection)
    height, width = (side // stride for side in table.shape)
    cells = np.arange(height * width).reshape(height, width)
    cell = cells.repeat(stride, axis=0).repeat(stride, axis=1).ravel()
    share = np.full(cell.size, 1 / stride**2, np.float32)
    mean = csr_array((share, (cell, table.ravel())), shape=(cells.size, DIRECTIONS))

    def project(latent: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = mean @ latent.reshape(-1, DIRECTIONS).T
        return np.ascontiguousarray(rows.T).reshape(*latent.shape[:2], height, width)

    return project


def pooled_level(boxes: Boxes, exponents: Sequence[int]) -> NDArray[np.int64]:
    """Return the feature map that each (x0, y0, x1, y1) box is pooled from, by its size (FPN).

    Parameters
    ----------
    exponents
        Binary logarithms of the maps' strides, from fine to coarse, in a row.
    """
    side = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    level = np.floor(_CANONICAL_LEVEL + np.log2(side / _CANONICAL_SIDE) + np.float32(1e-6))
    return np.clip(level, exponents[0], exponents[-1]).astype(np.int64) - exponents[0]


def _measured_rows(frame: Labelled, keep: Keep | None) -> NDArray[np.bool_]:
    _, scores, labels = frame
    if keep is None or len(scores) == 0:
        return np.ones(len(scores), bool)
    return keep(scores, class_of_label(labels))
