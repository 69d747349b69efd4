"""Table 1 of KIST2026 on one's own development split, and what stands around it (Sec. 3).

The six rows beside the paper's figures; matchability as the paper reads it and as this package
does, both cross-fitted by room and, as the paper had it, fitted and scored on the same detections,
which is optimistic; the recall ceiling; and the finding that suppressing detections costs EFRQ.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saiseld.decision.matchability import Matchability, cross_fit, fit
from saiseld.decision.systems import PUBLISHED, System, system_named
from saiseld.evaluation.diagnosis import RecallCeiling, recall_ceiling
from saiseld.evaluation.systems import MatchedSystem
from saiseld.evaluation.uncertainty import Difference, Interval, compare, confidence_intervals
from saiseld.runtime.errors import DataError
from saiseld.runtime.parallel import Workers, run_all
from saiseld.training.matchability.development import (
    EMITTED,
    Measured,
    Reading,
    all_examples,
    per_recording,
    smoothed,
)


@dataclass(frozen=True, slots=True)
class PaperScores:
    """What KIST2026 reports of a system on the STAIRS26 dev-test split."""

    mAP: float
    EFRQ: float


PAPER = {
    "Baseline": PaperScores(0.0003, 0.136),
    "Sparse peaks": PaperScores(0.0013, 0.293),
    "TASK3B_3": PaperScores(0.0111, 0.329),
    "TASK3B_4": PaperScores(0.0110, 0.360),
    "TASK3B_1": PaperScores(0.0209, 0.329),
    "TASK3B_2": PaperScores(0.0205, 0.360),
}
"""Table 1 of KIST2026."""

PAPER_RECALL = (0.82, 0.71, 0.48)
"""Recall at IoU 0.1, 0.25 and 0.5 if every proposed box were accepted (KIST2026, Sec. 3)."""

DRAWS = 200
"""Bootstrap draws of recordings behind a confidence interval of 95 %."""

_CAP3 = system_named("TASK3B_4")
SUPPRESSED = (
    replace(_CAP3, name="cap 3"),
    replace(_CAP3, name="cap 1", max_per_class=1),
    replace(_CAP3, name="cap 3, in 3 frames or more", min_hits=3),
    replace(_CAP3, name="cap 3, in 5 frames or more", min_hits=5),
)
"""From permissive to suppressing: what the over-prediction finding compares."""

EMISSIONS = tuple(
    replace(_CAP3, name=f"cap 1, {emission}", max_per_class=1, emission=emission)
    for emission in ("grid3-centre", "grid5", "grid9", "blob")
)
"""Other points for the masks of TASK3B_3; measured only where asked for."""

_SAME_MASKS = {
    "TASK3B_1": "TASK3B_3",
    "TASK3B_2": "TASK3B_4",
    "cap 3": "TASK3B_4",
    "cap 1": "TASK3B_3",
}
"""Systems that differ only in their ranking are matched once."""

MEASURED_SYSTEMS = tuple(s for s in (*PUBLISHED, *SUPPRESSED) if s.name not in _SAME_MASKS)

CROSS_FIT = "cross-fit by room"
OPTIMISTIC = "same split (optimistic)"
LINEAR = "cross-fit, linear model"
TEMPORAL = "cross-fit, with temporal evidence"
GIVEN = "the given model"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Parameters
    ----------
    name, system
        Of the line, and what was done.
    fitted, reading
        How matchability was fitted, and how it is read; empty where it is not used.
    mAP, AP50, EFRQ
        Macro mAP, macro AP50 and macro Pearson r.
    masks_per_frame
        How much was emitted.
    paper
        What KIST2026 has for the system, if it is one of its own.
    """

    name: str
    system: System
    fitted: str
    reading: str
    mAP: Interval
    AP50: Interval
    EFRQ: Interval
    masks_per_frame: float
    paper: PaperScores | None


@dataclass(frozen=True, slots=True)
class Table1:
    """Everything that the command prints.

    Parameters
    ----------
    data
        Where candidates and labels came from.
    recordings, rooms, frames, truths
        How much of them there was.
    rows
        The six of KIST2026, matchability cross-fitted by room under the first reading.
    rank
        Of each of them: the sum of its places by mAP, AP50 and EFRQ, smallest best.
    beside
        The matchability rows fitted in other ways and under the other reading.
    suppression
        Caps and temporal filters.
    emissions
        Other emissions of the same detections, if they were measured.
    EFRQ_lost
        What each of them but cap 3 loses against it, by name.
    recall
        Recall of unfiltered boxes.
    matchable
        Share of the examples that match, by reading.
    unfitted
        Why matchability could not be learned, by reading; rows that rank by it are left out.
    """

    data: str
    recordings: int
    rooms: int
    frames: int
    truths: int
    rows: tuple[Row, ...]
    rank: tuple[int, ...]
    beside: tuple[Row, ...]
    suppression: tuple[Row, ...]
    emissions: tuple[Row, ...]
    EFRQ_lost: dict[str, Difference]
    recall: RecallCeiling
    matchable: dict[str, float]
    unfitted: dict[str, str]

    def harmful(self) -> list[str]:
        """Return the ways of suppressing detections that certainly cost EFRQ (interval above 0)."""
        return [name for name, lost in self.EFRQ_lost.items() if lost.interval.low > 0]

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {**asdict(self), "harmful": self.harmful()}


def table1(
    recordings: Sequence[Measured],
    *,
    data: str,
    model: Matchability | None = None,
    temporal: bool = False,
    draws: int = DRAWS,
    jobs: Workers = 1,
) -> Table1:
    """Score every row over measured recordings (see `saiseld.training.matchability.development`).

    Parameters
    ----------
    recordings
        Measured with ``MEASURED_SYSTEMS`` and, where wanted, ``EMISSIONS``; under the reading of
        matchability that the six rows have, and further ones that stand beside.
    data
        What they are, for the caption.
    model
        A matchability model of other recordings, scored beside.
    temporal
        Score cross-fitted matchability with temporal evidence beside.
    draws
        Bootstrap draws of recordings behind an interval.
    jobs
        Rows at a time, or the cluster that they are spread over.
    """
    fitted, unfitted = _fitted(recordings, model, temporal)
    lines, beside = _lines(fitted, next(iter(recordings[0].by_reading)))
    suppression = {s.name: _Line(s) for s in SUPPRESSED}
    emissions = {s.name: _Line(s) for s in EMISSIONS if s.name in recordings[0].matched}
    systems = {
        name: _ranked(recordings, line, fitted)
        for name, line in (lines | beside | suppression | emissions).items()
    }
    intervals = run_all(
        _intervals, {n: (s, draws) for n, s in systems.items()}, jobs=jobs, title="rows"
    )
    permissive, *others = suppression
    lost = run_all(
        _lost_EFRQ,
        {name: (systems[permissive], systems[name], draws) for name in others},
        jobs=jobs,
    )
    frames = sum(r.frames for r in recordings)

    def rows(of: Mapping[str, _Line]) -> tuple[Row, ...]:
        return tuple(
            Row(
                name,
                line.system,
                line.model[0] if line.model else "",
                str(line.model[1]) if line.model else "",
                *intervals[name],
                masks_per_frame=_masks(systems[name]) / frames,
                paper=PAPER.get(line.system.name),
            )
            for name, line in of.items()
        )

    main = rows(lines)
    return Table1(
        data=data,
        recordings=len(recordings),
        rooms=len({r.room for r in recordings}),
        frames=frames,
        truths=sum(len(r.proposed_iou) for r in recordings),
        rows=main,
        rank=cumulative_rank([[row.mAP.value, row.AP50.value, row.EFRQ.value] for row in main]),
        beside=rows(beside),
        suppression=rows(suppression),
        emissions=rows(emissions),
        EFRQ_lost=lost,
        recall=_recall(recordings),
        matchable={
            str(reading): float(all_examples(recordings, reading).matched.mean())
            for reading in recordings[0].by_reading
        },
        unfitted=unfitted,
    )


def _lines(fitted: Collection[_Model], first: Reading) -> tuple[dict[str, _Line], dict[str, _Line]]:
    """Return KIST2026's six lines, and the other ways of learning what they rank by.

    Those that rank by what could not be learned are left out.
    """
    lines: dict[str, _Line] = {}
    beside: dict[str, _Line] = {}
    for system in PUBLISHED:
        learned = system.ranking == "matchability"
        if not learned or (CROSS_FIT, first) in fitted:
            lines[system.name] = _Line(system, (CROSS_FIT, first) if learned else None)
        for how, reading in fitted if learned else ():
            if (how, reading) != (CROSS_FIT, first):
                beside[f"{system.name}, {how}: {reading}"] = _Line(system, (how, reading))
    return lines, beside


def cumulative_rank(scores: Sequence[Sequence[float]]) -> tuple[int, ...]:
    """Return each system's sum of places over the metrics; equals share the better place.

    Parameters
    ----------
    scores
        (systems, metrics), larger is better; NaN is last.
    """
    values = np.nan_to_num(np.asarray(scores, float), nan=-np.inf)
    better = (values[None] > values[:, None]).sum(axis=1)
    return tuple(int(place) for place in (better + 1).sum(axis=1))


_Model = tuple[str, Reading]


@dataclass(frozen=True, slots=True)
class _Line:
    """A system and what ranks it: how a model was fitted, and its reading; None for raw score."""

    system: System
    model: _Model | None = None


def _fitted(
    recordings: Sequence[Measured], model: Matchability | None, temporal: bool
) -> tuple[dict[_Model, NDArray[np.float64]], dict[str, str]]:
    """Return the probabilities of every way to fit, and why a reading allows none."""
    found: dict[_Model, NDArray[np.float64]] = {}
    unfitted: dict[str, str] = {}
    for reading in recordings[0].by_reading:
        examples = all_examples(recordings, reading)
        try:
            crossed, line = cross_fit(examples), cross_fit(examples, "linear")
            optimist = fit(
                examples, recordings=[r.recording for r in recordings], pool=reading.pool
            )
        except DataError as error:
            unfitted[str(reading)] = str(error)
            continue
        found[CROSS_FIT, reading] = crossed
        found[OPTIMISTIC, reading] = optimist.probability(examples.features)
        found[LINEAR, reading] = line
    if model is not None:
        found[GIVEN, EMITTED] = model.probability(all_examples(recordings, EMITTED).features)
    if temporal and (CROSS_FIT, EMITTED) in found:
        found[TEMPORAL, EMITTED] = smoothed(recordings, found[CROSS_FIT, EMITTED])
    return found, unfitted


def _recall(recordings: Sequence[Measured]) -> RecallCeiling:
    best = np.concatenate([r.proposed_iou for r in recordings])
    return recall_ceiling(best, np.concatenate([r.truth_class_id for r in recordings]))


def _ranked(
    recordings: Sequence[Measured], line: _Line, fitted: Mapping[_Model, NDArray[np.float64]]
) -> MatchedSystem:
    masks = _SAME_MASKS.get(line.system.name, line.system.name)
    if line.model is None:
        return MatchedSystem({r.recording: r.matched[masks] for r in recordings})
    reading = line.model[1]
    parts = zip(recordings, per_recording(recordings, fitted[line.model], reading), strict=True)
    return MatchedSystem({r.recording: r.ranked(masks, part, reading) for r, part in parts})


def _intervals(system: MatchedSystem, draws: int) -> tuple[Interval, Interval, Interval]:
    found = confidence_intervals(system, resamples=draws)
    return found["macro_mAP"], found["macro_AP50"], found["macro_pearson_r"]


def _lost_EFRQ(permissive: MatchedSystem, suppressed: MatchedSystem, draws: int) -> Difference:
    return compare(permissive, suppressed, resamples=draws)["macro_pearson_r"]


def _masks(system: MatchedSystem) -> int:
    return sum(len(matched.score) for matched in system.recordings.values())
