"""Choose from which score masks are shown to a person, on recordings.

Masks of a system are matched with the labels; a mask is right where its soft IoU with its partner
is 0.25 or more. The threshold is that of the best F1, over all masks and labels of the recordings.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from saiseld.decision.systems import DecisionModels, System, decide
from saiseld.evaluation.corpus import labels_of
from saiseld.evaluation.drawn_labels import draw_labels
from saiseld.evaluation.matched import MatchedRecording, match_recording
from saiseld.evaluation.rendering import render_masks
from saiseld.formats.candidates import candidate_files, read_candidates
from saiseld.pipeline.defaults import ViewingThreshold
from saiseld.runtime.files import indented_json, write_bytes
from saiseld.runtime.parallel import run_all

_RIGHT_IOU = 0.25
_THRESHOLDS = np.round(np.arange(0.02, 0.96, 0.02), 2)


def choose_viewing_threshold(
    candidates: Path,
    labels: Path,
    system: System,
    models: DecisionModels,
    cache: Path,
    *,
    jobs: int = 1,
) -> ViewingThreshold:
    """Choose the threshold on recordings.

    Parameters
    ----------
    candidates
        Folder of candidate tables.
    labels
        Folder with their labels.
    system, models
        What decides.
    cache
        Folder for drawn labels.
    jobs
        Recordings at a time.
    """
    tables = candidate_files(candidates)
    truth = labels_of(tables, labels)
    tasks = {name: (path, truth[name], system, models, cache) for name, path in tables.items()}
    matched = run_all(_matched, tasks, jobs=jobs, title="matching")
    best, score = best_threshold(list(matched.values()))
    return ViewingThreshold(best, round(score, 4), system.name, sorted(matched))


def best_threshold(recordings: Sequence[MatchedRecording]) -> tuple[float, float]:
    """Return the threshold of the best F1, the lowest of equal ones, and that F1."""
    score = np.concatenate([one.score for one in recordings])
    right = np.concatenate([one.iou >= _RIGHT_IOU for one in recordings])
    truths = sum(len(one.truth_iou) for one in recordings)
    retained = score[:, None] >= _THRESHOLDS
    hits = (retained & right[:, None]).sum(0)
    found = 2 * hits / np.maximum(retained.sum(0) + truths, 1)
    return float(_THRESHOLDS[found.argmax()]), float(found.max())


def save_viewing_threshold(chosen: ViewingThreshold, path: str | Path) -> None:
    """Write JSON, whole or not at all."""
    write_bytes(path, indented_json(chosen) + b"\n")


def _matched(
    candidates: Path, labels: Path, system: System, models: DecisionModels, cache: Path
) -> MatchedRecording:
    masks = decide(read_candidates(candidates), system, models)
    return match_recording(render_masks(masks), draw_labels(labels, cache))
