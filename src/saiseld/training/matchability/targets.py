"""What matchability learns: each candidate's best IoU with the ground truth of its frame and class.

Either of the mask it would emit, as the official scorer draws it, or of its box.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.sphere import box_iou
from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.data.label_columns import LabelColumns, label_columns
from saiseld.decision.emission import emission_points, energy_masks
from saiseld.evaluation.corpus import find_label_files, paired
from saiseld.evaluation.diagnosis import RecallCeiling, recall_ceiling
from saiseld.evaluation.matched import match_recording
from saiseld.evaluation.rendering import Drawings, RenderedMasks, render_masks
from saiseld.formats.candidates import Candidates, candidate_files, read_candidates


def best_mask_iou(
    table: Candidates,
    truth: RenderedMasks,
    emission: str,
    drawings: Drawings | None = None,
) -> NDArray[np.float64]:
    """Return (N,) the best soft IoU of each candidate's mask; 0 where it has no energy map.

    Parameters
    ----------
    table, truth
        One recording's candidates and its ground truth, drawn.
    emission
        Name of the emission whose masks are measured.
    drawings
        Where drawn masks are shared with other users of the same recording.
    """
    # Only a mask that meets ground truth of its class in its frame needs drawing.
    met = np.isin(_frame_and_class(table), _frame_and_class(truth))
    rows = np.flatnonzero(table.has_map & met)
    drawn = table.take(rows)
    points = emission_points(drawn, emission)
    masks = energy_masks(drawn.frame, rows, drawn.class_id, points, drawn.distance_cm, drawn.score)
    best = np.zeros(len(table))
    matched = match_recording(render_masks(masks, drawings), truth)
    best[rows[matched.position]] = matched.same_class_iou
    return best


def best_box_iou(table: Candidates, truth: LabelColumns) -> NDArray[np.float64]:
    """Return (N,) the best IoU of each candidate's box with a ground-truth box."""
    best = np.zeros(len(table))
    for rows, truths in _meetings(table, truth):
        best[rows] = box_iou(table.box[rows], truth.box[truths]).max(axis=1)
    return best


def proposed_box_iou(table: Candidates, truth: LabelColumns) -> NDArray[np.float64]:
    """Return (G,) the best IoU of each ground-truth box with any candidate of its class.

    The share that reaches an IoU is the recall if every proposed box were accepted: a ceiling that
    no decision can pass (KIST2026, Sec. 3).
    """
    best = np.zeros(len(truth.frame))
    for rows, truths in _meetings(table, truth):
        best[truths] = box_iou(table.box[rows], truth.box[truths]).max(axis=0)
    return best


def proposed_recall(
    candidates: Path, labels: Path, cache: Path, *, allow_missing: bool = False
) -> RecallCeiling:
    """Return the recall if every proposed box were accepted.

    Parameters
    ----------
    candidates, labels
        Folders of candidate tables and of labels.
    cache
        Folder where decoded labels are kept.
    allow_missing
        Leave out recordings that lack either.
    """
    tables, truths = candidate_files(candidates), find_label_files(labels)
    names, _ = paired(str(candidates), tables, truths, allow_missing=allow_missing)
    best, class_id = [], []
    for name in names:
        truth = label_columns(truths[name], cache)
        best.append(proposed_box_iou(read_candidates(tables[name]).of_branch("detector"), truth))
        class_id.append(truth.class_id)
    return recall_ceiling(np.concatenate(best), np.concatenate(class_id))


def _meetings(
    table: Candidates, truth: LabelColumns
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield (rows, truths) of each frame and class that has both."""
    mine, theirs = _frame_and_class(table), _frame_and_class(truth)
    for group in np.intersect1d(mine, theirs):
        yield np.flatnonzero(mine == group), np.flatnonzero(theirs == group)


def _frame_and_class(masks: Candidates | RenderedMasks | LabelColumns) -> NDArray[np.int64]:
    return masks.frame.astype(np.int64) * NUM_CLASSES + masks.class_id
