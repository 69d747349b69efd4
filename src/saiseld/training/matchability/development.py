"""Development recordings measured once: what every comparison of decisions reads.

Drawing and matching cost minutes and do not depend on scores, so they are done here, a recording at
a time; ranking, cross-fitting and averaging come after and cost seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from saiseld.data.label_columns import LabelColumns, label_columns
from saiseld.decision.folds import room_of
from saiseld.decision.matchability import Examples, Pool, example_rows, examples, joined
from saiseld.decision.smoothing import (
    Smoother,
    cross_fit_smoother,
    evidence,
    fit_smoother,
)
from saiseld.decision.systems import System, decide, selected
from saiseld.decision.tracking import tracks
from saiseld.evaluation.drawn_labels import draw_labels
from saiseld.evaluation.matched import MatchedRecording, match_recording
from saiseld.evaluation.rendering import Drawings, RenderedMasks, render_masks
from saiseld.formats.candidates import Candidates, read_candidates
from saiseld.runtime.errors import DataError
from saiseld.runtime.parallel import Workers, run_all
from saiseld.training.matchability.targets import best_box_iou, best_mask_iou, proposed_box_iou

Target = Literal["soft_iou", "box_iou"]


@dataclass(frozen=True, slots=True)
class Reading:
    """What "a detection whose best IoU with ground truth is 0.25" is taken to say.

    Parameters
    ----------
    pool
        Which detections are examples.
    target
        What an example has to reach: soft IoU of the ``grid3`` mask, or IoU of the box.
    """

    pool: Pool = "emittable"
    target: Target = "soft_iou"

    def __str__(self) -> str:
        pool = "all detections" if self.pool == "all" else "emittable detections"
        return f"{pool}, {'mask' if self.target == 'soft_iou' else 'box'} IoU"


EMITTED = Reading()
"""What is emitted, as it is scored: what the package's own models learn."""

KIST2026 = Reading("all", "box_iou")
"""All low-threshold detections by their boxes: "only a few percent are matchable" (Sec. 2.4)."""


@dataclass(frozen=True, slots=True, eq=False)
class RatedRows:
    """A recording's examples under one reading; E rows.

    Parameters
    ----------
    examples
        What they are and whether they match.
    row
        (E,) their rows in the candidate table, rising.
    """

    examples: Examples
    row: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What one recording's candidates turn out to be.

    Parameters
    ----------
    recording, room, frames
        Its name, room and length.
    matched
        The masks of each system, by name, ranked by raw score.
    row_of
        The row of the candidate table that each mask was made from, by system; the public baseline
        has none, its tracker's masks being no single detection's.
    by_reading
        Its examples for matchability, by reading.
    frame, track
        (M,) frame and track of each emittable detection: the examples of that pool.
    truth_class_id, proposed_iou
        (G,) class of each ground truth, best box IoU with any candidate of that class.
    """

    recording: str
    room: str
    frames: int
    matched: Mapping[str, MatchedRecording]
    row_of: Mapping[str, NDArray[np.int64]]
    by_reading: Mapping[Reading, RatedRows]
    frame: NDArray[np.int64]
    track: NDArray[np.int64]
    truth_class_id: NDArray[np.int64]
    proposed_iou: NDArray[np.float64]

    def ranked(
        self, system: str, probability: NDArray[np.float64], reading: Reading
    ) -> MatchedRecording:
        """Return a system's masks ranked by the probabilities (E,) of a reading's examples."""
        matched = self.matched[system]
        rows = self.row_of[system][matched.position]
        return matched.rescored(probability[np.searchsorted(self.by_reading[reading].row, rows)])


def measure(
    candidates: Path,
    labels: Path,
    systems: Sequence[System],
    cache: Path,
    *,
    readings: Sequence[Reading] = (EMITTED,),
) -> Measured:
    """Draw, match and describe the candidates of one recording.

    Parameters
    ----------
    candidates, labels
        The recording's candidate table and official label JSON.
    systems
        What to match. Systems that keep and emit the same masks need be given once.
    cache
        Folder where drawn and decoded labels are kept.
    readings
        How matchability is read.
    """
    table = read_candidates(candidates).of_branch("detector")
    truth, boxes = draw_labels(labels, cache), label_columns(labels, cache)
    drawings: Drawings = {}
    able = table.take(example_rows(table, "emittable"))
    return Measured(
        recording=table.recording,
        room=room_of(table.recording),
        frames=table.frames,
        matched={
            system.name: match_recording(
                render_masks(decide(table, replace(system, ranking="raw")), drawings), truth
            )
            for system in systems
        },
        row_of={
            system.name: selected(table, system)
            for system in systems
            if system.max_per_class is not None
        },
        by_reading={
            reading: _rated(table, truth, boxes, reading, drawings) for reading in readings
        },
        frame=able.frame.astype(np.int64),
        track=tracks(able),
        truth_class_id=boxes.class_id.astype(np.int64),
        proposed_iou=proposed_box_iou(table, boxes),
    )


def _rated(
    table: Candidates,
    truth: RenderedMasks,
    boxes: LabelColumns,
    reading: Reading,
    drawings: Drawings,
) -> RatedRows:
    rows = example_rows(table, reading.pool)
    if reading.target == "box_iou":
        best_iou = best_box_iou(table, boxes)
    else:
        best_iou = np.zeros(len(table))
        best_iou[rows] = best_mask_iou(table.take(rows), truth, "grid3", drawings)
    return RatedRows(examples(table, best_iou, rows), rows)


def measure_all(
    candidates: Mapping[str, Path],
    labels: Mapping[str, Path],
    systems: Sequence[System],
    cache: Path,
    *,
    readings: Sequence[Reading] = (EMITTED,),
    jobs: Workers = 1,
) -> list[Measured]:
    """Measure the recordings that have labels, ``jobs`` at a time; see `measure`."""
    tasks = {name: (candidates[name], path, tuple(systems), cache) for name, path in labels.items()}
    function = partial(measure, readings=tuple(readings))
    return list(run_all(function, tasks, jobs=jobs, title="measuring").values())


def all_examples(recordings: Sequence[Measured], reading: Reading = EMITTED) -> Examples:
    """Return the examples of all recordings as one."""
    return joined([recording.by_reading[reading].examples for recording in recordings])


def per_recording(
    recordings: Sequence[Measured], values: NDArray[np.float64], reading: Reading = EMITTED
) -> list[NDArray[np.float64]]:
    """Split what was computed over `all_examples` into recordings again."""
    ends = np.cumsum([len(recording.by_reading[reading].row) for recording in recordings])
    return np.split(values, ends[:-1])


def smoothed(
    recordings: Sequence[Measured], probability: NDArray[np.float64], reading: Reading = EMITTED
) -> NDArray[np.float64]:
    """Return `all_examples`' probabilities weighed with temporal evidence, cross-fitted."""
    examples = all_examples(recordings, reading)
    return cross_fit_smoother(
        _evidence(recordings, probability, reading), examples.matched, examples.room
    )


def fit_temporal(
    recordings: Sequence[Measured], probability: NDArray[np.float64], reading: Reading = EMITTED
) -> Smoother:
    """Fit a smoother on the cross-fitted probabilities of `all_examples`."""
    evidence_of_all = _evidence(recordings, probability, reading)
    return fit_smoother(evidence_of_all, all_examples(recordings, reading).matched)


def _evidence(
    recordings: Sequence[Measured], probability: NDArray[np.float64], reading: Reading
) -> NDArray[np.float64]:
    if reading.pool != "emittable":
        raise DataError("temporal evidence", expected="emittable detections", found=str(reading))
    parts = zip(recordings, per_recording(recordings, probability, reading), strict=True)
    return np.concatenate([evidence(values, r.frame, r.track) for r, values in parts])
