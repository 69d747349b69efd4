"""The public baseline's rule, Table 1 row 1: threshold, suppression, tracker, sparse emission.

Score of 0.35 or more, per-class suppression at IoU 0.30, at most 3 a class and frame. Tracks are
matched by the Hungarian method on IoU within a class; an unmatched track coasts for up to 5 frames
with its last box and map, its score falling by 0.9 a frame; a track is exported only if it was
matched in 2 frames or more. What is exported, in which order and with which decimals is the public
baseline's, number for number away from the seam: there its boxes end, ours go on. It works with
energy maps and distances as wide as it is given them: as the detector made them where nothing was
stored between (`saiseld.detect`, then `saiseld.emit`); a stored table has rounded them. Source:
Baseline2026.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from saiseld.conventions.sphere import box_iou
from saiseld.decision.emission import energy_masks, sparse_points
from saiseld.decision.selection import BASELINE_THRESHOLD, suppress
from saiseld.formats.annotation import EnergyMask
from saiseld.formats.candidates import Candidates

NMS_IOU = 0.30
CLASS_CAP = 3
MATCH_IOU = 0.3
MAX_COAST = 5
COAST_DECAY = 0.9
MIN_HITS = 2
SCORE_DECIMALS = 6


@dataclass(slots=True)
class _Track:
    track_id: int
    row: int
    score: float
    hits: int = 1

    def found(self, row: int, score: float) -> None:
        """Go on from a detection."""
        self.row, self.score = row, score
        self.hits += 1


def baseline_masks(table: Candidates) -> list[EnergyMask]:
    """Return what the public baseline's rule exports from a candidate table, frame by frame."""
    # Hits are counted over the whole recording, so the list must be complete before it is filtered.
    visible = [
        (frame, track.track_id, row, round(score, SCORE_DECIMALS))
        for frame, track, row, score in list(_follow(table, _admitted))
        if track.hits >= MIN_HITS
    ]
    frame, track_id, row, score = zip(*visible, strict=True) if visible else [()] * 4
    rows = np.array(row, np.int64)
    return energy_masks(
        frame,
        track_id,
        table.class_id[rows],
        sparse_points(table.box[rows], table.energy_map[rows]),
        table.distance_cm[rows],
        score,
    )


def tracks(table: Candidates) -> NDArray[np.int64]:
    """Return (N,) the track each detection belongs to, linked as the baseline's tracker does.

    Every row takes part; tracks are numbered from 0 in order of their first detection.
    """
    track_id = np.empty(len(table), np.int64)
    for frame, track, row, _ in _follow(table, lambda _, rows: rows.tolist()):
        if table.frame[row] == frame:
            track_id[row] = track.track_id
    return track_id


def track_lengths(table: Candidates) -> NDArray[np.int64]:
    """Return (N,) the number of detections in each detection's track."""
    track_id = tracks(table)
    return np.asarray(np.bincount(track_id)[track_id])


def _follow(
    table: Candidates, admitted: Callable[[Candidates, NDArray[np.int64]], list[int]]
) -> Iterator[tuple[int, _Track, int, float]]:
    """Yield (frame, track, row shown, score) of every live track of every frame.

    Detections first, in the order in which they are admitted, then coasting tracks, oldest first.
    Hits are still growing.
    """
    live: list[_Track] = []
    track_ids = count()
    bounds = np.searchsorted(table.frame, np.arange(table.frames + 1))
    for frame in range(table.frames):
        rows = admitted(table, np.arange(bounds[frame], bounds[frame + 1]))
        pairs = _matches(table, np.array([track.row for track in live], np.int64), rows)
        score = dict(zip(rows, table.score[rows].tolist(), strict=True))
        for index, row in pairs.items():
            live[index].found(row, score[row])
        live += [
            _Track(next(track_ids), row, score[row]) for row in rows if row not in pairs.values()
        ]
        live = [track for track in live if frame - table.frame[track.row] <= MAX_COAST]
        of_row = {track.row: track for track in live}
        yield from ((frame, of_row[row], row, score[row]) for row in rows)
        for track in live:
            if track.row not in score:
                track.score *= COAST_DECAY
                yield frame, track, track.row, track.score


def _admitted(table: Candidates, rows: NDArray[np.int64]) -> list[int]:
    rows = rows[table.score[rows] >= BASELINE_THRESHOLD]
    selected: list[int] = []
    for class_id in np.unique(table.class_id[rows]):
        same = rows[table.class_id[rows] == class_id]
        selected += same[suppress(table.box[same], table.score[same], NMS_IOU)[:CLASS_CAP]].tolist()
    return selected


def _matches(table: Candidates, tracked: NDArray[np.int64], rows: list[int]) -> dict[int, int]:
    """Return track index to row for the accepted pairs."""
    # Pairs of two classes count as disjoint, which makes one assignment equal to one per class.
    same_class = table.class_id[tracked][:, None] == table.class_id[rows][None, :]
    iou = box_iou(table.box[tracked], table.box[rows]) * same_class
    pairs = zip(*linear_sum_assignment(1 - iou), strict=True)
    return {int(i): rows[j] for i, j in pairs if iou[i, j] >= MATCH_IOU}
