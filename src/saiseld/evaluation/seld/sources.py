"""The sources of recordings, from DCASE CSVs, sound events or masks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.conventions.timebase import frame_of_time
from saiseld.evaluation.corpus import by_recording
from saiseld.formats.annotation import LABEL_SUFFIX, RAW_LABEL_SUFFIX, EnergyMask, read_annotations
from saiseld.formats.dcase_csv import Coordinates, DistanceUnit, SourceRows, read_dcase_csv
from saiseld.formats.sound_events import SOUND_EVENTS_SUFFIX, read_sound_events
from saiseld.runtime.errors import DataError
from saiseld.runtime.files import files_below, visible

Sources = Path | SourceRows
"""The sources of one recording: its file, or themselves."""
SourceCorpus = str | Path | Mapping[str, SourceRows]
"""The sources of many recordings: a folder (or one file), or sources by recording."""
Side = Literal["labels", "predictions"]


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """How the files of systems are read.

    Parameters
    ----------
    coordinates, distance_unit
        Of CSVs (`saiseld.formats.dcase_csv.read_dcase_csv`).
    min_score
        Masks and sound events scored below it do not count.
    """

    coordinates: Coordinates = "auto"
    distance_unit: DistanceUnit = "m"
    min_score: float = 0.0


AS_PUBLISHED = SourceOptions()
"""As the public code reads systems: distances in metres, every row counts."""


@dataclass(frozen=True, slots=True)
class SourceReading:
    """How the files of one side are read.

    Parameters
    ----------
    side
        Whose they are.
    coordinates, distance_unit
        Of CSVs (`saiseld.formats.dcase_csv`).
    min_score
        Masks and sound events scored below it are left out.
    ignore_classes
        Leave out rows of classes beyond the 13, as the public code does, and say so.
    """

    side: Side
    coordinates: Coordinates = "auto"
    distance_unit: DistanceUnit = "cm"
    min_score: float = 0.0
    ignore_classes: bool = False


def find_sources(source: SourceCorpus, side: Side) -> tuple[dict[str, Sources], tuple[str, ...]]:
    """Return the sources of each recording, and a remark if several kinds of file are there.

    In a folder: DCASE CSVs (``<recording>.csv``), or else sound events
    (``<recording>.events.csv``), or else masks (``<recording>.json``). Labels may lie at any depth.

    Raises
    ------
    DataError
        If there are none, or two files for one recording.
    """
    if isinstance(source, Mapping):
        return dict(source), ()
    folder = Path(source)
    if folder.is_file():
        return {_recording(folder): folder}, ()
    if not folder.is_dir():
        raise DataError(source, expected="a folder of DCASE CSVs or masks", found="no such folder")
    found = sorted(files_below(folder) if side == "labels" else visible(folder.iterdir()))
    kinds = {
        "DCASE CSVs": [p for p in found if p.suffix == ".csv" and not _is_events(p)],
        "sound events": [p for p in found if _is_events(p)],
        "masks": [
            p for p in found if p.suffix == ".json" and not p.name.endswith(RAW_LABEL_SUFFIX)
        ],
    }
    there = [kind for kind, paths in kinds.items() if paths]
    if not there:
        raise DataError(
            source, expected="DCASE CSVs (<recording>.csv), sound events or masks", found="none"
        )
    notes = () if there == ["DCASE CSVs"] else (f"{side} are read from {there[0]} ({source})",)
    return dict(by_recording(source, kinds[there[0]], _recording)), notes


def _is_events(path: Path) -> bool:
    return path.name.endswith(SOUND_EVENTS_SUFFIX)


def _recording(path: Path) -> str:
    for ending in (SOUND_EVENTS_SUFFIX, LABEL_SUFFIX, "_inference.json"):
        if path.name.endswith(ending):
            return path.name.removesuffix(ending)
    return path.stem


def read_sources(sources: Sources, reading: SourceReading) -> tuple[SourceRows, Counter[str]]:
    """Return the sources of a recording, and how often something is to be noted of them.

    Raises
    ------
    DataError, AnnotationError
        If the file breaks its format.
    """
    if isinstance(sources, SourceRows):
        return sources, Counter()
    if sources.suffix == ".json":
        rows, remarks = _of_masks(sources, reading)
    elif _is_events(sources):
        rows, remarks = _of_events(sources, reading), Counter[str]()
    else:
        rows, notes = read_dcase_csv(
            sources,
            coordinates=reading.coordinates,
            distance_unit=reading.distance_unit,
            classes=None if reading.ignore_classes else NUM_CLASSES,
        )
        remarks = Counter(notes)
        if reading.side == "labels" and (repeated := _repeated(rows)):
            remarks["rows that repeat frame, class and source; each counts as one source"] = (
                repeated
            )
    outside = (rows.class_id < 0) | (rows.class_id >= NUM_CLASSES)
    if outside.any():
        remarks[f"rows of classes beyond 0-{NUM_CLASSES - 1}, left out"] = int(outside.sum())
    return rows, Counter({f"{reading.side}: {what}": n for what, n in remarks.items()})


def _repeated(rows: SourceRows) -> int:
    keys = np.stack([rows.frame, rows.class_id, rows.source])
    return len(rows) - int(np.unique(keys, axis=1).shape[1])


def _of_events(path: Path, reading: SourceReading) -> SourceRows:
    rows = [
        (
            frame,
            event.class_id,
            event.number,
            event.azimuth,
            event.elevation,
            np.nan if event.distance_cm is None else event.distance_cm / 100,
        )
        for event in read_sound_events(path)
        if event.score >= reading.min_score
        for frame in range(frame_of_time(event.start_s), frame_of_time(event.end_s))
    ]
    return SourceRows.of(rows)


def _of_masks(path: Path, reading: SourceReading) -> tuple[SourceRows, Counter[str]]:
    masks = [
        mask
        for mask in read_annotations(path, predictions=reading.side == "predictions")
        if mask.score is None or mask.score >= reading.min_score
    ]
    audible = [mask for mask in masks if has_direction(mask)]
    remarks: Counter[str] = Counter()
    if left_out := len(masks) - len(audible):
        remarks["masks without energy, which have no direction, left out"] = left_out
    return sources_of_masks(audible), remarks


def has_direction(mask: EnergyMask) -> bool:
    """Return whether a mask holds any energy."""
    return any((blob[:, 2] > 0).any() for blob in mask.segmentation)


def sources_of_masks(masks: Sequence[EnergyMask]) -> SourceRows:
    """Return masks that have a direction as sources: their centre of energy, a row each."""
    return SourceRows.of(
        [
            (
                mask.frame,
                mask.class_id,
                mask.instance_id,
                *mask.direction,
                np.nan if mask.distance_cm is None else mask.distance_cm / 100,
            )
            for mask in masks
        ]
    )


def reading_of(side: Side, options: SourceOptions, *, lenient: bool) -> SourceReading:
    """Return how a side is read: labels give centimetres and have no scores."""
    if side == "labels":
        return SourceReading(side, ignore_classes=lenient)
    return SourceReading(
        side, options.coordinates, options.distance_unit, options.min_score, ignore_classes=lenient
    )
