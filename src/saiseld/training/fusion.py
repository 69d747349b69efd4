"""Fit the audiovisual fusion: logistic models, in rooms set aside for it.

The target of a candidate is the share of the official thresholds (soft IoU 0.25, 0.5, 0.75) that
its mask reaches, matched one to one with the ground truth of its frame and class. Every recording
is also paired with the detector's rows of another one, at `CONTRADICTED` of the weight, so that the
model learns how far to trust a picture that contradicts the sound.
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
from saiseld.decision.fusion import (
    Available,
    Fusion,
    LogisticCalibration,
    balanced,
    evidence_of,
    match_candidates,
    merged,
)
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
"""Weight of a recording paired with another's picture: with less, such a picture costs more
than one that is right gains (chosen in the rooms that the model is fitted in)."""

FEW_RECORDINGS = 8
"""With half as many, a model fitted on them was worse than the packaged one."""

TOWARD_DETECTOR = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the way from the audio branch's direction to the detector's that are tried."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledCandidates:
    """Candidates of one recording with their training targets; R rows.

    Parameters
    ----------
    evidence
        (R, F) what a model weighs.
    target
        (R,) in [0, 1].
    class_id
        (R,).
    """

    evidence: NDArray[np.float64]
    target: NDArray[np.float64]
    class_id: NDArray[np.int8]


def label_candidates(
    detector: Candidates | None,
    audio: Candidates | None,
    truth: RenderedMasks,
    toward_detector: float,
    emission: str,
    drawings: Drawings,
) -> LabelledCandidates:
    """Return the candidates of a recording with their targets."""
    available: Available = "audio" if detector is None else "detector" if audio is None else "both"
    detector = None if detector is None else balanced(detector)
    found = match_candidates(detector, audio)
    table = merged(found, detector, audio, toward_detector)
    # A class that does not sound in a frame has target 0, however the mask is drawn.
    sounding = NUM_CLASSES * truth.frame + truth.class_id
    rows = np.flatnonzero(np.isin(NUM_CLASSES * table.frame + table.class_id, sounding))
    drawn = table.take(rows)
    points = emission_points(drawn, emission)
    masks = energy_masks(drawn.frame, rows, drawn.class_id, points, drawn.distance_cm, drawn.score)
    matched = match_recording(render_masks(masks, drawings), truth)
    target = np.zeros(len(table))
    right = np.mean([matched.iou >= threshold for threshold in THRESHOLDS], axis=0)
    target[rows[matched.position]] = right
    return LabelledCandidates(evidence_of(found, available), target, found.class_id)


@dataclass(frozen=True, slots=True, eq=False)
class RecordingFit:
    """One recording, measured.

    Parameters
    ----------
    room
        Its room.
    both, contradicted, audio, detector
        With both branches, with the detector's rows of another recording, with one branch alone.
    spots
        Summed targets of spots, by how far their directions are moved towards the detector's.
    """

    room: str
    both: LabelledCandidates | None
    contradicted: LabelledCandidates | None
    audio: LabelledCandidates
    detector: LabelledCandidates | None
    spots: dict[float, float]


def measure(
    detector: Path, other: Path | None, audio: Path, labels: Path, emission: str, every: int
) -> RecordingFit:
    """Measure the candidates of a recording, on every so many-th frame."""
    audio_table = _some(read_candidates(audio).of_branch("audio"), every)
    truth = render_masks(m for m in read_annotations(labels) if m.frame % every == 0)
    drawings: Drawings = {}
    room = room_of(audio_table.recording)
    alone = label_candidates(None, audio_table, truth, 0.0, emission, drawings)
    table = read_candidates(detector)
    if "detector" not in table.branches:
        return RecordingFit(room, None, None, alone, None, {})
    detected = _some(table.of_branch("detector"), every)
    contradicted = None
    if other is not None:
        other_detected = _some(read_candidates(other).of_branch("detector"), every)
        other_detected = other_detected.take(other_detected.frame < audio_table.frames)
        other_detected = replace(
            other_detected, recording=audio_table.recording, frames=audio_table.frames
        )
        contradicted = label_candidates(other_detected, audio_table, truth, 0.0, emission, drawings)
    return RecordingFit(
        room,
        label_candidates(detected, audio_table, truth, 0.0, emission, drawings),
        contradicted,
        alone,
        label_candidates(detected, None, truth, 0.0, emission, drawings),
        {
            share: float(
                label_candidates(detected, audio_table, truth, share, "spot", drawings).target.sum()
            )
            for share in TOWARD_DETECTOR
        },
    )


def _some(table: Candidates, every: int) -> Candidates:
    return table.take(table.frame % every == 0)


def measure_all(
    detector: Path, audio: Path, labels: Path, emission: str, *, every: int = 1, jobs: int = 1
) -> dict[str, RecordingFit]:
    """Measure the recordings that both folders of candidates hold.

    Raises
    ------
    DataError
        If they have none in common, or none of another room.
    """
    detector_files, audio_files = candidate_files(detector), candidate_files(audio)
    common = sorted(detector_files.keys() & audio_files.keys())
    if not common:
        raise DataError(
            detector, expected=f"candidates of recordings that are also in {audio}", found="none"
        )
    if len(common) < FEW_RECORDINGS:
        _log.warning(
            "%s: %d recordings, fewer than %d, may fit a worse model than the packaged "
            "fusion.json: compare the scores of both",
            detector,
            len(common),
            FEW_RECORDINGS,
        )
    if len({room_of(name) for name in common}) < 2:
        _log.warning(
            "%s: one room only: nothing is learnt of pictures that contradict the sound", detector
        )
    truth = labels_of({name: detector_files[name] for name in common}, labels)
    tasks = {
        name: (
            detector_files[name],
            None if (other := _elsewhere(common, name)) is None else detector_files[other],
            audio_files[name],
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


def fit(recordings: dict[str, RecordingFit]) -> Fusion:
    """Fit the models of all cases, and how far a direction is moved towards the detector's.

    Raises
    ------
    DataError
        If there is not one candidate.
    """
    every = list(recordings.values())
    audio = _model([one.audio for one in every])
    rooms = sorted({one.room for one in every})
    seeing = [one.detector for one in every if one.detector is not None]
    if not seeing:
        return Fusion(None, audio, None, 0.0, rooms, sorted(recordings))
    toward_detector = max(
        TOWARD_DETECTOR, key=lambda share: sum(one.spots.get(share, 0) for one in every)
    )
    agreeing = [one.both for one in every if one.both is not None]
    against = [one.contradicted for one in every if one.contradicted is not None]
    weight = [np.ones(len(k.target)) for k in agreeing]
    weight += [np.full(len(k.target), CONTRADICTED) for k in against]
    return Fusion(
        both=_model([*agreeing, *against], np.concatenate(weight)),
        audio=audio,
        detector=_model(seeing),
        toward_detector=toward_detector,
        rooms=rooms,
        recordings=sorted(recordings),
    )


def _model(
    parts: Sequence[LabelledCandidates], weight: NDArray[np.float64] | None = None
) -> LogisticCalibration:
    evidence = np.concatenate([part.evidence for part in parts])
    target = np.concatenate([part.target for part in parts])
    if not len(target):
        raise DataError(
            "candidate tables",
            expected="candidates to fit fusion on",
            found="none",
            advice="Train the network longer, or detect more recordings",
        )
    return LogisticCalibration.fit(
        evidence, target, np.ones(len(target)) if weight is None else weight
    )


def assess(recordings: dict[str, RecordingFit]) -> dict[str, float]:
    """Return the macro average precision of targets above 0, in rooms not fitted on.

    By the audio branch's own score, by its model, by the detector's, by both, and by both with
    the detector's rows of another recording.
    """
    rooms = np.array([one.room for one in recordings.values()])
    if len(np.unique(rooms)) < 2:
        return {}
    parts: dict[str, list[tuple[LabelledCandidates, NDArray[np.float64]]]] = {}
    every = list(recordings.items())
    for held_out in room_folds(rooms):
        fusion = fit(
            {name: one for (name, one), out in zip(every, held_out, strict=True) if not out}
        )
        for index in np.flatnonzero(held_out):
            one = every[index][1]
            parts.setdefault("audio score", []).append((one.audio, one.audio.evidence[:, 0]))
            for name, labelled, model in (
                ("audio", one.audio, fusion.audio),
                ("detector", one.detector, fusion.detector),
                ("both", one.both, fusion.both),
                ("both, another picture", one.contradicted, fusion.both),
            ):
                if labelled is not None and model is not None:
                    odds = model.odds(labelled.evidence)
                    parts.setdefault(name, []).append((labelled, odds))
    return {name: _macro_precision(found) for name, found in parts.items()}


def _macro_precision(found: Sequence[tuple[LabelledCandidates, NDArray[np.float64]]]) -> float:
    target = np.concatenate([part.target for part, _ in found]) > 0
    class_id = np.concatenate([part.class_id for part, _ in found])
    odds = np.concatenate([odds for _, odds in found])
    classes = np.unique(class_id[target])
    precisions = [
        average_precision_score(target[class_id == c], odds[class_id == c]) for c in classes
    ]
    return float(np.mean(precisions))
