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

from saiseld.data.label_columns import label_columns
from saiseld.decision.folds import room_of
from saiseld.decision.matchability import Examples, examples, joined
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
from saiseld.evaluation.rendering import Drawings, render_masks
from saiseld.formats.candidates import read_candidates
from saiseld.runtime.parallel import run_all
from saiseld.training.matchability.targets import best_box_iou, best_mask_iou, proposed_box_iou

Target = Literal["soft_iou", "box_iou"]


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What one recording's candidates turn out to be; E examples.

    Parameters
    ----------
    recording, room, frames
        Its name, room and length.
    matched
        The masks of each system, by name, ranked by raw score.
    example_of
        The example that each mask was made from, by system; the public baseline has none, its
        tracker's masks being no single detection's.
    known
        Its examples for matchability.
    frame, track
        (E,) frame and track of each example.
    truth_class_id, proposed_iou
        (G,) class of each ground truth, best box IoU with any candidate of that class.
    """

    recording: str
    room: str
    frames: int
    matched: Mapping[str, MatchedRecording]
    example_of: Mapping[str, NDArray[np.int64]]
    known: Examples
    frame: NDArray[np.int64]
    track: NDArray[np.int64]
    truth_class_id: NDArray[np.int64]
    proposed_iou: NDArray[np.float64]

    def ranked(self, system: str, probability: NDArray[np.float64]) -> MatchedRecording:
        """Return a system's masks ranked by the probabilities (E,) of the examples."""
        matched = self.matched[system]
        return matched.rescored(probability[self.example_of[system][matched.position]])


def measure(
    candidates: Path,
    labels: Path,
    systems: Sequence[System],
    cache: Path,
    *,
    target: Target = "soft_iou",
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
    target
        What an example has to reach: soft IoU of the ``grid3`` mask, or IoU of the box.
    """
    table = read_candidates(candidates)
    truth, boxes = draw_labels(labels, cache), label_columns(labels, cache)
    drawings: Drawings = {}
    best_iou = (
        best_mask_iou(table, truth, "grid3", drawings)
        if target == "soft_iou"
        else best_box_iou(table, boxes)
    )
    mapped = table.take(table.has_map)
    example = np.cumsum(table.has_map) - 1
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
        example_of={
            system.name: example[selected(table, system)]
            for system in systems
            if system.cap is not None
        },
        known=examples(table, best_iou),
        frame=mapped.frame.astype(np.int64),
        track=tracks(mapped),
        truth_class_id=boxes.class_id.astype(np.int64),
        proposed_iou=proposed_box_iou(table, boxes),
    )


def measure_all(
    candidates: Mapping[str, Path],
    labels: Mapping[str, Path],
    systems: Sequence[System],
    cache: Path,
    *,
    target: Target = "soft_iou",
    jobs: int = 1,
) -> list[Measured]:
    """Measure the recordings that have labels, ``jobs`` at a time; see `measure`."""
    tasks = {name: (candidates[name], path, tuple(systems), cache) for name, path in labels.items()}
    function = partial(measure, target=target)
    return list(run_all(function, tasks, jobs=jobs, title="measuring").values())


def all_examples(recordings: Sequence[Measured]) -> Examples:
    """Return the examples of all recordings as one."""
    return joined([recording.known for recording in recordings])


def per_recording(
    recordings: Sequence[Measured], values: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """Split what was computed over `all_examples` into recordings again."""
    ends = np.cumsum([len(recording.frame) for recording in recordings])
    return np.split(values, ends[:-1])


def smoothed(
    recordings: Sequence[Measured], probability: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return `all_examples`' probabilities weighed with temporal evidence, cross-fitted."""
    known = all_examples(recordings)
    return cross_fit_smoother(_evidence(recordings, probability), known.matched, known.room)


def fit_temporal(recordings: Sequence[Measured], probability: NDArray[np.float64]) -> Smoother:
    """Fit a smoother on the cross-fitted probabilities of `all_examples`."""
    return fit_smoother(_evidence(recordings, probability), all_examples(recordings).matched)


def _evidence(
    recordings: Sequence[Measured], probability: NDArray[np.float64]
) -> NDArray[np.float64]:
    parts = zip(recordings, per_recording(recordings, probability), strict=True)
    return np.concatenate([evidence(values, r.frame, r.track) for r, values in parts])
