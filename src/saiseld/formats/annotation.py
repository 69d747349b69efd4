"""The official annotation JSON, in and out: one energy mask per instance and frame.

A file may hold hundreds of MB: annotations are decoded one at a time, straight into arrays.
Coordinates are canvas pixels (x in [0, 360], y in [0, 180]), distances centimetres. Category ids
outside 0-12 are kept here: whoever scores decides, and says, what becomes of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from saiseld.conventions.sphere import (
    HEIGHT,
    WIDTH,
    angles_of_pixel,
    angles_of_vector,
    unit_vector,
)
from saiseld.conventions.taxonomy import CLASS_NAMES, NUM_CLASSES
from saiseld.runtime.errors import AnnotationError, OutputError
from saiseld.runtime.files import atomic_path

MAX_PREDICTION_BYTES = 20 * 1024**2
"""Largest prediction file the challenge accepts."""

LABEL_SUFFIX = "_std.json"
"""Ending of a label file's name, after the recording's: energies standardised, as published."""

RAW_LABEL_SUFFIX = "_raw.json"
"""Ending of what the label method makes before standardisation."""


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

    @property
    def class_name(self) -> str:
        """Name of the class, or ``"class 99"`` of an id outside the 13."""
        known = 0 <= self.class_id < NUM_CLASSES
        return CLASS_NAMES[self.class_id] if known else f"class {self.class_id}"

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
    try:
        size = path.stat().st_size
        if max_bytes is not None and size > max_bytes:
            raise AnnotationError(path, expected=f"at most {max_bytes} bytes", found=f"{size}")
        content = path.read_bytes()
    except OSError as error:
        raise AnnotationError(
            path, expected="a readable JSON file", found=error.strerror or str(error)
        ) from error
    try:
        raws = msgspec.json.decode(content, type=_File).annotations
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AnnotationError(
            path,
            expected='JSON of the form {"annotations": [...]} with finite numbers',
            found=str(error),
        ) from error
    decoder = msgspec.json.Decoder(_Annotation)
    for index, raw in enumerate(raws):
        place = f"annotation {index}"
        try:
            item = decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise AnnotationError(
                path, place=place, expected="the fields of an annotation", found=str(error)
            ) from error
        yield _checked(item, path, place, predictions)


def _checked(item: _Annotation, path: Path, place: str, predictions: bool) -> EnergyMask:
    if item.metadata_frame_index < 0:
        raise AnnotationError(
            path,
            place=f"{place}, metadata_frame_index",
            expected="a frame of 0 or more",
            found=str(item.metadata_frame_index),
        )
    if predictions and item.score is None:
        raise AnnotationError(
            path, place=f"{place}, score", expected="a finite number", found="nothing"
        )
    for name, value in (("score", item.score), ("distance", item.distance)):
        if value is not None and not math.isfinite(value):
            raise AnnotationError(
                path, place=f"{place}, {name}", expected="a finite number", found=str(value)
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
    x, y = blob[:, 0], blob[:, 1]
    # The official scorer reads energies in single precision, where more is infinite.
    finite = np.abs(blob[:, 2]) <= np.finfo(np.float32).max
    ok = (x >= 0) & (x <= WIDTH) & (y >= 0) & (y <= HEIGHT) & finite
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
    return orjson.dumps(
        {"annotations": [_encoded(mask, coordinate_decimals, energy_decimals) for mask in masks]}
    )


def write_annotations(
    path: str | Path,
    masks: Sequence[EnergyMask],
    *,
    coordinate_decimals: int = 4,
    energy_decimals: int = 6,
    max_bytes: int | None = None,
) -> int:
    """Write the official JSON, whole or not at all, and return its size in bytes.

    Raises
    ------
    AnnotationError
        If a mask is out of range.
    OutputError
        If the file would exceed ``max_bytes`` or cannot be written.
    """
    path = Path(path)
    for index, mask in enumerate(masks):
        for number, blob in enumerate(mask.segmentation):
            _check_points(blob, path, f"annotation {index}, segmentation {number}")
        if mask.score is not None and not math.isfinite(mask.score):
            raise AnnotationError(
                path,
                place=f"annotation {index}, score",
                expected="a finite number",
                found=str(mask.score),
            )
    content = encode_annotations(
        masks, coordinate_decimals=coordinate_decimals, energy_decimals=energy_decimals
    )
    if max_bytes is not None and len(content) > max_bytes:
        raise OutputError(path, expected=f"at most {max_bytes} bytes", found=f"{len(content)}")
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return len(content)


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
