"""Scores of matched recordings under the metrics 2026-06-30, 2026-05-28 and 2026-05-18."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.taxonomy import CLASS_NAMES, NUM_CLASSES
from saiseld.evaluation.average_precision import average_precision, ranking
from saiseld.evaluation.matched import MatchedRecording
from saiseld.runtime.text import counted

SoftIouMetric = Literal["2026-06-30", "2026-05-28", "2026-05-18"]
THRESHOLDS = (0.25, 0.5, 0.75)
"""Official soft-IoU thresholds since 2026-05-28."""
COCO_THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
"""Those of 2026-05-18."""


@dataclass(frozen=True, slots=True)
class PooledScores:
    """AP and correlation of a pool of detections: one class, or all of them.

    Parameters
    ----------
    n_gt, n_det
        Ground-truth instances and detections.
    ap
        AP at each threshold; NaN without ground truth (before 2026-06-30: without detections too).
    pearson_r, pearson_n
        Mean r of the matched pairs where it is defined (NaN if nowhere), and their number.
    """

    n_gt: int
    n_det: int
    ap: tuple[float, ...]
    pearson_r: float
    pearson_n: int

    @property
    def mAP(self) -> float:
        """Mean AP over the thresholds."""
        return float(np.mean(self.ap))


@dataclass(frozen=True, slots=True)
class Ties:
    """Detections that share their score with another, and what their order can do.

    The official scorer's sort is not stable: with ties its number depends on the machine.

    Parameters
    ----------
    count, detections
        Detections whose score another one has too, and all of them.
    macro_mAP, micro_mAP
        Least and greatest value over every order of equal scores.
    """

    count: int
    detections: int
    macro_mAP: tuple[float, float]
    micro_mAP: tuple[float, float]

    def notes(self) -> tuple[str, ...]:
        """Return a remark if their order can move a score."""
        moved = [
            f"{name} mAP between {low:.6f} and {high:.6f}"
            for name, (low, high) in (("macro", self.macro_mAP), ("micro", self.micro_mAP))
            if low < high
        ]
        if not moved:
            return ()
        return (
            f"{self.count} of {self.detections} detections share their score with another; their "
            f"order, which in the official scorer depends on the machine, can move the "
            f"{' and the '.join(moved)}",
        )


@dataclass(frozen=True, slots=True)
class Scores:
    """Every number that the official scorer prints; NaN where undefined (no ground truth, no pair).

    Parameters
    ----------
    metric
        Version, by date.
    thresholds
        Soft-IoU thresholds of the APs.
    macro_ap
        Mean over classes of the AP at each threshold.
    macro_pearson_r
        "EFRQ": mean over classes of their mean r.
    micro
        All classes pooled.
    per_class
        13 entries, in class order.
    ties
        What equal scores do to the ranking; None without any, or not asked for.
    notes
        What a reader should know: files and annotations that were left out, and ties.
    """

    metric: SoftIouMetric
    thresholds: tuple[float, ...]
    macro_ap: tuple[float, ...]
    macro_pearson_r: float
    micro: PooledScores
    per_class: tuple[PooledScores, ...]
    ties: Ties | None = None
    notes: tuple[str, ...] = field(default=())

    def __repr__(self) -> str:
        return (
            f"Scores({self.metric}: macro mAP {self.macro_mAP:.4f}, "
            f"r {self.macro_pearson_r:.4f}, micro mAP {self.micro.mAP:.4f}; "
            f"{self.micro.n_gt} labels, {self.micro.n_det} detections)"
        )

    @property
    def macro_mAP(self) -> float:
        """Mean over classes of their mean AP over thresholds."""
        return mean_of_defined([c.mAP for c in self.per_class])

    @property
    def micro_mAP(self) -> float:
        """Mean over thresholds of the AP of all classes pooled."""
        return self.micro.mAP

    @property
    def micro_pearson_r(self) -> float:
        """Mean r over all matched pairs."""
        return self.micro.pearson_r

    def headline(self) -> dict[str, float]:
        """Return the numbers of the whole data set by their official names."""
        micro = _named_aps(self.thresholds, self.micro.ap)
        return {
            "macro_mAP": self.macro_mAP,
            **{f"macro_{k}": v for k, v in _named_aps(self.thresholds, self.macro_ap).items()},
            "macro_pearson_r": self.macro_pearson_r,
            "micro_mAP": self.micro.mAP,
            **{f"micro_{k}": v for k, v in micro.items()},
            "micro_pearson_r": self.micro.pearson_r,
        }

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values; what is undefined is None."""
        return {
            "metric": self.metric,
            "thresholds": list(self.thresholds),
            **json_values(self.headline()),
            "per_class": {
                name: {
                    "n_gt": scores.n_gt,
                    "n_det": scores.n_det,
                    **json_values(
                        {
                            "mAP": scores.mAP,
                            **_named_aps(self.thresholds, scores.ap),
                            "pearson_r": scores.pearson_r,
                        }
                    ),
                    "pearson_n": scores.pearson_n,
                }
                for name, scores in zip(CLASS_NAMES, self.per_class, strict=True)
            },
            "ties": None if self.ties is None else asdict(self.ties),
            "notes": list(self.notes),
        }


def json_values(numbers: Mapping[str, float]) -> dict[str, float | None]:
    """Return numbers with None for NaN, which JSON lacks."""
    return {key: None if np.isnan(value) else value for key, value in numbers.items()}


def _named_aps(thresholds: Sequence[float], aps: Sequence[float]) -> dict[str, float]:
    return {f"AP{100 * t:g}": ap for t, ap in zip(thresholds, aps, strict=True)}


@dataclass(frozen=True, eq=False)
class Pool:
    """The detections of many recordings; D detections in the order of the official records.

    Parameters
    ----------
    class_id, score, iou, pearson_r
        (D,) as in `MatchedRecording`.
    recording
        (D,) int64: index of the recording of each detection.
    truths
        (recordings, 13) int64: ground-truth instances of each class.
    tie_break
        (D,) which of equal scores comes first, small before large; None leaves it to the sort, as
        the official scorer does.
    """

    class_id: NDArray[np.int64]
    score: NDArray[np.float64]
    iou: NDArray[np.float64]
    pearson_r: NDArray[np.float64]
    recording: NDArray[np.int64]
    truths: NDArray[np.int64]
    tie_break: NDArray[np.float64] | None = None

    @cached_property
    def of_class(self) -> tuple[Ranked, ...]:
        """The detections of each class, ranked among themselves."""
        return tuple(self._ranked(np.flatnonzero(self.class_id == c)) for c in range(NUM_CLASSES))

    @cached_property
    def all_classes(self) -> Ranked:
        """All detections, ranked."""
        return self._ranked(np.arange(len(self.score)))

    def _ranked(self, rows: NDArray[np.int64]) -> Ranked:
        if self.tie_break is None:
            order = ranking(self.score[rows])
        else:
            order = np.lexsort((self.tie_break[rows], -self.score[rows]))
        return Ranked(rows, rows[order])


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """Some rows of a pool, (R,) each: as recorded, and best first."""

    recorded: NDArray[np.int64]
    best_first: NDArray[np.int64]


def pool(recordings: Sequence[MatchedRecording]) -> Pool:
    """Return the detections of recordings together."""
    return Pool(
        class_id=_joined([r.detections.class_id for r in recordings]).astype(np.int64),
        score=_joined([r.score for r in recordings]),
        iou=_joined([r.iou for r in recordings]),
        pearson_r=_joined([r.pearson_r for r in recordings]),
        recording=np.repeat(np.arange(len(recordings)), [len(r.score) for r in recordings]),
        truths=np.array(
            [np.bincount(r.truths.class_id, minlength=NUM_CLASSES) for r in recordings], np.int64
        ).reshape(-1, NUM_CLASSES),
    )


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate([np.zeros(0), *parts])


def official_thresholds(metric: SoftIouMetric) -> tuple[float, ...]:
    """Return the soft-IoU thresholds of a version."""
    return COCO_THRESHOLDS if metric == "2026-05-18" else THRESHOLDS


def score(
    recordings: Iterable[MatchedRecording],
    metric: SoftIouMetric = "2026-06-30",
    thresholds: Sequence[float] | None = None,
) -> Scores:
    """Return the official scores of matched recordings.

    The versions differ in two things. Ground truth, of a class or of all, without one detection
    counts 0 in 2026-06-30 and is undefined before. 2026-05-18 has ten thresholds from 0.5 on.

    Parameters
    ----------
    thresholds
        Soft IoUs in (0, 1]; those of the version if None.
    """
    thresholds = official_thresholds(metric) if thresholds is None else thresholds
    recordings = list(recordings)
    detections = pool(recordings)
    ties = _ties(detections, metric, thresholds)
    ignored = np.concatenate([np.zeros(0, int), *(r.ignored_class_id for r in recordings)])
    return replace(
        score_pool(detections, metric, thresholds),
        ties=ties,
        notes=ignored_note(ignored)
        + _blank_note(recordings, metric, thresholds)
        + (() if ties is None else ties.notes()),
    )


def _blank_note(
    recordings: Sequence[MatchedRecording], metric: SoftIouMetric, thresholds: Sequence[float]
) -> tuple[str, ...]:
    """Return the remark on ground truth that draws nothing, so that nothing can match it."""
    blank = sum(int(np.count_nonzero(r.blank_truth)) for r in recordings)
    if not blank:
        return ()
    drawn = [r.truths.class_id[~r.blank_truth] for r in recordings]
    class_id = _joined(drawn).astype(np.int64)
    ones = np.ones(len(class_id))
    perfect = Pool(
        class_id,
        score=ones,
        iou=ones,
        pearson_r=ones,
        recording=np.repeat(np.arange(len(recordings)), [len(part) for part in drawn]),
        truths=pool(recordings).truths,
    )
    highest = score_pool(perfect, metric, thresholds)
    return (
        f"{counted(blank, 'label')} of {blank + len(class_id)} without points (or energy), which "
        f"nothing can match; the highest possible macro mAP is {highest.macro_mAP:.4f}, micro mAP "
        f"{highest.micro_mAP:.4f}",
    )


def _ties(detections: Pool, metric: SoftIouMetric, thresholds: Sequence[float]) -> Ties | None:
    _, counts = np.unique(detections.score, return_counts=True)
    if not (counts > 1).any():
        return None
    best, worst = (
        score_pool(replace(detections, tie_break=sign * detections.iou), metric, thresholds)
        for sign in (-1, 1)
    )
    return Ties(
        count=int(counts[counts > 1].sum()),
        detections=len(detections.score),
        macro_mAP=(worst.macro_mAP, best.macro_mAP),
        micro_mAP=(worst.micro_mAP, best.micro_mAP),
    )


def ignored_note(class_ids: NDArray[np.int64]) -> tuple[str, ...]:
    """Return the remark on annotations whose category is none of the 13, if there are any."""
    if not len(class_ids):
        return ()
    which = ", ".join(str(c) for c in np.unique(class_ids))
    return (
        f"{counted(len(class_ids), 'annotation')} with category ids outside 0-{NUM_CLASSES - 1} "
        f"({which}) ignored, as by the official scorer",
    )


def score_pool(
    detections: Pool,
    metric: SoftIouMetric = "2026-06-30",
    thresholds: Sequence[float] | None = None,
    *,
    weight: NDArray[np.int64] | None = None,
) -> Scores:
    """Return the scores of a pool; ``weight`` (recordings,) counts each recording so many times."""
    thresholds = official_thresholds(metric) if thresholds is None else thresholds
    if not thresholds or not all(0 < threshold <= 1 for threshold in thresholds):
        raise ValueError(f"thresholds must be soft IoUs in (0, 1], not {tuple(thresholds)}")
    truths = detections.truths.sum(axis=0) if weight is None else weight @ detections.truths

    def scored(rows: Ranked, n_gt: int) -> PooledScores:
        if weight is not None:
            times = (weight[detections.recording[r]] for r in (rows.recorded, rows.best_first))
            rows = Ranked(*map(np.repeat, (rows.recorded, rows.best_first), times))
        found = _score_rows(detections, rows, n_gt, thresholds)
        if metric != "2026-06-30" and not found.n_det:
            return replace(found, ap=(np.nan,) * len(thresholds))
        return found

    per_class = tuple(
        scored(rows, int(n_gt)) for rows, n_gt in zip(detections.of_class, truths, strict=True)
    )
    counted = [c for c in per_class if not np.isnan(c.mAP)]
    return Scores(
        metric=metric,
        thresholds=tuple(thresholds),
        macro_ap=tuple(mean_of_defined([c.ap[k] for c in counted]) for k in range(len(thresholds))),
        macro_pearson_r=mean_of_defined([c.pearson_r for c in per_class]),
        micro=scored(detections.all_classes, int(truths.sum())),
        per_class=per_class,
    )


def _score_rows(
    detections: Pool, rows: Ranked, n_gt: int, thresholds: Sequence[float]
) -> PooledScores:
    iou, r = detections.iou[rows.best_first], detections.pearson_r[rows.recorded]
    r = r[~np.isnan(r)]
    return PooledScores(
        n_gt=n_gt,
        n_det=len(iou),
        ap=tuple(average_precision(iou >= t, n_gt) if n_gt else np.nan for t in thresholds),
        pearson_r=float(r.mean()) if len(r) else np.nan,
        pearson_n=len(r),
    )


def mean_of_defined(values: Sequence[float]) -> float:
    """Return the mean of what is not NaN; NaN of nothing."""
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else np.nan
