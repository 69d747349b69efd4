"""Matchability: the probability that a detection matches the ground truth (KIST2026, Sec. 2.4).

It replaces the raw score in the ranking and nothing else: selection stays by raw score. The honest
number of a development split is cross-fitted by room: every detection is scored by a model that
never saw its room.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.decision.detection_features import FEATURE_NAMES, detection_features
from saiseld.decision.folds import room_folds, room_of
from saiseld.decision.linear import LinearClassifier
from saiseld.decision.selection import emittable
from saiseld.decision.smoothing import Smoother, evidence
from saiseld.decision.tracking import tracks
from saiseld.formats.candidates import Candidates
from saiseld.runtime.errors import CandidateError, CheckpointError, DataError, refusing
from saiseld.runtime.files import atomic_path
from saiseld.runtime.limits import Limit

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier  # slow to load

TARGET_IOU = 0.25
"""A detection is matchable if its best IoU with the ground truth of its class reaches this."""

MIN_OUTCOMES = 10
"""Fewest examples of either outcome that a model is fitted on."""

FORMAT_VERSION = 1

SKOPS_BYTES = Limit("skops_bytes", 64 << 20)
"""Bytes that a model's file may unpack to; the trees of a fit take less than one MiB."""

Kind = Literal["trees", "linear"]
Pool = Literal["emittable", "all"]
"""Which detections are learnt from: those that a system may emit, or all, as KIST2026 has it."""
Classifier: TypeAlias = "HistGradientBoostingClassifier | LinearClassifier"

# The one type of a fitted classifier that skops does not already know to be harmless.
_TRUSTED = ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]


@dataclass(frozen=True, eq=False)
class Examples:
    """Detections with known outcome; N rows.

    Parameters
    ----------
    features
        (N, 16), see `saiseld.decision.detection_features`.
    matched
        (N,) whether the best IoU with same-class ground truth reaches ``TARGET_IOU``.
    class_id, room
        (N,) class and name of the room (of the recording where the name tells no room).
    """

    features: NDArray[np.float32]
    matched: NDArray[np.bool_]
    class_id: NDArray[np.int64]
    room: NDArray[np.str_]


def example_rows(table: Candidates, pool: Pool) -> NDArray[np.int64]:
    """Return the rows of a table that are examples.

    Raises
    ------
    CandidateError
        If all are wanted and some have no energy map.
    """
    if pool == "emittable":
        able = emittable(table.score, table.class_id, table.frame)
        return np.flatnonzero(table.has_map & able)
    if not table.has_map.all():
        raise CandidateError(
            table.recording,
            place="energy maps",
            expected="one of every detection, to learn from them all",
            found=f"{int(table.has_map.sum())} of {len(table)}",
            advice="Run `saiseld detect --all-maps`, or learn from what can be emitted "
            "(--pool emittable)",
        )
    return np.arange(len(table))


def examples(table: Candidates, best_iou: NDArray[np.float64], rows: NDArray[np.int64]) -> Examples:
    """Return the examples of one recording.

    Parameters
    ----------
    table
        Its candidates; features are counted over all of them.
    best_iou
        (N,) best IoU of each with the ground truth.
    rows
        Those to learn from (`example_rows`).
    """
    return Examples(
        features=detection_features(table)[rows],
        matched=best_iou[rows] >= TARGET_IOU,
        class_id=table.class_id[rows].astype(np.int64),
        room=np.full(len(rows), room_of(table.recording)),
    )


def joined(parts: Sequence[Examples]) -> Examples:
    """Return the examples of several recordings as one."""
    return Examples(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("features", "matched", "class_id", "room")
        )
    )


@dataclass(frozen=True, slots=True)
class Training:
    """What a model was fitted on; kept with it as JSON.

    Parameters
    ----------
    rows, matched
        Examples, and those of them that match.
    examples_per_class
        13 entries.
    rooms, recordings
        Where the examples are from.
    target, target_iou
        What an example had to reach: ``"soft_iou"`` or ``"box_iou"`` of this much.
    pool
        Which detections were examples (`Pool`).
    """

    rows: int
    matched: int
    examples_per_class: list[int]
    rooms: list[str]
    recordings: list[str]
    target: str
    target_iou: float
    pool: Pool = "emittable"


class _Header(msgspec.Struct, frozen=True):
    format_version: int
    features: list[str]
    smoother: Smoother | None
    training: Training


@dataclass(frozen=True, eq=False)
class Matchability:
    """A fitted model and what it was fitted on.

    Parameters
    ----------
    classifier
        Fitted on `features`: KIST2026's trees, or a line.
    smoother
        Weighs temporal evidence; None leaves detections to themselves, as KIST2026 does.
    training
        What it was fitted on.
    """

    classifier: Classifier
    smoother: Smoother | None
    training: Training

    @property
    def frame_by_frame(self) -> bool:
        """Whether a frame's matchability does not depend on other frames."""
        return self.smoother is None

    def predict(self, table: Candidates) -> NDArray[np.float32]:
        """Return (N,) probabilities of matching; NaN where a row has no energy map.

        Rows of the audio branch are no detections: theirs is NaN too.
        """
        probability = np.full(len(table), np.nan, np.float32)
        detected = table.of_branch("detector")
        if not detected.has_map.any():
            return probability
        found = self.probability(detection_features(detected)[detected.has_map])
        if self.smoother is not None:
            mapped = detected.take(detected.has_map)
            found = self.smoother.apply(evidence(found, mapped.frame, tracks(mapped)))
        probability[table.has_map & (table.branch == "detector")] = found
        return probability

    def probability(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probability of matching of feature rows (N, 16)."""
        with threadpool_limits(1, user_api="openmp"):
            found = np.asarray(self.classifier.predict_proba(rows)[:, 1])
        if not ((found >= 0) & (found <= 1)).all():
            raise CheckpointError(
                "matchability model", expected="probabilities", found="others, or NaN"
            )
        return found

    def calibrate(self, table: Candidates) -> Candidates:
        """Return the table with its matchability column filled."""
        return replace(table, matchability=self.predict(table))

    def unseen_classes(self, table: Candidates) -> list[int]:
        """Return the classes of a table that no training example had."""
        seen = self.training.examples_per_class
        rows = table.has_map & (table.branch == "detector")
        return [int(c) for c in np.unique(table.class_id[rows]) if not seen[c]]

    def save(self, path: str | Path) -> None:
        """Write the model as skops, whole or not at all."""
        import skops.io  # loads every estimator there is, and torch with them

        header = _Header(FORMAT_VERSION, list(FEATURE_NAMES), self.smoother, self.training)
        linear = isinstance(self.classifier, LinearClassifier)
        content = {
            "header": msgspec.json.encode(header).decode(),
            "classifier": self.classifier.as_arrays() if linear else self.classifier,
        }
        with atomic_path(path) as temporary:
            skops.io.dump(content, temporary, compression=zipfile.ZIP_DEFLATED)

    @classmethod
    def load(cls, path: str | Path) -> Matchability:
        """Read a model; only the types of a fitted classifier are let in.

        Raises
        ------
        CheckpointError
            If the file is no such model, is damaged, holds any other type, or was fitted on other
            features.
        """
        path = Path(path)
        if not path.is_file():
            raise CheckpointError(
                path,
                expected="a matchability model",
                found="no such file",
                advice="Train one with `saiseld train matchability`",
            )
        with refusing(CheckpointError, path, "a matchability model (.skops)"):
            _check_archive(path)
            content = _linear_content(path) or _content(path)
            header = msgspec.json.decode(content["header"], type=_Header)
            classifier = content["classifier"]
            if isinstance(classifier, dict):
                classifier = LinearClassifier.of_arrays(classifier)
            _check(header, classifier, path)
            model = cls(classifier, header.smoother, header.training)
            try:  # what cannot predict says so here, not in the middle
                model.probability(_PROBES)
            except CheckpointError as error:
                raise CheckpointError(
                    path, place="classifier", expected=error.expected, found=error.found
                ) from error
        return model


def fit(
    examples: Examples,
    *,
    recordings: Sequence[str],
    target: str = "soft_iou",
    pool: Pool = "emittable",
    smoother: Smoother | None = None,
    kind: Kind = "trees",
) -> Matchability:
    """Fit a classifier.

    Parameters
    ----------
    examples
        Examples to learn from.
    recordings, target, pool
        Where they are from and what they are (see `Training`).
    smoother
        Kept with the model.
    kind
        ``trees`` as in KIST2026, or ``linear`` (`saiseld.decision.linear`).

    Raises
    ------
    DataError
        If too few examples matched, or too few did not.
    """
    training = Training(
        rows=len(examples.matched),
        matched=int(examples.matched.sum()),
        examples_per_class=np.bincount(examples.class_id, minlength=NUM_CLASSES).tolist(),
        rooms=np.unique(examples.room).tolist(),
        recordings=list(recordings),
        target=target,
        target_iou=TARGET_IOU,
        pool=pool,
    )
    classifier = _fitted(examples, np.ones(len(examples.matched), bool), kind)
    return Matchability(classifier, smoother, training)


def cross_fit(examples: Examples, kind: Kind = "trees") -> NDArray[np.float64]:
    """Return (N,) probabilities, each from a model that saw no example of its room.

    Raises
    ------
    DataError
        If there is but one room, or a fold has too few examples of either kind.
    """
    probability = np.full(len(examples.matched), np.nan)
    for held_out in room_folds(examples.room):
        model = _fitted(examples, ~held_out, kind)
        probability[held_out] = model.predict_proba(examples.features[held_out])[:, 1]
    return probability


def importances(
    examples: Examples, kind: Kind = "trees", *, repeats: int = 5
) -> NDArray[np.float64]:
    """Return (16,) how much average precision falls when a feature is shuffled, on unseen rooms.

    The mean over folds and repeats; negative or near zero for a feature that is not used.
    """
    from sklearn.inspection import permutation_importance

    falls, weights = [], []
    for held_out in room_folds(examples.room):
        if examples.matched[held_out].any():
            found = permutation_importance(
                _fitted(examples, ~held_out, kind),
                examples.features[held_out],
                examples.matched[held_out],
                scoring=_average_precision,
                n_repeats=repeats,
                random_state=0,
            )
            falls.append(found.importances_mean)
            weights.append(held_out.sum())
    return np.asarray(np.average(falls, axis=0, weights=weights))


def _average_precision(
    model: Classifier, rows: NDArray[np.float32], matched: NDArray[np.bool_]
) -> float:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(matched, model.predict_proba(rows)[:, 1]))


def _fitted(examples: Examples, rows: NDArray[np.bool_], kind: Kind) -> Classifier:
    matched = examples.matched[rows]
    if min(matched.sum(), (~matched).sum()) < MIN_OUTCOMES:
        raise DataError(
            "labels",
            expected=f"at least {MIN_OUTCOMES} candidates that match them and as many that do not",
            found=f"{matched.sum()} and {(~matched).sum()} in "
            f"{', '.join(np.unique(examples.room[rows])) or 'no room'}",
        )
    if kind == "linear":
        return LinearClassifier.fit(examples.features[rows], matched)
    from sklearn.ensemble import HistGradientBoostingClassifier

    classifier = HistGradientBoostingClassifier(
        max_iter=120,
        max_depth=6,
        learning_rate=0.1,
        l2_regularization=1.0,
        min_samples_leaf=100,
        early_stopping=True,
        random_state=0,
    )
    # Threads that wait for each other on a busy machine cost far more than these trees.
    with threadpool_limits(1, user_api="openmp"):
        return classifier.fit(examples.features[rows], matched)


_PROBES = np.array([[value] * len(FEATURE_NAMES) for value in (0.0, 0.5, 1.0, 100.0)], np.float32)


def _check_archive(path: Path) -> None:
    """Refuse an archive that unpacks to more than a model takes, or arrays that claim more."""
    with zipfile.ZipFile(path) as archive:
        SKOPS_BYTES.check(sum(m.file_size for m in archive.infolist()), CheckpointError, path)
        for member in archive.infolist():
            if member.filename.endswith(".npy"):
                with archive.open(member) as file:
                    version = np.lib.format.read_magic(file)
                    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else None
                    shape, _, kind = (read or np.lib.format.read_array_header_2_0)(file)
                    claimed = int(np.prod(shape, dtype=object)) * kind.itemsize
                if claimed > member.file_size:
                    found = f"{member.file_size}"
                    place, expected = member.filename, f"{claimed} bytes, as it says"
                    raise CheckpointError(path, place=place, expected=expected, found=found)
            elif member.filename != "schema.json":
                raise CheckpointError(
                    path, place=member.filename, expected="arrays and a schema", found="this"
                )


class _Array(msgspec.Struct, tag_field="__loader__", tag="NdArrayNode"):
    file: str
    type: Literal["numpy"]


class _Arrays(msgspec.Struct, tag_field="__loader__", tag="DictNode"):
    content: dict[str, _Array]


class _Text(msgspec.Struct, tag_field="__loader__", tag="JsonNode"):
    content: str


class _Named(msgspec.Struct):
    header: _Text
    classifier: _Arrays


class _Linear(msgspec.Struct, tag_field="__loader__", tag="DictNode"):
    """What skops writes of a linear model: a text and arrays."""

    content: _Named


def _linear_content(path: Path) -> dict[str, Any] | None:
    """Return the content of a linear model; None of any other, which takes skops to read.

    Skops imports every estimator there is, and torch: seconds, for what are 34 numbers.
    """
    with zipfile.ZipFile(path) as archive:
        try:
            schema = msgspec.json.decode(archive.read("schema.json"), type=_Linear).content
        except msgspec.ValidationError:
            return None
        arrays = {
            name: np.load(BytesIO(archive.read(array.file)), allow_pickle=False)
            for name, array in schema.classifier.content.items()
        }
    return {"header": msgspec.json.decode(schema.header.content), "classifier": arrays}


def _content(path: Path) -> Any:
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        return skops.io.load(path, trusted=_TRUSTED)
    except UntrustedTypesFoundException as error:
        raise CheckpointError(
            path, expected="a matchability model and no other type", found=str(error)
        ) from error


def _are_safe_trees(classifier: object) -> bool:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return (
        isinstance(classifier, HistGradientBoostingClassifier)
        and classifier.n_features_in_ == len(FEATURE_NAMES)
        and classifier._preprocessor is None
        and np.array_equal(classifier.classes_, [False, True])
        and all(len(stage) == 1 and _is_tree(stage[0].nodes) for stage in classifier._predictors)
    )


def _check(header: _Header, classifier: object, path: Path) -> None:
    if header.format_version != FORMAT_VERSION:
        raise CheckpointError(
            path,
            place="format_version",
            expected=str(FORMAT_VERSION),
            found=str(header.format_version),
        )
    if header.features != list(FEATURE_NAMES):
        other = sorted(set(header.features) ^ set(FEATURE_NAMES))
        raise CheckpointError(
            path,
            place="features",
            expected="the 16 features of this version",
            found=f"others ({', '.join(other) or 'another order'})",
            advice="Train the model again with `saiseld train matchability`",
        )
    if len(header.training.examples_per_class) != NUM_CLASSES:
        raise CheckpointError(
            path,
            place="classes",
            expected=f"a model of {NUM_CLASSES} classes",
            found=f"one of {len(header.training.examples_per_class)}",
            advice="Train a model of these classes with `saiseld train matchability`",
        )
    if not (isinstance(classifier, LinearClassifier) or _are_safe_trees(classifier)):
        raise CheckpointError(
            path,
            place="classifier",
            expected="fitted trees or a line over 16 features",
            found="nodes, inputs or types that no fitted classifier has",
        )


def _is_tree(nodes: NDArray[Any]) -> bool:
    """Return whether compiled code may walk the nodes: it checks no index and no cycle itself."""
    inner = nodes[nodes["is_leaf"] == 0]
    place = np.flatnonzero(nodes["is_leaf"] == 0)
    return bool(
        len(nodes)
        and np.isfinite(nodes["value"]).all()
        and not inner["is_categorical"].any()
        and ((inner["feature_idx"] >= 0) & (inner["feature_idx"] < len(FEATURE_NAMES))).all()
        and all(
            ((inner[side] > place) & (inner[side] < len(nodes))).all() for side in ("left", "right")
        )
    )
