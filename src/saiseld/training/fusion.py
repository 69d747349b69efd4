"""What eye and ear are worth: logistic models fitted in rooms kept for it.

What a candidate is worth is the share of the official thresholds (soft IoU 0.25, 0.5, 0.75) that
its mask reaches, matched one to one with the ground truth of its frame and class. Every recording
is also shown with what the eye makes of another, at `CONTRADICTED` of the weight, so that the model
learns how far to trust a picture that says something else than the sound.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.decision.emission import emission_points, energy_masks
from saiseld.decision.folds import room_folds, room_of
from saiseld.decision.fusion import Fusion, Sense, Worth, balanced, evidence_of, meet, merged
from saiseld.evaluation.corpus import labels_of
from saiseld.evaluation.matched import match_recording
from saiseld.evaluation.rendering import Drawings, RenderedMasks, render_masks
from saiseld.evaluation.scores import THRESHOLDS
from saiseld.formats.annotation import read_annotations
from saiseld.formats.candidates import Candidates, candidate_files, read_candidates
from saiseld.runtime.errors import DataError
from saiseld.runtime.parallel import run_all

_log = logging.getLogger(__name__)

CONTRADICTED = 1.0
"""Weight of a recording with what the eye makes of another: with less, such a picture costs more
than one that is right gains (chosen in the rooms that the model is fitted in)."""

TOWARD_EYE = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the way from the ear's direction to the eye's that are tried."""


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """Candidates of one recording whose worth is known; R rows.

    Parameters
    ----------
    evidence
        (R, F) what a model weighs.
    worth
        (R,) in [0, 1].
    class_id
        (R,).
    """

    evidence: NDArray[np.float64]
    worth: NDArray[np.float64]
    class_id: NDArray[np.int8]


def known(
    eye: Candidates | None,
    ear: Candidates | None,
    truth: RenderedMasks,
    toward_eye: float,
    emission: str,
    drawings: Drawings,
) -> Known:
    """Return what the candidates of a recording are worth."""
    sense: Sense = "ear" if eye is None else "eye" if ear is None else "both"
    eye = None if eye is None else balanced(eye)
    found = meet(eye, ear)
    table = merged(found, eye, ear, toward_eye)
    # What names a class that does not sound in a frame is worth nothing, however it is drawn.
    sounding = NUM_CLASSES * truth.frame + truth.class_id
    rows = np.flatnonzero(np.isin(NUM_CLASSES * table.frame + table.class_id, sounding))
    drawn = table.take(rows)
    points = emission_points(drawn, emission)
    masks = energy_masks(drawn.frame, rows, drawn.class_id, points, drawn.distance_cm, drawn.score)
    matched = match_recording(render_masks(masks, drawings), truth)
    worth = np.zeros(len(table))
    right = np.mean([matched.iou >= least for least in THRESHOLDS], axis=0)
    worth[rows[matched.position]] = right
    return Known(evidence_of(found, sense), worth, found.class_id)


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """One recording, measured.

    Parameters
    ----------
    room
        Its room.
    both, contradicted, ear, eye
        With both senses, with the eye's candidates of another recording, with one sense alone.
    spots
        Total worth of spots in the directions of both, by how far these are moved towards the eye.
    """

    room: str
    both: Known | None
    contradicted: Known | None
    ear: Known
    eye: Known | None
    spots: dict[float, float]


def measure(
    eye: Path, other: Path | None, ear: Path, labels: Path, emission: str, every: int
) -> Lesson:
    """Measure what the candidates of a recording are worth, on every so many-th frame."""
    heard = _some(read_candidates(ear).of_branch("audio"), every)
    truth = render_masks(m for m in read_annotations(labels) if m.frame % every == 0)
    drawings: Drawings = {}
    room = room_of(heard.recording)
    alone = known(None, heard, truth, 0.0, emission, drawings)
    table = read_candidates(eye)
    if "detector" not in table.branches:
        return Lesson(room, None, None, alone, None, {})
    seen = _some(table.of_branch("detector"), every)
    contradicted = None
    if other is not None:
        wrong = _some(read_candidates(other).of_branch("detector"), every)
        wrong = wrong.take(wrong.frame < heard.frames)
        wrong = replace(wrong, recording=heard.recording, frames=heard.frames)
        contradicted = known(wrong, heard, truth, 0.0, emission, drawings)
    return Lesson(
        room,
        known(seen, heard, truth, 0.0, emission, drawings),
        contradicted,
        alone,
        known(seen, None, truth, 0.0, emission, drawings),
        {
            share: float(known(seen, heard, truth, share, "spot", drawings).worth.sum())
            for share in TOWARD_EYE
        },
    )


def _some(table: Candidates, every: int) -> Candidates:
    return table.take(table.frame % every == 0)


def measure_all(
    eye: Path, ear: Path, labels: Path, emission: str, *, every: int = 1, jobs: int = 1
) -> dict[str, Lesson]:
    """Measure the recordings that both folders of candidates hold.

    Raises
    ------
    DataError
        If they have none in common, or none of another room.
    """
    eyes, ears = candidate_files(eye), candidate_files(ear)
    common = sorted(eyes.keys() & ears.keys())
    if not common:
        raise DataError(
            eye, expected=f"candidates of recordings that are also in {ear}", found="none"
        )
    if len({room_of(name) for name in common}) < 2:
        _log.warning(
            "%s: one room only: nothing is learnt of pictures that contradict the sound", eye
        )
    truth = labels_of({name: eyes[name] for name in common}, labels)
    tasks = {
        name: (
            eyes[name],
            None if (other := _elsewhere(common, name)) is None else eyes[other],
            ears[name],
            truth[name],
            emission,
            every,
        )
        for name in common
    }
    return run_all(measure, tasks, jobs=jobs, title="measuring")


def _elsewhere(names: Sequence[str], name: str) -> str | None:
    """Return the next recording of another room, None if there is none."""
    after = [*names[names.index(name) :], *names]
    return next((other for other in after if room_of(other) != room_of(name)), None)


def fit(lessons: dict[str, Lesson]) -> Fusion:
    """Fit the models of all senses, and how far a direction goes towards the eye."""
    every = list(lessons.values())
    ear = _model([one.ear for one in every])
    rooms = sorted({one.room for one in every})
    seeing = [one.eye for one in every if one.eye is not None]
    if not seeing:
        return Fusion(None, ear, None, 0.0, rooms, sorted(lessons))
    toward_eye = max(TOWARD_EYE, key=lambda share: sum(one.spots.get(share, 0) for one in every))
    agreeing = [one.both for one in every if one.both is not None]
    against = [one.contradicted for one in every if one.contradicted is not None]
    weight = [np.ones(len(k.worth)) for k in agreeing]
    weight += [np.full(len(k.worth), CONTRADICTED) for k in against]
    return Fusion(
        both=_model([*agreeing, *against], np.concatenate(weight)),
        ear=ear,
        eye=_model(seeing),
        toward_eye=toward_eye,
        rooms=rooms,
        recordings=sorted(lessons),
    )


def _model(parts: Sequence[Known], weight: NDArray[np.float64] | None = None) -> Worth:
    evidence = np.concatenate([part.evidence for part in parts])
    worth = np.concatenate([part.worth for part in parts])
    return Worth.fit(evidence, worth, np.ones(len(worth)) if weight is None else weight)


def assess(lessons: dict[str, Lesson]) -> dict[str, float]:
    """Return the macro average precision of what is worth anything, in rooms not fitted on.

    By the ear's own score, by the ear's model, by the eye's, by both, and by both with what the eye
    makes of another recording.
    """
    rooms = np.array([one.room for one in lessons.values()])
    if len(np.unique(rooms)) < 2:
        return {}
    parts: dict[str, list[tuple[Known, NDArray[np.float64]]]] = {}
    every = list(lessons.items())
    for held_out in room_folds(rooms):
        fusion = fit(
            {name: one for (name, one), out in zip(every, held_out, strict=True) if not out}
        )
        for index in np.flatnonzero(held_out):
            one = every[index][1]
            parts.setdefault("ear's score", []).append((one.ear, one.ear.evidence[:, 0]))
            for name, known_part, model in (
                ("ear", one.ear, fusion.ear),
                ("eye", one.eye, fusion.eye),
                ("ear and eye", one.both, fusion.both),
                ("ear and another's eye", one.contradicted, fusion.both),
            ):
                if known_part is not None and model is not None:
                    odds = model.odds(known_part.evidence)
                    parts.setdefault(name, []).append((known_part, odds))
    return {name: _macro_precision(found) for name, found in parts.items()}


def _macro_precision(found: Sequence[tuple[Known, NDArray[np.float64]]]) -> float:
    worth = np.concatenate([part.worth for part, _ in found]) > 0
    class_id = np.concatenate([part.class_id for part, _ in found])
    odds = np.concatenate([odds for _, odds in found])
    classes = np.unique(class_id[worth])
    precisions = [
        average_precision_score(worth[class_id == c], odds[class_id == c]) for c in classes
    ]
    return float(np.mean(precisions))
