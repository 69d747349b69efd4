"""The official annotation JSON, in and out: one energy mask per instance and frame.

A file may hold hundreds of MB: annotations are decoded one at a time, straight into arrays.
Coordinates are canvas pixels (x in [0, 360], y in [0, 180]), distances centimetres. Category ids
outside 0-12 are kept here: whoever scores decides, and says, what becomes of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.sphere import (
    HEIGHT,
    WIDTH,
    angles_of_pixel,
    angles_of_vector,
    unit_vector,
)
from saiseld.conventions.taxonomy import CLASS_NAMES, NUM_CLASSES
from saiseld.runtime.errors import AnnotationError, OutputError, refusing
from saiseld.runtime.files import atomic_path
from saiseld.runtime.limits import DISTANCE_CM, FRAMES, Limit

MAX_PREDICTION_BYTES = 20 * 1024**2
"""Largest prediction file the challenge accepts."""

LABEL_SUFFIX = "_std.json"
"""Ending of a label file's name, after the recording's: energies standardised, as published."""

RAW_LABEL_SUFFIX = "_raw.json"
"""Ending of what the label method makes before standardisation."""

ANNOTATION_BYTES = Limit("annotation_bytes", 2 << 30)
"""Of an annotation file that has no smaller limit: more than a day of dense masks."""

_LARGEST_SCORE = 1_000_000
"""Scores need be no probabilities: they rank. What is larger by far is damage."""

# The official scorer reads energies in single precision, where more is infinite.
_GREATEST = np.array([WIDTH, HEIGHT, np.finfo(np.float32).max])
_MINIMA = np.array([0, 0, -_GREATEST[2]])


@dataclass(frozen=True, slots=True, eq=False)
class EnergyMask:
    """One sound instance in one frame.

    Parameters
    ----------
    frame
        Zero-based frame (10 FPS).
    instance_id, class_id
        Integers; class ids are those of `saiseld.conventions.taxonomy`.
    segmentation
        One (n, 3) float64 array of ``x, y, energy`` per connected blob.
    distance_cm
        Distance in centimetres, or None where unknown.
    score
        Confidence; None on ground truth.
    """

    frame: int
    instance_id: int
    class_id: int
    segmentation: tuple[NDArray[np.float64], ...]
    distance_cm: float | None = None
    score: float | None = None

    def __repr__(self) -> str:
        azimuth, elevation = self.direction
        distance = "" if self.distance_cm is None else f", {self.distance_cm:.0f} cm"
        score = "" if self.score is None else f", score {self.score:.2f}"
        return (
            f"EnergyMask(frame {self.frame}, instance {self.instance_id}, {self.class_name!r}, "
            f"azimuth {azimuth:.1f}, elevation {elevation:.1f}{distance}{score}, "
            f"{sum(map(len, self.segmentation))} points)"
        )

    @property
    def class_name(self) -> str:
        """Name of the class, or ``"class 99"`` of an id outside the 13."""
        has_name = 0 <= self.class_id < NUM_CLASSES
        return CLASS_NAMES[self.class_id] if has_name else f"class {self.class_id}"

    @property
    def direction(self) -> tuple[float, float]:
        """Azimuth (positive to the left) and elevation in degrees of the centre of energy.

        The mean unit vector weighted by energy, so masks over the seam have one centre; (0, 0) of
        a mask without energy.
        """
        points = np.concatenate([np.empty((0, 3)), *self.segmentation])
        vectors = unit_vector(*angles_of_pixel(points[:, 0], points[:, 1]))
        azimuth, elevation = angles_of_vector(points[:, 2] @ vectors)
        return float(azimuth), float(elevation)

    @property
    def azimuth(self) -> float:
        """Azimuth of `direction`."""
        return self.direction[0]

    @property
    def elevation(self) -> float:
        """Elevation of `direction`."""
        return self.direction[1]


class _File(msgspec.Struct):
    annotations: list[msgspec.Raw]


_Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), lt=2**31)]


class _Annotation(msgspec.Struct):
    metadata_frame_index: _Int32
    category_id: _Int32
    segmentation: list[list[tuple[float, float, float]]]
    instance_id: _Int32 = 0
    distance: float | None = None
    score: float | None = None


def read_annotations(
    path: str | Path, *, predictions: bool = False, max_bytes: int | None = None
) -> list[EnergyMask]:
    """Read a whole annotation file; see `iter_annotations`."""
    return list(iter_annotations(path, predictions=predictions, max_bytes=max_bytes))


def iter_annotations(
    path: str | Path, *, predictions: bool = False, max_bytes: int | None = None
) -> Iterator[EnergyMask]:
    """Yield the masks of an annotation file in file order, each checked.

    Parameters
    ----------
    path
        Official JSON.
    predictions
        Require a finite ``score`` on every annotation.
    max_bytes
        Refuse a larger file (predictions: ``MAX_PREDICTION_BYTES``).

    Raises
    ------
    AnnotationError
        Naming file, annotation, point, what was expected and what was found.
    """
    path = Path(path)
    with refusing(AnnotationError, path, "a readable JSON file"):
        size = path.stat().st_size
        ANNOTATION_BYTES.check(size, AnnotationError, path, place="bytes")
        if max_bytes is not None and size > max_bytes:
            raise AnnotationError(path, expected=f"at most {max_bytes} bytes", found=f"{size}")
        content = path.read_bytes()
    expected = 'JSON of the form {"annotations": [...]} with finite numbers'
    with refusing(AnnotationError, path, expected):
        raws = msgspec.json.decode(content, type=_File).annotations
    decoder = msgspec.json.Decoder(_Annotation)
    for index, raw in enumerate(raws):
        place = f"annotation {index}"
        with refusing(AnnotationError, path, "the fields of an annotation", place=place):
            item = decoder.decode(raw)
        yield _checked(item, path, place, predictions)


def _checked(item: _Annotation, path: Path, place: str, predictions: bool) -> EnergyMask:
    if item.metadata_frame_index < 0:
        raise AnnotationError(
            path,
            place=f"{place}, metadata_frame_index",
            expected="a frame of 0 or more",
            found=str(item.metadata_frame_index),
        )
    FRAMES.check(item.metadata_frame_index + 1, AnnotationError, path, place=f"{place}, frames")
    if predictions and item.score is None:
        raise AnnotationError(
            path, place=f"{place}, score", expected="a finite number", found="nothing"
        )
    for name, value, minimum, most in (
        ("score", item.score, -_LARGEST_SCORE, _LARGEST_SCORE),
        ("distance", item.distance, 0, DISTANCE_CM.most),
    ):
        if value is not None and not minimum <= value <= most:
            raise AnnotationError(
                path, place=f"{place}, {name}", expected=f"{minimum} to {most}", found=str(value)
            )
    blobs = tuple(np.array(b, dtype=np.float64).reshape(-1, 3) for b in item.segmentation)
    for number, blob in enumerate(blobs):
        _check_points(blob, path, f"{place}, segmentation {number}")
    return EnergyMask(
        frame=item.metadata_frame_index,
        instance_id=item.instance_id,
        class_id=item.category_id,
        segmentation=blobs,
        distance_cm=item.distance,
        score=item.score,
    )


def _check_points(blob: NDArray[np.float64], source: Path, place: str) -> None:
    ok = ((blob >= _MINIMA) & (blob <= _GREATEST)).all(axis=1)
    if not ok.all():
        point = int(np.argmin(ok))
        raise AnnotationError(
            source,
            place=f"{place}, point {point}",
            expected=f"x in [0, {WIDTH}], y in [0, {HEIGHT}] and a finite energy",
            found=str(blob[point].tolist()),
        )


def encode_annotations(
    masks: Iterable[EnergyMask], *, coordinate_decimals: int = 4, energy_decimals: int = 6
) -> bytes:
    """Return the official JSON of masks as bytes, numbers rounded to the given decimals."""
    return msgspec.json.encode(
        {"annotations": [_encoded(mask, coordinate_decimals, energy_decimals) for mask in masks]}
    )


class AnnotationWriter:
    """A file of masks in the making; see `annotation_writer`."""

    def __init__(
        self, path: Path, file: BinaryIO, decimals: tuple[int, int], max_bytes: int | None
    ) -> None:
        self._path, self._file, self._decimals, self._most = path, file, decimals, max_bytes
        self.masks = 0
        self.size = 0
        self._write(b'{"annotations":[')

    def append(self, masks: Iterable[EnergyMask]) -> None:
        """Write masks after those that are there.

        Raises
        ------
        AnnotationError
            If a mask is out of range.
        OutputError
            If the file exceeds its limit.
        """
        for mask in masks:
            _check_mask(mask, self._path, f"annotation {self.masks}")
            self._write(
                (b"," if self.masks else b"") + msgspec.json.encode(_encoded(mask, *self._decimals))
            )
            self.masks += 1

    def end(self) -> None:
        """Write what follows the last mask."""
        self._write(b"]}")

    def _write(self, content: bytes) -> None:
        self.size += len(content)
        if self._most is not None and self.size > self._most:
            raise OutputError(
                self._path,
                expected=f"at most {self._most} bytes",
                found="more",
                advice="Leave out weak masks with --threshold, or take an adaptive emission",
            )
        self._file.write(content)


@contextmanager
def annotation_writer(
    path: str | Path,
    *,
    coordinate_decimals: int = 4,
    energy_decimals: int = 6,
    max_bytes: int | None = None,
) -> Iterator[AnnotationWriter]:
    """Yield what writes the official JSON mask by mask; the file is whole or absent.

    Parameters
    ----------
    path
        Target.
    coordinate_decimals, energy_decimals
        That numbers are rounded to.
    max_bytes
        Refuse to write more: the challenge's ``MAX_PREDICTION_BYTES``.
    """
    path = Path(path)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        writer = AnnotationWriter(path, file, (coordinate_decimals, energy_decimals), max_bytes)
        yield writer
        writer.end()


def write_annotations(
    path: str | Path,
    masks: Iterable[EnergyMask],
    *,
    coordinate_decimals: int = 4,
    energy_decimals: int = 6,
    max_bytes: int | None = None,
) -> int:
    """Write the official JSON, whole or not at all, and return its size in bytes.

    Parameters and errors are those of `annotation_writer` and `AnnotationWriter.append`.
    """
    with annotation_writer(
        path,
        coordinate_decimals=coordinate_decimals,
        energy_decimals=energy_decimals,
        max_bytes=max_bytes,
    ) as writer:
        writer.append(masks)
    return writer.size


def _check_mask(mask: EnergyMask, source: Path, place: str) -> None:
    for number, blob in enumerate(mask.segmentation):
        _check_points(blob, source, f"{place}, segmentation {number}")
    if mask.score is not None and not math.isfinite(mask.score):
        raise AnnotationError(
            source, place=f"{place}, score", expected="a finite number", found=str(mask.score)
        )


def _encoded(mask: EnergyMask, coordinate_decimals: int, energy_decimals: int) -> dict[str, object]:
    encoded: dict[str, object] = {
        "metadata_frame_index": mask.frame,
        "instance_id": mask.instance_id,
        "category_id": mask.class_id,
    }
    if mask.distance_cm is not None:
        encoded["distance"] = round(float(mask.distance_cm), 4)
    if mask.score is not None:
        encoded["score"] = round(float(mask.score), 9)
    blobs = []
    for blob in mask.segmentation:
        rounded = np.round(blob, coordinate_decimals)
        rounded[:, 2] = np.round(blob[:, 2], energy_decimals)
        blobs.append(rounded.tolist())
    encoded["segmentation"] = blobs
    return encoded
