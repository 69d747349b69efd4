"""What of a recording is right, wrong, missed and invented: the counts behind the SELD metrics.

Sources of one class in one frame are assigned to each other by the smallest sum of angles
(Hungarian). ``seld-2022`` and ``seld-2023`` then judge segments of ten frames (Politis2021,
Sec. III), ``seld-2024`` each frame. Three habits of the public code are part of the numbers:

- The last frame with a reference is the first that is not evaluated; ``seld-2022`` and
  ``seld-2023`` go on to the end of its segment, if it is not the first of one.
- Estimates beyond that frame do not count at all.
- Where a class sounds in a segment on both sides, but in no common frame, ``seld-2022`` and
  ``seld-2023`` count the estimates as misses, and no invention.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.formats.dcase_csv import SourceRows

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

SeldMetric = Literal["seld-2022", "seld-2023", "seld-2024"]

ANGLE_THRESHOLD = 20.0
"""Degrees."""
RELATIVE_DISTANCE_THRESHOLD = 1.0
SEGMENT_FRAMES = 10

_EPSILON = np.finfo(float).eps


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """Counts of one recording; C classes, T terms.

    Parameters
    ----------
    references, matched
        (C,) int64: sources of the reference, and those with an estimate of their class.
    wrong_place
        (C,) int64: matched sources beyond a threshold; the others are true positives.
    missed, extra
        (C,) int64: references without estimate, estimates without reference.
    substitutions, deletions, insertions
        Errors of all classes together.
    term_class
        (T,) int64: class of each error below, in the order in which the public code adds them.
    angle_error, distance_error, relative_distance_error
        (T,) float64 degrees, metres, and a ratio; the last two NaN without distances.
    frames
        Frames that were evaluated.
    """

    references: IntArray
    matched: IntArray
    wrong_place: IntArray
    missed: IntArray
    extra: IntArray
    substitutions: int
    deletions: int
    insertions: int
    term_class: IntArray
    angle_error: FloatArray
    distance_error: FloatArray
    relative_distance_error: FloatArray
    frames: int

    @property
    def true_positives(self) -> IntArray:
        """(C,) int64: matched sources within the thresholds."""
        return self.matched - self.wrong_place


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """Assigned sources, sorted by frame, class and reference.

    ``track`` numbers the references of a frame and class from 0 in file order; ``frame_class``
    numbers the frames and classes that both sides have.
    """

    frame: IntArray
    class_id: IntArray
    track: IntArray
    frame_class: IntArray
    angle: FloatArray
    distance: FloatArray
    relative_distance: FloatArray


def count(
    reference: SourceRows,
    estimate: SourceRows,
    metric: SeldMetric = "seld-2024",
    *,
    classes: int = NUM_CLASSES,
) -> Counts:
    """Return the counts of one recording under a metric.

    Rows of classes beyond ``classes`` are left out. Without any reference the estimates are
    extra, in as many frames as they have; the public code cannot read such a recording.

    Parameters
    ----------
    reference, estimate
        What sounds, and what a system says of it, in any order of frames. ``seld-2024`` needs
        the distances of all rows that share frame and class.
    """
    frames = int(reference.frame.max()) if len(reference) else 0
    if not len(reference) and len(estimate):
        frames = int(estimate.frame.max()) + 1
    by_segment = metric != "seld-2024"
    step = SEGMENT_FRAMES if by_segment else 1
    blocks = -(-frames // step)
    reference, estimate = (
        _evaluated(rows, blocks * step, classes) for rows in (reference, estimate)
    )
    pairs = _assigned(reference, estimate, classes, polar=by_segment)
    references, estimates = (_tracks(rows, blocks, step, classes) for rows in (reference, estimate))
    judged = _judged_segments(pairs) if by_segment else _judged_frames(pairs)
    wrong, terms = judged.wrong, judged.terms
    matched_in, wrong_in = (
        np.bincount(
            (judged.frame[rows] // step) * classes + judged.class_id[rows],
            minlength=blocks * classes,
        ).reshape(blocks, classes)
        for rows in (slice(None), wrong)
    )
    missed, extra = _unmatched(references, estimates, matched_in)
    false_positives, misses = (extra + wrong_in).sum(axis=1), missed.sum(axis=1)
    return Counts(
        references=references.sum(axis=0),
        matched=matched_in.sum(axis=0),
        wrong_place=wrong_in.sum(axis=0),
        missed=missed.sum(axis=0),
        extra=extra.sum(axis=0),
        substitutions=int(np.minimum(false_positives, misses).sum()),
        deletions=int(np.maximum(0, misses - false_positives).sum()),
        insertions=int(np.maximum(0, false_positives - misses).sum()),
        term_class=judged.term_class,
        angle_error=terms[0],
        distance_error=terms[1],
        relative_distance_error=terms[2],
        frames=blocks * step,
    )


def _evaluated(rows: SourceRows, frames: int, classes: int) -> SourceRows:
    """Return the rows that count, sorted by frame and class, in file order within both."""
    counted = (rows.frame < frames) & (rows.class_id >= 0) & (rows.class_id < classes)
    rows = rows.take(counted)
    return rows.take(np.lexsort((rows.class_id, rows.frame)))


def _tracks(rows: SourceRows, blocks: int, step: int, classes: int) -> IntArray:
    """Return the (blocks, classes) largest number of sources in a frame of the block."""
    key = rows.frame * classes + rows.class_id
    found, sizes = np.unique(key, return_counts=True)
    most = np.zeros((blocks, classes), np.int64)
    np.maximum.at(most, (found // classes // step, found % classes), sizes)
    return most


def _unmatched(
    references: IntArray, estimates: IntArray, matched: IntArray
) -> tuple[IntArray, IntArray]:
    """Return the (blocks, classes) missed references and extra estimates."""
    both = (references > 0) & (estimates > 0)
    missed = np.where(estimates > 0, np.maximum(references - estimates, 0) * both, references)
    extra = np.where(references > 0, np.maximum(estimates - references, 0) * both, estimates)
    # The class sounds on both sides, but never in one frame.
    apart = both & (matched == 0)
    return np.where(apart, estimates, missed), np.where(apart, 0, extra)


def _assigned(reference: SourceRows, estimate: SourceRows, classes: int, *, polar: bool) -> _Pairs:
    key, i, j, shape = _pairings(reference, estimate, classes)
    angle = (_angle_2022 if polar else _angle_2024)(reference, i, estimate, j)
    matched: list[IntArray] = []
    track: list[IntArray] = []
    start = 0
    for rows, columns in shape:
        size = rows * columns
        if size == 1:
            chosen, of = np.zeros(1, np.int64), np.zeros(1, np.int64)
        else:
            of, to = linear_sum_assignment(angle[start : start + size].reshape(rows, columns))
            chosen = of * columns + to
        matched.append(start + chosen)
        track.append(of)
        start += size
    numbers = np.repeat(np.arange(len(matched)), [len(part) for part in matched])
    pair = np.concatenate([np.zeros(0, np.int64), *matched])
    truth, guess = i[pair], j[pair]
    off = np.abs(reference.distance_m[truth] - estimate.distance_m[guess])
    return _Pairs(
        frame=key[numbers] // classes,
        class_id=key[numbers] % classes,
        track=np.concatenate([np.zeros(0, np.int64), *track]),
        frame_class=numbers,
        angle=angle[pair],
        distance=off,
        relative_distance=off / (reference.distance_m[truth] + _EPSILON),
    )


def _pairings(
    reference: SourceRows, estimate: SourceRows, classes: int
) -> tuple[IntArray, IntArray, IntArray, list[tuple[int, int]]]:
    """Return every pair of rows that share frame and class.

    Returns
    -------
    The shared frames and classes as ``frame * classes + class``; the rows of every pair, those of
    a reference one after the other; and how many references and estimates share each.
    """
    sides = [
        np.unique(rows.frame * classes + rows.class_id, return_index=True, return_counts=True)
        for rows in (reference, estimate)
    ]
    shared, a, b = np.intersect1d(sides[0][0], sides[1][0], return_indices=True)
    first_a, first_b = sides[0][1][a], sides[1][1][b]
    size_a, size_b = sides[0][2][a], sides[1][2][b]
    sizes = size_a * size_b
    group = np.repeat(np.arange(len(shared)), sizes)
    place = np.arange(len(group)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    i = first_a[group] + place // size_b[group]
    j = first_b[group] + place % size_b[group]
    return shared, i, j, list(zip(size_a.tolist(), size_b.tolist(), strict=True))


def _angle_2022(a: SourceRows, i: IntArray, b: SourceRows, j: IntArray) -> FloatArray:
    """Return great-circle angles in degrees by the spherical law of cosines (2022, 2023)."""
    azimuth_a, elevation_a, azimuth_b, elevation_b = (
        angle * np.pi / 180.0
        for angle in (a.azimuth[i], a.elevation[i], b.azimuth[j], b.elevation[j])
    )
    cosine = np.sin(elevation_a) * np.sin(elevation_b) + np.cos(elevation_a) * np.cos(
        elevation_b
    ) * np.cos(np.abs(azimuth_a - azimuth_b))
    return np.asarray(np.arccos(np.clip(cosine, -1, 1)) * 180 / np.pi)


def _angle_2024(a: SourceRows, i: IntArray, b: SourceRows, j: IntArray) -> FloatArray:
    """Return angles in degrees between vectors, normalised with 1e-10 (2024)."""
    (ax, ay, az), (bx, by, bz) = _vectors(a, i), _vectors(b, j)
    length_a = np.sqrt(ax**2 + ay**2 + az**2 + 1e-10)
    length_b = np.sqrt(bx**2 + by**2 + bz**2 + 1e-10)
    ax, ay, az = ax / length_a, ay / length_a, az / length_a
    bx, by, bz = bx / length_b, by / length_b, bz / length_b
    cosine = ax * bx + ay * by + az * bz
    return np.asarray(np.arccos(np.clip(cosine, -1, 1)) * 180 / np.pi)


def _vectors(rows: SourceRows, which: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    azimuth, elevation = (angle[which] * np.pi / 180.0 for angle in (rows.azimuth, rows.elevation))
    level = np.cos(elevation)
    return np.cos(azimuth) * level, np.sin(azimuth) * level, np.sin(elevation)


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """Matched sources of blocks: where, whether at a wrong place, and the errors to add."""

    frame: IntArray
    class_id: IntArray
    wrong: NDArray[np.bool_]
    term_class: IntArray
    terms: tuple[FloatArray, FloatArray, FloatArray]


def _judged_segments(pairs: _Pairs) -> _Judged:
    """Judge each track of a segment by its mean angle over the frames it is matched in.

    A track is the n-th source of its class in every frame; the public code does not follow
    sources. Tracks come in order of their first frame, as there.
    """
    where = np.stack([pairs.frame // SEGMENT_FRAMES, pairs.class_id, pairs.track])
    _, first, group = np.unique(where, axis=1, return_index=True, return_inverse=True)
    by_first = np.argsort(first)
    rank = np.empty(len(first), np.int64)
    rank[by_first] = np.arange(len(first))
    group = rank[group.reshape(-1)]
    # bincount adds one after the other, as the public loop does.
    mean = np.bincount(group, weights=pairs.angle, minlength=len(first)) / np.bincount(
        group, minlength=len(first)
    )
    first = first[by_first]
    nothing = np.full(len(first), np.nan)
    classes = pairs.class_id[first]
    wrong = ~(mean <= ANGLE_THRESHOLD)
    return _Judged(pairs.frame[first], classes, wrong, classes, (mean, nothing, nothing))


def _judged_frames(pairs: _Pairs) -> _Judged:
    """Judge each pair; errors are summed by frame and class first, as in the public code."""
    wrong = (pairs.angle > ANGLE_THRESHOLD) | (
        pairs.relative_distance > RELATIVE_DISTANCE_THRESHOLD
    )
    starts = np.flatnonzero(np.diff(pairs.frame_class, prepend=-1))
    angle, distance, relative = (
        np.array([part.sum() for part in np.split(values, starts[1:])] if len(starts) else [])
        for values in (pairs.angle, pairs.distance, pairs.relative_distance)
    )
    return _Judged(
        pairs.frame, pairs.class_id, wrong, pairs.class_id[starts], (angle, distance, relative)
    )
