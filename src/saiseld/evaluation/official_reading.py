"""Annotation files as the official scorers read them, which is more leniently than the format.

They take what Python makes of a file: numbers as text, ids and frames with decimals (which are cut
off), a missing score (0) or list of points (an empty mask), energies that are not finite. Each such
departure from the format is counted, to be said beside the score. What they fall over, such as a
score of null, is an error here too; ``docs/metrics.md#two-readings`` has the differences.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.sphere import HEIGHT, WIDTH
from saiseld.formats.annotation import MAX_PREDICTION_BYTES, EnergyMask, read_annotations
from saiseld.runtime.errors import AnnotationError, refusing

Reading = Literal["strict", "official"]
"""How files are read: as the format has it, or whatever the official scorer accepts."""

_NO_CLASS = -1


@dataclass(slots=True)
class OfficialReader:
    """Reads the files of one side, predictions or labels, and counts their departures.

    Parameters
    ----------
    predictions
        Whether masks have a score, and files the limit of `MAX_PREDICTION_BYTES`.
    anywhere
        The scorer of 2026-04-02: it takes points outside the canvas and of more than three
        numbers, and leaves out an annotation without category.
    departures
        How often the files depart from the format, by what is done about it.
    """

    predictions: bool
    anywhere: bool = False
    departures: Counter[str] = field(default_factory=Counter)

    def read(self, path: Path) -> Sequence[EnergyMask]:
        """Return the masks of a file.

        Raises
        ------
        AnnotationError
            For what the official scorer does not accept either.
        """
        most = MAX_PREDICTION_BYTES if self.predictions else None
        try:
            return read_annotations(path, predictions=self.predictions, max_bytes=most)
        except AnnotationError:
            with refusing(AnnotationError, path, "a readable JSON file"):
                if most is not None and path.stat().st_size > most:
                    raise
                content = json.loads(path.read_text())
        with refusing(AnnotationError, path, 'an object with a list of "annotations"'):
            if "annotations" not in content:
                self.departures['files without "annotations" hold nothing'] += 1
            annotations = enumerate(content.get("annotations", []))
        masks = []
        for index, annotation in annotations:
            with refusing(
                AnnotationError,
                path,
                "what the official scorer accepts",
                place=f"annotation {index}",
            ):
                masks.append(self._mask(annotation))
        return masks

    def _mask(self, annotation: dict[str, Any]) -> EnergyMask:
        if self.anywhere and "category_id" not in annotation:
            self.departures["annotations without category are left out"] += 1
            annotation = {**annotation, "category_id": _NO_CLASS}
        if "segmentation" not in annotation:
            self.departures["annotations without points are empty masks"] += 1
        return EnergyMask(
            frame=self._integer(annotation["metadata_frame_index"]),
            instance_id=0,  # read by none of them
            class_id=self._integer(annotation["category_id"]),
            segmentation=tuple(
                self._points(blob) for blob in annotation.get("segmentation", []) if blob
            ),
            distance_cm=self._distance(annotation.get("distance")),
            score=self._score(annotation) if self.predictions else None,
        )

    def _integer(self, value: Any) -> int:
        integer = int(value)
        if type(value) is not int:
            self.departures["ids or frames that are no integers are cut to one"] += 1
        if not -(2**63) <= integer < 2**63:
            raise ValueError(f"{integer}")
        return integer

    def _score(self, annotation: dict[str, Any]) -> float:
        if "score" not in annotation:
            self.departures["missing scores are 0"] += 1
            return 0.0
        score = float(annotation["score"])
        if isinstance(annotation["score"], str):
            self.departures["scores as text are numbers"] += 1
        if np.isnan(score):
            self.departures["scores that are not a number rank last"] += 1
            return -np.inf
        return score

    def _distance(self, value: Any) -> float | None:
        try:
            return None if value is None else float(value)
        except (TypeError, ValueError):
            if self.anywhere:
                raise
            return None  # not read by the scorers of soft IoU

    def _points(self, blob: Any) -> NDArray[np.float64]:
        rows = [point[:3] for point in blob] if self.anywhere else blob
        points = np.array(rows, np.float64)
        if points.ndim != 2 or points.shape[1] != 3:
            raise ValueError(f"points of shape {points.shape}")
        x, y = points[:, 0], points[:, 1]
        inside = (x >= 0) & (x <= WIDTH) & (y >= 0) & (y <= HEIGHT)
        if not (np.isfinite(points[:, :2]).all() if self.anywhere else inside.all()):
            raise ValueError(f"point {points[np.argmin(inside)].tolist()}")
        if not inside.all():
            self.departures["lists of points reach beyond the canvas"] += 1
        with np.errstate(over="ignore"):
            points[:, 2] = points[:, 2].astype(np.float32)
        if not np.isfinite(points[:, 2]).all():
            self.departures["lists of points have energies that are not finite"] += 1
        return points
