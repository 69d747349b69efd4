"""Audiovisual fusion: one table of candidates from the detector's and the audio branch's.

Both branches name a class and a direction. Rows of one class within `REACH_DEG` on the sphere are
one candidate, with a direction between both; a row of one branch alone is a candidate too. The
score is the probability that the candidate's mask is right, from a logistic model of `EVIDENCE`
and its products. Each case (both branches, audio alone, detector alone) has a model of its own, so
no evidence is made up for a missing branch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from saiseld.conventions.label_law import LABEL_EXTENT_DEG
from saiseld.conventions.sphere import angles_of_vector, unit_vector, wrap_azimuth
from saiseld.decision.emission import (
    SPOT_RADIUS,
    centroid_directions,
    spots,
)
from saiseld.formats.candidates import BRANCHES, FUSED, Candidates
from saiseld.runtime.errors import CandidateError, CheckpointError, refusing
from saiseld.runtime.files import indented_json, write_bytes

REACH_DEG = 20.0
"""Directions of one class this near are of one source."""

AGREED_DEG = 8.0
"""Where both branches agree this closely, the direction is precise (docs/decision.md#fusion)."""

Available = Literal["both", "audio", "detector"]
FloatArray = NDArray[np.float64]

_NOTHING = -7.0
"""Log odds that stand for a score below all that either table lists."""

EVIDENCE: Mapping[Available, tuple[str, ...]] = {
    "both": (
        *("audio", "audio_margin", "audio_rank", "audio_missing"),
        *("detector", "detector_margin", "detector_activity", "detector_missing"),
        *("apart", "agreement"),
    ),
    "audio": ("audio", "audio_margin", "audio_rank"),
    "detector": ("detector", "detector_margin", "detector_activity"),
}
"""What a model weighs, by what there is.

Log odds of the candidate's own score (``audio``, ``detector``), by how much they exceed the best
other class there (``margin``) and the best of the class in the frame (``rank``, at most 0), the
best of any class there (``activity``), whether a branch has no row of this class there
(``missing``), the angle between both as a share of the reach (``apart``), and the smaller of both
log odds (``agreement``).
"""


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Rows of both branches that are one candidate each; R of them, sorted by frame.

    Parameters
    ----------
    frame, class_id
        (R,) of both.
    audio_row, detector_row
        (R,) rows of the two tables, -1 where one has nothing.
    evidence
        (R, 10) the columns of ``EVIDENCE["both"]``.
    """

    frame: NDArray[np.int32]
    class_id: NDArray[np.int8]
    audio_row: NDArray[np.int64]
    detector_row: NDArray[np.int64]
    evidence: FloatArray


def match_candidates(detector: Candidates | None, audio: Candidates | None) -> Matches:
    """Match two tables of one recording; one of them may be missing.

    Each row of the audio branch takes the best row of the detector within reach that is left;
    detector rows without an energy map, which nothing can emit, take no part.
    """
    detector_rows = _Rows.of(detector)
    audio_rows = _Rows.of(audio)
    pairs: list[tuple[int, int]] = []
    for audio_index, detector_index in _frames(audio_rows, detector_rows):
        pairs += _pairs(audio_rows, audio_index, detector_rows, detector_index)
    audio_row, detector_row = np.array(pairs, np.int64).reshape(-1, 2).T
    has_audio = audio_row >= 0
    frame = np.where(has_audio, audio_rows.frame[audio_row], detector_rows.frame[detector_row])
    class_id = np.where(
        has_audio, audio_rows.class_id[audio_row], detector_rows.class_id[detector_row]
    )
    direction = np.where(
        has_audio[:, None], audio_rows.direction[audio_row], detector_rows.direction[detector_row]
    )
    audio_near = _odds_near(audio_rows, frame, class_id, direction)
    detector_near = _odds_near(detector_rows, frame, class_id, direction)
    audio_odds = np.where(has_audio, audio_rows.odds[audio_row], audio_near.here)
    detector_odds = np.where(
        detector_row >= 0, detector_rows.odds[detector_row], detector_near.here
    )
    both = has_audio & (detector_row >= 0)
    cosine = np.einsum(
        "ni,ni->n", audio_rows.direction[audio_row], detector_rows.direction[detector_row]
    )
    apart = np.degrees(np.arccos(np.clip(cosine, -1, 1))) / REACH_DEG
    evidence = np.stack(
        [
            audio_odds,
            audio_odds - audio_near.others,
            audio_odds - audio_near.best_of_class,
            ~has_audio,
            detector_odds,
            detector_odds - detector_near.others,
            detector_near.activity,
            detector_row < 0,
            np.where(both, apart, 0.0),
            np.minimum(audio_odds, detector_odds),
        ],
        axis=1,
    ).astype(float)
    order = np.argsort(frame, kind="stable")
    detector_source = np.where(detector_row >= 0, detector_rows.row[detector_row], -1)
    audio_source = np.where(has_audio, audio_rows.row[audio_row], -1)
    return Matches(
        frame[order].astype(np.int32),
        class_id[order].astype(np.int8),
        audio_source[order],
        detector_source[order],
        evidence[order],
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """What is needed of a table's rows; a last row that says nothing stands for index -1."""

    row: NDArray[np.int64]
    frame: NDArray[np.int64]
    class_id: NDArray[np.int64]
    odds: FloatArray
    direction: FloatArray

    @classmethod
    def of(cls, table: Candidates | None) -> _Rows:
        rows = np.flatnonzero(table.has_map) if table is not None else np.empty(0, np.int64)
        nothing = np.array([-1])
        if table is None:
            return cls(nothing, nothing, nothing, np.array([_NOTHING]), np.zeros((1, 3)))
        odds = np.clip(logit(np.clip(table.score[rows].astype(float), 1e-6, 1 - 1e-6)), _NOTHING, 7)
        return cls(
            np.append(rows, -1),
            np.append(table.frame[rows].astype(np.int64), -1),
            np.append(table.class_id[rows].astype(np.int64), -1),
            np.append(odds, _NOTHING),
            np.concatenate(
                [unit_vector(table.azimuth[rows], table.elevation[rows]), np.zeros((1, 3))]
            ),
        )


def _frames(audio: _Rows, detector: _Rows) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    frames = np.union1d(audio.frame[:-1], detector.frame[:-1])
    bounds = [
        np.stack([np.searchsorted(t.frame[:-1], frames, side) for side in ("left", "right")], 1)
        for t in (audio, detector)
    ]
    return [(np.arange(*a), np.arange(*b)) for a, b in zip(*bounds, strict=True)]


def _pairs(
    audio: _Rows, audio_index: NDArray[np.int64], detector: _Rows, detector_index: NDArray[np.int64]
) -> list[tuple[int, int]]:
    """Return the (row of the audio branch, row of the detector) of a frame, -1 for none."""
    same = audio.class_id[audio_index][:, None] == detector.class_id[detector_index]
    near = same & (
        audio.direction[audio_index] @ detector.direction[detector_index].T
        > np.cos(np.radians(REACH_DEG))
    )
    free = np.ones(len(detector_index), bool)
    pairs = []
    for index in np.argsort(-audio.odds[audio_index], kind="stable"):
        choice = np.flatnonzero(near[index] & free)
        if len(choice):
            taken = choice[np.argmax(detector.odds[detector_index[choice]])]
            # Other rows of the same place and class are duplicates.
            free[choice] = False
            pairs.append((int(audio_index[index]), int(detector_index[taken])))
        else:
            pairs.append((int(audio_index[index]), -1))
    alone = detector_index[free & ~near.any(axis=0)]
    return pairs + [(-1, int(row)) for row in alone]


@dataclass(frozen=True, slots=True, eq=False)
class _OddsNear:
    """The best log odds of a table about some places: of the class, of others, of any."""

    here: FloatArray
    others: FloatArray
    activity: FloatArray
    best_of_class: FloatArray


def _odds_near(
    table: _Rows, frame: NDArray[np.int64], class_id: NDArray[np.int64], direction: FloatArray
) -> _OddsNear:
    near_odds = np.full((4, len(frame)), _NOTHING)
    limit = np.cos(np.radians(REACH_DEG))
    left, right = (np.searchsorted(table.frame[:-1], frame, side) for side in ("left", "right"))
    for index in np.flatnonzero(right > left):
        rows = slice(left[index], right[index])
        odds = table.odds[rows]
        near = table.direction[rows] @ direction[index] > limit
        same = table.class_id[rows] == class_id[index]
        for place, chosen in enumerate((near & same, near & ~same, near, same)):
            if chosen.any():
                near_odds[place, index] = odds[chosen].max()
    return _OddsNear(*near_odds)


class LogisticCalibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A logistic model: log odds that are a quadratic form of standardised evidence.

    Products matter: what one branch's evidence is worth depends on the other's (docs/decision.md).

    Parameters
    ----------
    mean, scale
        Of each of F columns of evidence.
    weight
        Of the F columns and the F (F + 1) / 2 products of two of them.
    bias
        Log odds of average evidence, but for the products.
    """

    mean: list[float]
    scale: list[float]
    weight: list[float]
    bias: float

    @classmethod
    def fit(
        cls, evidence: FloatArray, target: FloatArray, weight: FloatArray
    ) -> LogisticCalibration:
        """Return the model of evidence (N, F), each row's target (N,) in [0, 1] and weight (N,)."""
        from sklearn.linear_model import LogisticRegression  # slow to load

        mean, scale = evidence.mean(axis=0), evidence.std(axis=0)
        scale[scale == 0] = 1.0
        values = np.tile(_with_products((evidence - mean) / scale), (2, 1))
        outcome = np.repeat([1, 0], len(target))
        model = LogisticRegression(max_iter=1000)
        share = np.concatenate([weight * target, weight * (1 - target)])
        model.fit(values, outcome, sample_weight=share)
        slope, bias = model.coef_[0].tolist(), float(model.intercept_[0])
        return cls(mean.tolist(), scale.tolist(), slope, bias)

    def odds(self, evidence: FloatArray) -> FloatArray:
        """Return (N,) log odds."""
        values = (evidence - np.array(self.mean)) / np.array(self.scale)
        return np.asarray(_with_products(values) @ np.array(self.weight) + self.bias)


def _with_products(values: FloatArray) -> FloatArray:
    """Return columns (N, F) and, after them, all products of two of them."""
    first, second = np.triu_indices(values.shape[1])
    return np.hstack([values, values[:, first] * values[:, second]])


_EXPECTED, _ADVICE = "a fusion model (JSON)", "Train one with `saiseld train fusion`"
FORMAT_VERSION = 2
_RENAMED = {"ear": "audio", "eye": "detector", "toward_eye": "toward_detector"}
"""Keys of models of 0.2, which are read under their names of today."""


class Fusion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Calibrated scores of both branches, alone and together.

    Parameters
    ----------
    both, audio, detector
        Models of what there is, on the columns of `EVIDENCE`.
    toward_detector
        How far a direction is moved from the audio branch's to the detector's, from 0 to 1.
    rooms, recordings
        What it was fitted on.
    """

    both: LogisticCalibration | None
    audio: LogisticCalibration
    detector: LogisticCalibration | None
    toward_detector: float
    rooms: list[str]
    recordings: list[str]
    format_version: int = FORMAT_VERSION

    def model(self, available: Available) -> LogisticCalibration:
        """Return the model for what there is.

        Raises
        ------
        CandidateError
            If this is a model of the audio branch alone.
        """
        model = {"both": self.both, "audio": self.audio, "detector": self.detector}[available]
        if model is None:
            raise CandidateError(
                "candidates",
                expected="rows of the audio branch alone, as the fusion model was fitted on",
                found="rows of the detector",
                advice="Use --system audio",
            )
        return model

    @property
    def is_audio_only(self) -> bool:
        """Whether it was fitted without a detector."""
        return self.both is None and self.detector is None

    def save(self, path: str | Path) -> None:
        """Write JSON, whole or not at all."""
        write_bytes(path, indented_json(self) + b"\n")

    @classmethod
    def load(cls, path: str | Path) -> Fusion:
        """Read a model.

        Raises
        ------
        CheckpointError
            If the file is no such model, or one for other evidence.
        """
        path = Path(path)
        with refusing(CheckpointError, path, _EXPECTED, advice=_ADVICE):
            content = msgspec.json.decode(path.read_bytes())
        return cls.of_json(content, path)

    def as_json(self) -> dict[str, Any]:
        """Return what `of_json` reads."""
        return dict(msgspec.to_builtins(self))

    @classmethod
    def of_json(cls, content: object, source: str | Path) -> Fusion:
        """Return the model that decoded JSON describes; raises what `load` does.

        Parameters
        ----------
        content
            Decoded JSON.
        source
            Where it is from, for an error.
        """
        if isinstance(content, dict):
            content = {_RENAMED.get(key, key): value for key, value in content.items()}
        with refusing(CheckpointError, source, _EXPECTED, advice=_ADVICE):
            fusion = msgspec.convert(content, cls)
        if fusion.format_version != FORMAT_VERSION or not 0 <= fusion.toward_detector <= 1:
            raise CheckpointError(
                source,
                expected=f"format version {FORMAT_VERSION}, toward_detector from 0 to 1",
                found=f"{fusion.format_version}, {fusion.toward_detector}",
            )
        for available, names in EVIDENCE.items():
            if available != "audio" and fusion.is_audio_only:
                continue
            model, count = fusion.model(available), len(names)
            sizes = len(model.mean), len(model.scale), len(model.weight)
            expected = count, count, count * (count + 3) // 2
            numbers = [*model.mean, *model.scale, *model.weight, model.bias]
            if sizes != expected or not np.isfinite(numbers).all() or min(model.scale) <= 0:
                raise CheckpointError(
                    source,
                    place=available,
                    expected=f"{expected[2]} finite weights, and scales above 0",
                    found="others",
                )
        return fusion


def fuse(detector: Candidates | None, audio: Candidates | None, fusion: Fusion) -> Candidates:
    """Return the candidates of both branches together, best score first in a frame.

    Parameters
    ----------
    detector, audio
        Tables of one recording. Without pictures leave the detector out: of sound alone the audio
        branch's rows are better.
    fusion
        Fitted model.

    Raises
    ------
    CandidateError
        If there is neither, or they are of different recordings.
    """
    detector = None if detector is None else balanced(detector)
    parts = [table for table in (detector, audio) if table is not None]
    if not parts:
        raise CandidateError("fusion", expected="candidates of either branch", found="neither")
    if len({(table.recording, table.frames) for table in parts}) > 1:
        raise CandidateError(
            parts[0].recording,
            expected="candidates of one recording",
            found=" and ".join(f"{t.recording} ({t.frames} frames)" for t in parts),
        )
    available: Available = (
        "both" if len(parts) == 2 else "audio" if detector is None else "detector"
    )
    matches = match_candidates(detector, audio)
    score = expit(fusion.model(available).odds(evidence_of(matches, available)))
    table = merged(matches, detector, audio, fusion.toward_detector)
    order = np.lexsort((-score, matches.frame))
    return replace(
        table.take(order),
        score=score[order].astype(np.float32),
        provenance=_provenance(available, detector, audio),
    )


def evidence_of(matches: Matches, available: Available) -> FloatArray:
    """Return the columns (R, F) of `EVIDENCE` that a model weighs."""
    columns = [EVIDENCE["both"].index(name) for name in EVIDENCE[available]]
    return matches.evidence[:, columns]


def merged(
    matches: Matches,
    detector: Candidates | None,
    audio: Candidates | None,
    toward_detector: float,
) -> Candidates:
    """Return the table of matched candidates, in their order, all of score 0.

    Box and energies are those of a spot round the direction (emission ``"spot"``).
    """
    has_audio, has_detector = matches.audio_row >= 0, matches.detector_row >= 0
    columns: dict[str, Any] = {
        "frame": matches.frame,
        "class_id": matches.class_id,
        "score": np.zeros(len(has_audio), np.float32),
        "has_map": np.ones(len(has_audio), bool),
        "matchability": np.full(len(has_audio), np.nan, np.float32),
        "branch": np.where(has_audio, np.where(has_detector, FUSED, "audio"), "detector").astype(
            "U8"
        ),
    }
    for name in (*_OF_DETECTOR, *_OF_AUDIO):
        parts = [
            _rows(getattr(table, name), rows)
            for table, rows in ((detector, matches.detector_row), (audio, matches.audio_row))
            if table is not None
        ]
        of_detector = has_detector if name in _OF_DETECTOR else ~has_audio
        columns[name] = parts[0] if len(parts) == 1 else np.where(of_detector, parts[0], parts[1])
    both = np.flatnonzero(has_audio & has_detector)
    if detector is not None and len(both):
        picture_rows = detector.take(matches.detector_row[both])
        audio_direction = unit_vector(columns["azimuth"][both], columns["elevation"][both])
        detector_direction = unit_vector(picture_rows.azimuth, picture_rows.elevation)
        azimuth, elevation = angles_of_vector(
            (1 - toward_detector) * audio_direction + toward_detector * detector_direction
        )
        columns["azimuth"][both] = wrap_azimuth(azimuth)
        columns["elevation"][both] = elevation
    apart = matches.evidence[:, EVIDENCE["both"].index("apart")] * REACH_DEG
    agreed = has_audio & has_detector & (apart <= AGREED_DEG)
    reach = np.where(agreed, LABEL_EXTENT_DEG, SPOT_RADIUS)
    columns["box"], columns["energy_map"] = spots(columns["azimuth"], columns["elevation"], reach)
    base = audio if audio is not None else detector
    assert base is not None
    return Candidates(base.recording, base.frames, branches=BRANCHES, **columns)


def _rows(column: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
    """Return rows of a column, some value where there is none (-1)."""
    return column[rows] if len(column) else np.zeros((len(rows), *column.shape[1:]), column.dtype)


_OF_DETECTOR = ("closure", "diffuseness")
_OF_AUDIO = ("azimuth", "elevation", "distance_cm")
"""Columns by the branch they are taken from where both have a row."""


def balanced(detector: Candidates) -> Candidates:
    """Return the detector's table with the centroids of its energy maps as directions.

    They are nearer to the truth than the maps' peaks: 2.5 degrees in the median, not 3.9.
    """
    azimuth, elevation = centroid_directions(detector.box, detector.energy_map)
    return replace(
        detector,
        azimuth=wrap_azimuth(azimuth).astype(np.float32),
        elevation=elevation.astype(np.float32),
    )


def _provenance(
    available: Available, detector: Candidates | None, audio: Candidates | None
) -> dict[str, Any]:
    parts = {"detector": detector, "audio": audio}
    return {
        "imager": "fusion",
        "branches": ["audio", "detector"] if available == "both" else [available],
        **{name: dict(table.provenance) for name, table in parts.items() if table is not None},
    }
