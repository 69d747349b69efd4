"""The metric of 2026-04-02: COCO segmentation AP of Gaussian fields.

Every point is a spherical Gaussian of 6 degrees, drawn on 360 x 180; the mask is what reaches a
tenth of the field's peak. This evaluator has a sphere of its own: pixel x looks to azimuth
x - 180 and pixel y to elevation 90 - 180 y / 179, a mirror image of the project's convention
(`saiseld.conventions.sphere`) that no score can see.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import binary_dilation

from saiseld.conventions.sphere import HEIGHT, WIDTH, great_circle
from saiseld.conventions.taxonomy import CLASS_NAMES, NUM_CLASSES
from saiseld.evaluation.average_precision import RECALL_LEVELS, ranking
from saiseld.evaluation.matching import assign
from saiseld.evaluation.scores import ignored_note, json_values
from saiseld.formats.annotation import EnergyMask

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

THRESHOLDS = tuple(float(t) for t in np.linspace(0.5, 0.95, 10))
"""COCO's IoU thresholds."""
MAX_DETECTIONS = 100
MATCH_DEGREES = 20.0

_SIGMA = np.radians(6.0)
_REACH = 4 * _SIGMA
_LEAST_COSINE = 0.087
_MASK_LEVEL = 0.1
_LEAST_PEAK = 1e-9
_DEGREES_PER_ROW = 180 / (HEIGHT - 1)


def _azimuth(x: float) -> float:
    return x - 180.0


def _elevation(y: ArrayLike) -> FloatArray:
    return np.asarray(90.0 - np.asarray(y) * _DEGREES_PER_ROW)


def energy_field(segmentation: Iterable[FloatArray]) -> FloatArray:
    """Return the (180, 360) sum of the points' Gaussians.

    Parameters
    ----------
    segmentation
        One (n, 3) array of ``x, y, energy`` per blob.
    """
    # Three turns wide: a Gaussian may reach past both edges, and the turns are added up at the end.
    turns = np.zeros((HEIGHT, 3 * WIDTH))
    for blob in segmentation:
        column = np.rint(blob[:, 0])
        # Points of one row that lie alike between columns share a kernel: in a label, all of a row.
        groups, group_of = np.unique(blob[:, 1] + 1j * (blob[:, 0] - column), return_inverse=True)
        for group, key in enumerate(groups):
            members = group_of == group
            rows, offset, kernel = _kernel(float(key.real), float(key.imag))
            columns = column[members].astype(int)
            first, reach = columns.min(), kernel.shape[1] - 1
            line = np.bincount(columns - first, blob[members, 2])
            padded = np.zeros(len(line) + 2 * reach)
            padded[reach : reach + len(line)] = line
            spread = kernel[:, ::-1] @ sliding_window_view(padded, reach + 1).T
            left = WIDTH + first + offset
            turns[rows, left : left + spread.shape[1]] += spread
    return np.asarray(turns.reshape(HEIGHT, 3, WIDTH).sum(axis=1))


@lru_cache(maxsize=256)
def _kernel(y: float, fraction: float) -> tuple[slice, int, FloatArray]:
    """Return rows, first column and values of a point's Gaussian, ``fraction`` off column 0."""
    elevation = np.radians(_elevation(y))
    rows_reached = np.degrees(_REACH) / _DEGREES_PER_ROW
    top = max(0, int(np.floor(y - rows_reached)))
    rows = slice(top, min(HEIGHT, int(np.ceil(y + rows_reached)) + 1))
    half = int(np.ceil(np.degrees(min(np.pi, _REACH / max(np.cos(elevation), _LEAST_COSINE)))))
    # A point near a pole reaches every column; none of them twice.
    offsets = np.arange(-half, half + 1)[:WIDTH]
    elevations = np.radians(_elevation(np.arange(rows.start, rows.stop)))
    haversine = (
        np.sin((elevations[:, None] - elevation) / 2) ** 2
        + np.cos(elevation)
        * np.cos(elevations)[:, None]
        * np.sin(np.radians(offsets - fraction) / 2) ** 2
    )
    return rows, -half, np.exp(-4 * haversine / (2 * _SIGMA**2))


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """A mask as this metric sees it; ``inside`` is None where the field has no peak."""

    class_id: int
    score: float
    distance_cm: float
    energy: FloatArray
    inside: BoolArray | None
    azimuth: float
    elevation: float


def _draw(mask: EnergyMask, fields: dict[tuple[bytes, ...], FloatArray]) -> _Drawn:
    key = tuple(blob.tobytes() for blob in mask.segmentation)
    if key not in fields:
        fields[key] = energy_field(mask.segmentation)
    energy = fields[key]
    points = np.concatenate([np.zeros((0, 3)), *mask.segmentation])
    strongest = points[np.argmax(points[:, 2])] if len(points) else np.full(3, np.nan)
    peak = energy.max()
    return _Drawn(
        class_id=mask.class_id,
        score=np.nan if mask.score is None else mask.score,
        distance_cm=np.nan if mask.distance_cm is None else mask.distance_cm,
        energy=energy,
        inside=energy >= _MASK_LEVEL * peak if peak >= _LEAST_PEAK else None,
        azimuth=_azimuth(float(strongest[0])),
        elevation=float(_elevation(strongest[1])),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """The detections of one frame and class against its ground truth.

    Parameters
    ----------
    score
        (d,) float64.
    iou
        (d, g) IoU of the binary masks.
    """

    class_id: int
    score: FloatArray
    iou: FloatArray

    def true_positives(self) -> tuple[FloatArray, BoolArray]:
        """Return scores (k,) and (thresholds, k) true positives of the best 100, best first.

        As COCO does: each detection in turn takes the free ground truth it overlaps most, if by
        at least the threshold; the last of equals.
        """
        order = ranking(self.score)[:MAX_DETECTIONS]
        found = np.zeros((len(THRESHOLDS), len(order)), bool)
        for k, threshold in enumerate(THRESHOLDS):
            free = self.iou[order].copy()
            for rank in range(len(order)):
                row = free[rank]
                if len(row) and row.max() >= threshold:
                    taken = len(row) - 1 - int(np.argmax(row[::-1]))
                    found[k, rank] = True
                    free[:, taken] = -1
        return self.score[order], found


@dataclass(frozen=True, slots=True, eq=False)
class MatchedFields:
    """A recording under the metric of 2026-04-02.

    Parameters
    ----------
    groups
        Every frame and class with detections or ground truth.
    pearson_r, distance_error_percent
        Of the pairs matched within 20 degrees; NaN where undefined.
    ignored_class_id
        Category ids outside 0-12 on either side, left out.
    """

    groups: tuple[Group, ...]
    pearson_r: FloatArray
    distance_error_percent: FloatArray
    ignored_class_id: IntArray

    @property
    def truths(self) -> int:
        """Number of ground-truth instances."""
        return sum(group.iou.shape[1] for group in self.groups)


def match_fields(
    systems: Mapping[str, Sequence[EnergyMask]], labels: Sequence[EnergyMask]
) -> dict[str, MatchedFields]:
    """Match the predictions of several systems for one recording with its ground truth.

    Frames are drawn one after the other and forgotten: a field takes half a megabyte.
    """
    groups: dict[str, list[Group]] = {name: [] for name in systems}
    pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in systems}
    frames = {name: _by_frame(masks) for name, masks in systems.items()}
    truths = _by_frame(labels)
    for frame in sorted(set(truths).union(*frames.values())):
        fields: dict[tuple[bytes, ...], FloatArray] = {}
        truth = [_draw(mask, fields) for mask in truths.get(frame, [])]
        for name in systems:
            found = [_draw(mask, fields) for mask in frames[name].get(frame, [])]
            for class_id in sorted({m.class_id for m in truth + found}):
                ours = [m for m in found if m.class_id == class_id]
                theirs = [m for m in truth if m.class_id == class_id]
                groups[name].append(_group(class_id, ours, theirs))
                pairs[name].extend(_near_pairs(ours, theirs))
    outside = [m.class_id for m in labels if not _known(m)]
    matched = {}
    for name, masks in systems.items():
        r, distance = np.array(pairs[name]).reshape(-1, 2).T
        ignored = [*outside, *(m.class_id for m in masks if not _known(m))]
        matched[name] = MatchedFields(
            tuple(groups[name]), r, distance, np.array(ignored, dtype=np.int64)
        )
    return matched


def _known(mask: EnergyMask) -> bool:
    return 0 <= mask.class_id < NUM_CLASSES


def _by_frame(masks: Sequence[EnergyMask]) -> dict[int, list[EnergyMask]]:
    frames: dict[int, list[EnergyMask]] = {}
    for mask in filter(_known, masks):
        frames.setdefault(mask.frame, []).append(mask)
    return frames


def _group(class_id: int, found: list[_Drawn], truth: list[_Drawn]) -> Group:
    kept = [m for m in found if m.inside is not None]
    inside = [[m.inside for m in side if m.inside is not None] for side in (found, truth)]
    ours, theirs = (
        np.array(side, dtype=np.float64).reshape(len(side), HEIGHT * WIDTH) for side in inside
    )
    shared = ours @ theirs.T
    union = ours.sum(axis=1)[:, None] + theirs.sum(axis=1) - shared
    return Group(class_id, np.array([m.score for m in kept], dtype=np.float64), shared / union)


def _near_pairs(found: list[_Drawn], truth: list[_Drawn]) -> Iterator[tuple[float, float]]:
    """Yield (Pearson's r, distance error in percent) of the pairs within 20 degrees."""
    found = [m for m in found if m.inside is not None]
    truth = [m for m in truth if m.inside is not None]
    angle = great_circle(
        np.array([[m.azimuth] for m in truth]).reshape(-1, 1),
        np.array([[m.elevation] for m in truth]).reshape(-1, 1),
        np.array([m.azimuth for m in found]),
        np.array([m.elevation for m in found]),
    )
    for i, j in zip(*assign(-angle), strict=True):
        if angle[i, j] <= MATCH_DEGREES:
            expected, guessed = truth[i].distance_cm, found[j].distance_cm
            error = 100 * abs(expected - guessed) / expected if expected > 0 else np.nan
            yield _correlation(truth[i], found[j]), error


def _correlation(truth: _Drawn, found: _Drawn) -> float:
    assert truth.inside is not None and found.inside is not None
    region = binary_dilation(truth.inside | found.inside, iterations=2)
    a, b = truth.energy[region], found.energy[region]
    if a.std() < 1e-12 or b.std() < 1e-12:
        return np.nan
    return float(np.corrcoef(a, b)[0, 1])


@dataclass(frozen=True, slots=True)
class FieldScores:
    """Scores of the metric of 2026-04-02; NaN where undefined.

    Parameters
    ----------
    mask_mAP, mask_AP50
        Mean over classes with ground truth of the mean AP at IoU 0.50:0.05:0.95, and at 0.50.
    pearson_r, distance_error_percent
        Means over pairs matched within 20 degrees.
    per_class
        13 dictionaries with n_gt, n_det, mAP, AP50.
    notes
        What was left out.
    """

    mask_mAP: float
    mask_AP50: float
    pearson_r: float
    distance_error_percent: float
    per_class: tuple[Mapping[str, float], ...]
    notes: tuple[str, ...] = field(default=())
    metric: str = "2026-04-02"

    def headline(self) -> dict[str, float]:
        """Return the numbers of the whole data set by their official names."""
        return {
            "mask_mAP": self.mask_mAP,
            "mask_AP50": self.mask_AP50,
            "pearson_r": self.pearson_r,
            "distance_error_percent": self.distance_error_percent,
        }

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values; what is undefined is None."""
        return {
            "metric": self.metric,
            **json_values(self.headline()),
            "per_class": {
                name: json_values(scores)
                for name, scores in zip(CLASS_NAMES, self.per_class, strict=True)
            },
            "notes": list(self.notes),
        }


def score_fields(recordings: Iterable[MatchedFields]) -> FieldScores:
    """Return the scores of matched recordings under the metric of 2026-04-02."""
    recordings = list(recordings)
    groups = [group for recording in recordings for group in recording.groups]
    per_class = [_score_class([g for g in groups if g.class_id == c]) for c in range(NUM_CLASSES)]
    ignored = np.concatenate([np.zeros(0, int), *(r.ignored_class_id for r in recordings)])
    return FieldScores(
        mask_mAP=_mean([c["mAP"] for c in per_class]),
        mask_AP50=_mean([c["AP50"] for c in per_class]),
        pearson_r=_mean([x for r in recordings for x in r.pearson_r]),
        distance_error_percent=_mean([x for r in recordings for x in r.distance_error_percent]),
        per_class=tuple(per_class),
        notes=ignored_note(ignored),
    )


def _score_class(groups: Sequence[Group]) -> dict[str, float]:
    ranked = [group.true_positives() for group in groups]
    score = np.concatenate([np.zeros(0), *(s for s, _ in ranked)])
    found = np.concatenate([np.zeros((len(THRESHOLDS), 0), bool), *(f for _, f in ranked)], axis=1)
    found = found[:, ranking(score)]
    n_gt = sum(group.iou.shape[1] for group in groups)
    ap = [_coco_ap(row, n_gt) for row in found]
    return {"n_gt": n_gt, "n_det": len(score), "mAP": float(np.mean(ap)), "AP50": ap[0]}


def _coco_ap(true_positive: BoolArray, n_gt: int) -> float:
    """Return COCO's 101-point AP, NaN without ground truth."""
    if not n_gt:
        return np.nan
    found = np.cumsum(true_positive)
    precision = found / (np.arange(1, len(found) + 1) + np.spacing(1))
    best_from = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return float(best_from[np.searchsorted(found / n_gt, RECALL_LEVELS, side="left")].mean())


def _mean(values: Sequence[float]) -> float:
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else np.nan
