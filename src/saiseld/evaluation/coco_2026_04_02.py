"""The metric of 2026-04-02: COCO segmentation AP of Gaussian fields.

Every point is a spherical Gaussian of 6 degrees, drawn on 360 x 180; the mask is what reaches a
tenth of the field's peak. This evaluator has a sphere of its own: pixel x looks to azimuth
x - 180 and pixel y to elevation 90 - 180 y / 179, a mirror image of the project's convention
(`saiseld.conventions.sphere`) that no score can see. Fields are summed point by point in single
precision, as there: which pixel reaches the tenth can turn on the last digit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.sphere import HEIGHT, WIDTH
from saiseld.conventions.taxonomy import CLASS_NAMES, NUM_CLASSES
from saiseld.evaluation.average_precision import RECALL_LEVELS
from saiseld.evaluation.matching import assign
from saiseld.evaluation.scores import ignored_note, json_values, mean_of_defined
from saiseld.formats.annotation import EnergyMask

FloatArray = NDArray[np.float64]
SingleArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

THRESHOLDS = tuple(float(t) for t in np.linspace(0.5, 0.95, 10))
"""COCO's IoU thresholds."""
MAX_DETECTIONS = 100
MATCH_DEGREES = 20.0

_SIGMA = math.radians(6.0)
_REACH = 4 * _SIGMA
_MIN_COSINE = 0.087
_MASK_LEVEL = 0.1
_MIN_PEAK = 1e-9
_MIN_RANGE = 1e-7
_MIN_DISTANCE_CM = 1e-3
_BEYOND = 1000.0

_AZIMUTHS = np.radians(np.arange(WIDTH, dtype=np.float32) / WIDTH * 360 - 180)
_ELEVATIONS = np.radians(90 - np.arange(HEIGHT, dtype=np.float32) / (HEIGHT - 1) * 180)
_COSINES = np.cos(_ELEVATIONS)


def energy_field(segmentation: Iterable[FloatArray]) -> SingleArray:
    """Return the (180, 360) float32 sum of the points' Gaussians.

    Parameters
    ----------
    segmentation
        One (n, 3) array of ``x, y, energy`` per blob.
    """
    field = np.zeros((HEIGHT, WIDTH), np.float32)
    for blob in segmentation:
        for x, y, energy in blob.tolist():
            _add_gaussian(field, x, y, energy)
    return field


def _add_gaussian(field: SingleArray, x: float, y: float, energy: float) -> None:
    azimuth = math.radians(x / WIDTH * 360 - 180)
    elevation = math.radians(90 - y / (HEIGHT - 1) * 180)
    rows = _rows_within_reach(elevation)
    height = np.sin((_ELEVATIONS[rows] - elevation) / 2) ** 2
    narrowing = math.cos(elevation) * _COSINES[rows]
    for columns in _columns_within_reach(azimuth, elevation):
        width = np.sin((_AZIMUTHS[columns] - azimuth) / 2) ** 2
        gaussian = height[:, None] + narrowing[:, None] * width
        gaussian *= -4 * (0.5 / (_SIGMA * _SIGMA))
        np.exp(gaussian, out=gaussian)
        gaussian *= energy
        field[rows, columns] += gaussian


def _rows_within_reach(elevation: float) -> slice:
    top, bottom = min(math.pi / 2, elevation + _REACH), max(-math.pi / 2, elevation - _REACH)
    first = math.floor((math.pi / 2 - top) / math.pi * (HEIGHT - 1))
    last = math.ceil((math.pi / 2 - bottom) / math.pi * (HEIGHT - 1))
    return slice(max(0, first), max(0, min(HEIGHT, last + 1)))


def _columns_within_reach(azimuth: float, elevation: float) -> tuple[slice, ...]:
    """Return the columns of a point's window, in two parts where the seam cuts it.

    Near a pole the window is a column or two wider than the canvas. The parts then share columns,
    which are drawn twice; or, where the whole width has gone round, they are what is left of it.
    """
    half = math.degrees(min(math.pi, _REACH / max(math.cos(elevation), _MIN_COSINE)))
    centre = math.degrees(azimuth)
    first = math.floor((centre - half + 180) / 360 * WIDTH)
    end = math.ceil((centre + half + 180) / 360 * WIDTH) + 1
    if first >= 0 and end <= WIDTH:
        return (slice(first, end),)
    return slice(0, end % WIDTH or WIDTH), slice(first % WIDTH, WIDTH)


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """A mask with a field, as this metric sees it; ``peak`` is x, y of the strongest point."""

    class_id: int
    score: float
    distance_cm: float
    energy: SingleArray
    inside: BoolArray
    peak: tuple[float, float]


def _draw(mask: EnergyMask, fields: dict[tuple[bytes, ...], SingleArray]) -> _Drawn | None:
    """Return a mask drawn; None where its field has no peak, which leaves it out."""
    key = tuple(blob.tobytes() for blob in mask.segmentation)
    if key not in fields:
        fields[key] = energy_field(mask.segmentation)
    energy = fields[key]
    highest = energy.max()
    if not highest >= _MIN_PEAK:
        return None
    points = np.concatenate([np.zeros((1, 3)), *mask.segmentation])
    x, y, _ = points[np.argmax(points[:, 2])].tolist()
    return _Drawn(
        class_id=mask.class_id,
        score=0.0 if mask.score is None else mask.score,
        distance_cm=0.0 if mask.distance_cm is None else mask.distance_cm,
        energy=energy,
        inside=energy >= _MASK_LEVEL * highest,
        peak=(x, y),
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
        order = np.argsort(-self.score, kind="stable")[:MAX_DETECTIONS]
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
        fields: dict[tuple[bytes, ...], SingleArray] = {}
        truth = _drawn(truths.get(frame, []), fields)
        for name in systems:
            found = _drawn(frames[name].get(frame, []), fields)
            for class_id in sorted({m.class_id for m in truth + found}):
                ours = [m for m in found if m.class_id == class_id]
                theirs = [m for m in truth if m.class_id == class_id]
                groups[name].append(_group(class_id, ours, theirs))
            pairs[name].extend(_near_pairs(found, truth))
    outside = [m.class_id for m in labels if not _has_class(m)]
    matched = {}
    for name, masks in systems.items():
        r, distance = np.array(pairs[name]).reshape(-1, 2).T
        ignored = [*outside, *(m.class_id for m in masks if not _has_class(m))]
        matched[name] = MatchedFields(
            tuple(groups[name]), r, distance, np.array(ignored, dtype=np.int64)
        )
    return matched


def _has_class(mask: EnergyMask) -> bool:
    return 0 <= mask.class_id < NUM_CLASSES


def _by_frame(masks: Sequence[EnergyMask]) -> dict[int, list[EnergyMask]]:
    frames: dict[int, list[EnergyMask]] = {}
    for mask in filter(_has_class, masks):
        frames.setdefault(mask.frame, []).append(mask)
    return frames


def _drawn(
    masks: Sequence[EnergyMask], fields: dict[tuple[bytes, ...], SingleArray]
) -> list[_Drawn]:
    return [drawn for mask in masks if (drawn := _draw(mask, fields)) is not None]


def _group(class_id: int, found: list[_Drawn], truth: list[_Drawn]) -> Group:
    ours, theirs = (
        np.array([m.inside for m in side], np.float64).reshape(len(side), HEIGHT * WIDTH)
        for side in (found, truth)
    )
    shared = ours @ theirs.T
    union = ours.sum(axis=1)[:, None] + theirs.sum(axis=1) - shared
    return Group(class_id, np.array([m.score for m in found], np.float64), shared / union)


def _near_pairs(found: list[_Drawn], truth: list[_Drawn]) -> Iterator[tuple[float, float]]:
    """Yield (Pearson's r, distance error in percent) of the pairs of a class within 20 degrees.

    As many as there can be, and of those the nearest together. A detection without distance
    counts as 0; the error of a truth at 0.001 cm or less is undefined.
    """
    if not found or not truth:
        return
    angle = _angles(truth, found)
    angle[np.not_equal.outer([m.class_id for m in truth], [m.class_id for m in found])] = _BEYOND
    angle[angle > MATCH_DEGREES] = _BEYOND
    for i, j in zip(*assign(-angle), strict=True):
        if angle[i, j] <= MATCH_DEGREES:
            expected, guessed = truth[i].distance_cm, found[j].distance_cm
            valid = expected > _MIN_DISTANCE_CM
            error = abs(expected - guessed) / expected * 100 if valid else np.nan
            yield _correlation(truth[i], found[j]), error


def _angles(truth: list[_Drawn], found: list[_Drawn]) -> SingleArray:
    """Return the (truth, found) great-circle angles between strongest points, in degrees."""
    peaks = (np.array([m.peak for m in side], np.float32).T for side in (truth, found))
    (azimuth, elevation), (other_azimuth, other_elevation) = (
        (np.radians(x / WIDTH * 360 - 180), np.radians(90 - y / (HEIGHT - 1) * 180))
        for x, y in peaks
    )
    haversine = (
        np.sin(np.subtract.outer(elevation, other_elevation) / 2) ** 2
        + np.multiply.outer(np.cos(elevation), np.cos(other_elevation))
        * np.sin(np.subtract.outer(azimuth, other_azimuth) / 2) ** 2
    )
    return np.asarray(np.degrees(2 * np.arcsin(np.sqrt(np.clip(haversine, 0, 1)))))


def _correlation(truth: _Drawn, found: _Drawn) -> float:
    from scipy.ndimage import binary_dilation  # loaded by the first pair

    region = binary_dilation(truth.inside | found.inside, iterations=2)
    a, b = truth.energy[region], found.energy[region]
    with np.errstate(invalid="ignore"):  # of energies that are not finite
        if not (np.ptp(a) > _MIN_RANGE and np.ptp(b) > _MIN_RANGE):
            return np.nan
        return float(np.corrcoef(a, b)[0, 1])


@dataclass(frozen=True, slots=True)
class FieldScores:
    """Scores of the metric of 2026-04-02; NaN where undefined, and without any detection.

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
    if not any(c["n_det"] for c in per_class):
        per_class = [{**c, "mAP": np.nan, "AP50": np.nan} for c in per_class]
    ignored = np.concatenate([np.zeros(0, int), *(r.ignored_class_id for r in recordings)])
    return FieldScores(
        mask_mAP=mean_of_defined([c["mAP"] for c in per_class]),
        mask_AP50=mean_of_defined([c["AP50"] for c in per_class]),
        pearson_r=mean_of_defined([x for r in recordings for x in r.pearson_r]),
        distance_error_percent=mean_of_defined(
            [x for r in recordings for x in r.distance_error_percent]
        ),
        per_class=tuple(per_class),
        notes=ignored_note(ignored),
    )


def _score_class(groups: Sequence[Group]) -> dict[str, float]:
    ranked = [group.true_positives() for group in groups]
    score = np.concatenate([np.zeros(0), *(s for s, _ in ranked)])
    found = np.concatenate([np.zeros((len(THRESHOLDS), 0), bool), *(f for _, f in ranked)], axis=1)
    found = found[:, np.argsort(-score, kind="stable")]
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
