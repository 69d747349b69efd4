"""The report's Table 1 on one's own development split, and what stands around it (report, Sec. 3).

The six rows beside the report's figures; matchability both cross-fitted by room and, as the report
had it, fitted and scored on the same detections, which is optimistic; the recall ceiling; and the
finding that suppressing detections costs EFRQ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saiseld.decision.development import Measured, all_examples, per_recording, smoothed
from saiseld.decision.matchability import Matchability, cross_fit, fit
from saiseld.decision.portfolio import TABLE1, System, system_named
from saiseld.evaluation.matched import MatchedRecording
from saiseld.evaluation.scores import Scores, pool, score_pool
from saiseld.parallel import run_all

RECALL_IOUS = (0.1, 0.25, 0.5)
PAPER_RECALL = (0.82, 0.71, 0.48)

DRAWS = 200
"""Bootstrap draws of recordings behind a confidence interval of 95 %."""

_CAP3 = system_named("TASK3B_4")
SUPPRESSED = (
    replace(_CAP3, name="cap 3"),
    replace(_CAP3, name="cap 2", cap=2),
    replace(_CAP3, name="cap 1", cap=1),
    replace(_CAP3, name="cap 3, in 3 frames or more", min_hits=3),
    replace(_CAP3, name="cap 3, in 5 frames or more", min_hits=5),
)
"""From permissive to suppressing: what the over-prediction finding compares."""

_SAME_MASKS = {
    "TASK3B_1": "TASK3B_3",
    "TASK3B_2": "TASK3B_4",
    "cap 3": "TASK3B_4",
    "cap 1": "TASK3B_3",
}
"""Systems that differ only in their ranking are matched once."""

MEASURED_SYSTEMS = tuple(s for s in (*TABLE1, *SUPPRESSED) if s.name not in _SAME_MASKS)

CROSS_FIT = "cross-fit by room"
OPTIMISTIC = "same split (optimistic)"
TEMPORAL = "cross-fit, with temporal evidence"


@dataclass(frozen=True, slots=True)
class Interval:
    """A score and its 95 % bootstrap interval over recordings."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Parameters
    ----------
    name, system
        Of the line, and what was done.
    fitted
        How matchability was fitted; empty where it is not used.
    mAP, AP50, EFRQ
        Macro mAP, macro AP50 and macro Pearson r.
    masks_per_frame
        How much was emitted.
    """

    name: str
    system: System
    fitted: str
    mAP: Interval
    AP50: Interval
    EFRQ: Interval
    masks_per_frame: float


@dataclass(frozen=True, slots=True)
class Loss:
    """EFRQ lost against cap 3 by a way of suppressing detections, with its paired interval."""

    name: str
    lost: Interval


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
        The report's six, matchability cross-fitted by room.
    rank
        Of each of them: the sum of its places by mAP, AP50 and EFRQ, smallest best.
    beside
        The matchability rows fitted in other ways.
    suppression
        Caps and temporal filters, and what they cost.
    recall
        Recall of unfiltered boxes at IoU 0.1, 0.25 and 0.5.
    matchable
        Share of the examples that match.
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
    losses: tuple[Loss, ...]
    recall: tuple[float, ...]
    matchable: float

    @property
    def suppression_hurts(self) -> bool:
        """Whether every way of suppressing detections certainly costs EFRQ (intervals above 0)."""
        return all(loss.lost.low > 0 for loss in self.losses)

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {**asdict(self), "suppression_hurts": self.suppression_hurts}


def table1(
    recordings: Sequence[Measured],
    *,
    data: str,
    model: Matchability | None = None,
    temporal: bool = False,
    jobs: int = 1,
) -> Table1:
    """Score every row over measured recordings (see `saiseld.decision.development`).

    Parameters
    ----------
    recordings
        Measured with ``MEASURED_SYSTEMS``.
    data
        What they are, for the caption.
    model
        A matchability model of other recordings, scored beside.
    temporal
        Score cross-fitted matchability with temporal evidence beside.
    jobs
        Rows at a time.
    """
    known = all_examples(recordings)
    honest = cross_fit(known)
    fitted = {
        CROSS_FIT: honest,
        OPTIMISTIC: fit(known, recordings=[r.recording for r in recordings]).probability(
            known.features
        ),
    }
    if model is not None:
        fitted["the given model"] = model.probability(known.features)
    if temporal:
        fitted[TEMPORAL] = smoothed(recordings, honest)
    lines: dict[str, tuple[System, str]] = {
        s.name: (s, CROSS_FIT if s.ranking == "matchability" else "") for s in TABLE1
    }
    learned = [s for s in TABLE1 if s.ranking == "matchability"]
    beside = {f"{s.name}, {how}": (s, how) for s in learned for how in fitted if how != CROSS_FIT}
    suppression = {s.name: (s, "") for s in SUPPRESSED}
    tasks = {
        name: ([*_ranked(recordings, system, fitted.get(how))], DRAWS)
        for name, (system, how) in (lines | beside | suppression).items()
    }
    scored = run_all(_scored, tasks, jobs=jobs, title="scoring")
    frames = sum(r.frames for r in recordings)

    def rows(of: Mapping[str, tuple[System, str]]) -> tuple[Row, ...]:
        return tuple(
            Row(name, system, how, *scored[name].intervals(), scored[name].masks / frames)
            for name, (system, how) in of.items()
        )

    main = rows(lines)
    permissive = scored["cap 3"]
    losses = tuple(
        Loss(
            name,
            _interval(
                permissive.values[2] - scored[name].values[2],
                permissive.draws[:, 2] - scored[name].draws[:, 2],
            ),
        )
        for name in suppression
        if name != "cap 3"
    )
    proposed = np.concatenate([r.proposed_iou for r in recordings])
    return Table1(
        data=data,
        recordings=len(recordings),
        rooms=len({r.room for r in recordings}),
        frames=frames,
        truths=len(proposed),
        rows=main,
        rank=cumulative_rank([[row.mAP.value, row.AP50.value, row.EFRQ.value] for row in main]),
        beside=rows(beside),
        suppression=rows(suppression),
        losses=losses,
        recall=tuple(float((proposed >= iou).mean()) for iou in RECALL_IOUS),
        matchable=float(known.matched.mean()),
    )


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


def _ranked(
    recordings: Sequence[Measured], system: System, probability: NDArray[np.float64] | None
) -> Iterator[MatchedRecording]:
    masks = _SAME_MASKS.get(system.name, system.name)
    if probability is None:
        yield from (recording.matched[masks] for recording in recordings)
    else:
        parts = per_recording(recordings, probability)
        for recording, part in zip(recordings, parts, strict=True):
            yield recording.ranked(masks, part)


@dataclass(frozen=True, slots=True, eq=False)
class _Scored:
    values: tuple[float, float, float]
    draws: NDArray[np.float64]
    masks: int

    def intervals(self) -> tuple[Interval, Interval, Interval]:
        first, second, third = (
            _interval(value, draws) for value, draws in zip(self.values, self.draws.T, strict=True)
        )
        return first, second, third


def _scored(recordings: Sequence[MatchedRecording], draws: int) -> _Scored:
    # The same seed for every row: draw k of any two rows has the same recordings.
    rng = np.random.default_rng(0)
    detections = pool(recordings)
    weights = rng.multinomial(len(recordings), np.full(len(recordings), 1 / len(recordings)), draws)
    return _Scored(
        _headline(score_pool(detections)),
        np.array([_headline(score_pool(detections, weight=weight)) for weight in weights]),
        len(detections.score),
    )


def _headline(scores: Scores) -> tuple[float, float, float]:
    return scores.macro_mAP, scores.macro_ap[1], scores.macro_pearson_r


def _interval(value: float, draws: NDArray[np.float64]) -> Interval:
    low, high = np.nanquantile(draws, [0.025, 0.975]) if not np.isnan(draws).all() else [np.nan] * 2
    return Interval(float(value), float(low), float(high))
