"""Scores of matched recordings under the metrics 2026-06-30 and 2026-05-28."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.taxonomy import CLASS_NAMES, NUM_CLASSES
from saiseld.evaluation.average_precision import average_precision, ranking
from saiseld.evaluation.matched import MatchedRecording

SoftIouMetric = Literal["2026-06-30", "2026-05-28"]
THRESHOLDS = (0.25, 0.5, 0.75)
"""Official soft-IoU thresholds."""


@dataclass(frozen=True, slots=True)
class PooledScores:
    """AP and correlation of a pool of detections: one class, or all of them.

    Parameters
    ----------
    n_gt, n_det
        Ground-truth instances and detections.
    ap
        AP at each threshold; NaN without ground truth (2026-05-28: without detections too).
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
    notes
        What a reader should know: files and annotations that were left out.
    """

    metric: SoftIouMetric
    thresholds: tuple[float, ...]
    macro_ap: tuple[float, ...]
    macro_pearson_r: float
    micro: PooledScores
    per_class: tuple[PooledScores, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def macro_mAP(self) -> float:
        """Mean over classes and thresholds of the AP."""
        return float(np.mean(self.macro_ap))

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
            "notes": list(self.notes),
        }


def json_values(numbers: Mapping[str, float]) -> dict[str, float | None]:
    """Return numbers with None for NaN, which JSON lacks."""
    return {key: None if np.isnan(value) else value for key, value in numbers.items()}


def _named_aps(thresholds: Sequence[float], aps: Sequence[float]) -> dict[str, float]:
    return {f"AP{100 * t:g}": ap for t, ap in zip(thresholds, aps, strict=True)}


@dataclass(frozen=True, eq=False)
class Pool:
    """The detections of many recordings in one ranking; D detections.

    Parameters
    ----------
    class_id, score, iou, pearson_r
        (D,) as in `MatchedRecording`, in order of falling score.
    recording
        (D,) int64: index of the recording of each detection.
    truths
        (recordings, 13) int64: ground-truth instances of each class.
    """

    class_id: NDArray[np.int64]
    score: NDArray[np.float64]
    iou: NDArray[np.float64]
    pearson_r: NDArray[np.float64]
    recording: NDArray[np.int64]
    truths: NDArray[np.int64]


def pool(recordings: Sequence[MatchedRecording]) -> Pool:
    """Return the detections of recordings ranked together; equal scores keep their order."""
    score = _joined([r.score for r in recordings])
    order = ranking(score)
    return Pool(
        class_id=_joined([r.detections.class_id for r in recordings])[order].astype(np.int64),
        score=score[order],
        iou=_joined([r.iou for r in recordings])[order],
        pearson_r=_joined([r.pearson_r for r in recordings])[order],
        recording=np.repeat(np.arange(len(recordings)), [len(r.score) for r in recordings])[order],
        truths=np.array(
            [np.bincount(r.truths.class_id, minlength=NUM_CLASSES) for r in recordings], np.int64
        ).reshape(-1, NUM_CLASSES),
    )


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate([np.zeros(0), *parts])


def score(
    recordings: Iterable[MatchedRecording],
    metric: SoftIouMetric = "2026-06-30",
    thresholds: Sequence[float] = THRESHOLDS,
) -> Scores:
    """Return the official scores of matched recordings.

    The versions differ in one thing: a class with ground truth and not one detection counts 0
    in 2026-06-30 and is left out of the means in 2026-05-28.
    """
    recordings = list(recordings)
    ignored = np.concatenate([np.zeros(0, int), *(r.ignored_class_id for r in recordings)])
    return score_pool(pool(recordings), metric, thresholds, notes=ignored_note(ignored))


def ignored_note(class_ids: NDArray[np.int64]) -> tuple[str, ...]:
    """Return the remark on annotations whose category is none of the 13, if there are any."""
    if not len(class_ids):
        return ()
    which = ", ".join(str(c) for c in np.unique(class_ids))
    return (
        f"{len(class_ids)} annotations with category ids outside 0-{NUM_CLASSES - 1} ({which}) "
        "were ignored, as by the official scorer",
    )


def score_pool(
    detections: Pool,
    metric: SoftIouMetric = "2026-06-30",
    thresholds: Sequence[float] = THRESHOLDS,
    *,
    weight: NDArray[np.int64] | None = None,
    notes: tuple[str, ...] = (),
) -> Scores:
    """Return the scores of a pool; ``weight`` (recordings,) counts each recording so many times."""
    if not thresholds or not all(0 < threshold <= 1 for threshold in thresholds):
        raise ValueError(f"thresholds must be soft IoUs in (0, 1], not {tuple(thresholds)}")
    if weight is None:
        weight = np.ones(len(detections.truths), np.int64)
    truths = weight @ detections.truths
    repeated = np.repeat(np.arange(len(detections.score)), weight[detections.recording])
    class_of_row = detections.class_id[repeated]
    per_class = tuple(
        _score_rows(detections, repeated[class_of_row == c], int(truths[c]), thresholds)
        for c in range(NUM_CLASSES)
    )
    if metric == "2026-05-28":
        undefined = (np.nan,) * len(thresholds)
        per_class = tuple(c if c.n_det else replace(c, ap=undefined) for c in per_class)
    counted = [c for c in per_class if not np.isnan(c.mAP)]
    correlated = [c.pearson_r for c in per_class if c.pearson_n]
    return Scores(
        metric=metric,
        thresholds=tuple(thresholds),
        macro_ap=tuple(
            float(np.mean([c.ap[k] for c in counted])) if counted else np.nan
            for k in range(len(thresholds))
        ),
        macro_pearson_r=float(np.mean(correlated)) if correlated else np.nan,
        micro=_score_rows(detections, repeated, int(truths.sum()), thresholds),
        per_class=per_class,
        notes=notes,
    )


def _score_rows(
    detections: Pool, rows: NDArray[np.int64], n_gt: int, thresholds: Sequence[float]
) -> PooledScores:
    iou, r = detections.iou[rows], detections.pearson_r[rows]
    r = r[~np.isnan(r)]
    return PooledScores(
        n_gt=n_gt,
        n_det=len(rows),
        ap=tuple(average_precision(iou >= t, n_gt) if n_gt else np.nan for t in thresholds),
        pearson_r=float(r.mean()) if len(r) else np.nan,
        pearson_n=len(r),
    )
