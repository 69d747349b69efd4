"""The 16 features that tell a believable detection from another (KIST2026, Sec. 2.4).

They are read from the candidate table alone, so they are the same with and without labels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.sphere import box_iou
from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.formats.candidates import MAP_SIZE, Candidates

FEATURE_NAMES = (
    "raw score",
    "box area",
    "elevation",
    "aspect ratio",
    "detections in frame",
    "detections in frame and class",
    "map maximum",
    "map mean",
    "map deviation",
    "map prominence",
    "map top-10% share",
    "map entropy",
    "peak offset",
    "NMS dominance",
    "closure",
    "diffuseness",
)

DOMINANCE_IOU = 0.3
"""Same-class detections that overlap at least this much compete."""

_TOP_CELLS = round(0.10 * MAP_SIZE**2)


def detection_features(table: Candidates) -> NDArray[np.float32]:
    """Return the (N, 16) features of a table's rows, in the order of ``FEATURE_NAMES``.

    Parameters
    ----------
    table
        Counts and dominance see every row; map features are 0 where a row has no map.

    Notes
    -----
    The frame gates closure and diffuseness are 0, as KIST2026 has them at inference, whatever the
    table says: nothing that they may carry of the ground truth reaches a prediction.
    """
    x0, y0, x1, y1 = table.box.T.astype(float)
    width, height = x1 - x0, y1 - y0
    frame_and_class = table.frame.astype(np.int64) * NUM_CLASSES + table.class_id
    columns = [
        table.score,
        width * height,
        90 - (y0 + y1) / 2,
        np.divide(width, height, out=np.zeros_like(width), where=height > 0),
        _group_size(table.frame),
        _group_size(frame_and_class),
        *_map_features(table).T,
        dominance(table),
        np.zeros(len(table)),
        np.zeros(len(table)),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def dominance(table: Candidates) -> NDArray[np.float64]:
    """Return each raw score over the largest among overlapping detections of its frame and class.

    1 where no such detection scores higher; itself included, so never above 1.
    """
    strongest = np.empty(len(table))
    starts = np.flatnonzero(np.diff(table.frame)) + 1
    for rows in np.split(np.arange(len(table)), starts):
        class_id, score, box = table.class_id[rows], table.score[rows], table.box[rows]
        rival = (box_iou(box, box) >= DOMINANCE_IOU) & (class_id[:, None] == class_id)
        np.fill_diagonal(rival, True)  # a box without area overlaps nothing, not even itself
        strongest[rows] = np.where(rival, score, 0).max(axis=1, initial=0)
    return np.divide(table.score, strongest, out=np.ones(len(table)), where=strongest > 0)


def _group_size(group: NDArray[np.integer]) -> NDArray[np.int64]:
    _, inverse, counts = np.unique(group, return_inverse=True, return_counts=True)
    return np.asarray(counts[inverse])


def _map_features(table: Candidates) -> NDArray[np.float64]:
    """Return (N, 7): maximum, mean, deviation, prominence, top share, entropy, peak offset."""
    found = np.zeros((len(table), 7))
    # As narrow as a file keeps them, wherever the table comes from.
    stored = table.energy_map[table.has_map].astype(np.float16, copy=False)
    cells = stored.reshape(-1, MAP_SIZE**2).astype(np.float32)
    if not len(cells):
        return found
    maximum, total = cells.max(axis=1), cells.sum(axis=1)
    share = np.divide(cells, total[:, None], out=np.zeros_like(cells), where=total[:, None] > 0)
    top = np.partition(share, -_TOP_CELLS, axis=1)[:, -_TOP_CELLS:].sum(axis=1)
    entropy = -(share * np.log(np.where(share > 0, share, 1))).sum(axis=1) / np.log(MAP_SIZE**2)
    row, column = np.divmod(cells.argmax(axis=1), MAP_SIZE)
    centre = (MAP_SIZE - 1) / 2
    found[table.has_map] = np.stack(
        [
            maximum,
            cells.mean(axis=1),
            cells.std(axis=1),
            maximum - np.median(cells, axis=1),
            top,
            entropy,
            np.hypot(row - centre, column - centre),
        ],
        axis=1,
    )
    return found
