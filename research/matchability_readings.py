"""What each reading of KIST2026's matchability (Sec. 2.4) does to mAP, cross-fitted by room.

Run: ``python -m research.matchability_readings TREE CANDIDATES -o readings``, on tables
of ``saiseld detect --all-maps``. The paper leaves open which IoU makes a detection matchable, over
what "prominence" stands out, whom "dominance" is against, where the grid's outer points lie, and
whether "detections" are all or those that a system may emit. Each row changes one of these.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saiseld.data.stairs26 import open_dataset
from saiseld.decision.detection_features import FEATURE_NAMES, dominance
from saiseld.decision.matchability import Examples, cross_fit, joined
from saiseld.decision.systems import system_named
from saiseld.evaluation.corpus import paired
from saiseld.evaluation.systems import MatchedSystem
from saiseld.evaluation.uncertainty import Interval, compare, confidence_intervals
from saiseld.formats.candidates import Candidates, candidate_files, read_candidates
from saiseld.runtime.cache import user_cache
from saiseld.runtime.files import output_folder, write_json
from saiseld.table1.table import DRAWS
from saiseld.training.matchability.development import (
    EMITTED,
    KIST2026,
    Measured,
    Reading,
    measure_all,
    per_recording,
)

CAPS = (system_named("TASK3B_3"), system_named("TASK3B_4"))
"""Selections of TASK3B_1 and 2; those that rank by raw score."""

CENTRED = tuple(
    replace(s, name=f"{s.name}, grid at cell centres", emission="grid3-centre") for s in CAPS
)
BOXES_EMITTED = Reading("emittable", "box_iou")
MASKS = Reading("all", "soft_iou")

Column = Callable[[Candidates], NDArray[np.float64]]
"""What a feature is instead, of every row of a table."""


def over_the_mean(table: Candidates) -> NDArray[np.float64]:
    """Return the energy map's maximum less its mean, where the package has its median."""
    maps = table.energy_map.reshape(len(table), -1).astype(np.float32)
    return np.asarray(maps.max(axis=1) - maps.mean(axis=1), np.float64)


def over_any_class(table: Candidates) -> NDArray[np.float64]:
    """Return dominance among overlapping detections of any class."""
    return dominance(replace(table, class_id=np.zeros_like(table.class_id)))


@dataclass(frozen=True, slots=True)
class Choice:
    """One row: how matchability is read, with what feature changed, and how masks are emitted."""

    name: str
    reading: Reading = KIST2026
    feature: str = ""
    column: Column | None = None
    systems: tuple[str, str] = (CAPS[0].name, CAPS[1].name)


CHOICES = (
    Choice("as Table 1 reads it: all detections, box IoU"),
    Choice("mask IoU", MASKS),
    Choice("emittable detections, box IoU", BOXES_EMITTED),
    Choice("emittable detections, mask IoU: the package's own", EMITTED),
    Choice("prominence over the mean", feature="map prominence", column=over_the_mean),
    Choice("dominance over any class", feature="NMS dominance", column=over_any_class),
    Choice("grid at cell centres", systems=(CENTRED[0].name, CENTRED[1].name)),
)


def main() -> None:
    """Measure once, then fit and score every row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tree", type=Path)
    parser.add_argument("candidates", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("readings"))
    parser.add_argument("--split", default="dev-test", choices=("dev-train", "dev-test"))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--draws", type=int, default=DRAWS)
    chosen = parser.parse_args()
    labels = {r.name: r.labels for r in open_dataset(chosen.tree).split(chosen.split) if r.labels}
    tables = candidate_files(chosen.candidates)
    names, _ = paired(str(chosen.candidates), tables, labels, allow_missing=False)
    recordings = measure_all(
        tables,
        {name: labels[name] for name in names},
        (*CAPS, *CENTRED),
        user_cache("drawn-labels"),
        readings=(KIST2026, MASKS, BOXES_EMITTED, EMITTED),
        jobs=chosen.jobs,
    )
    found = [scored(recordings, tables, choice, chosen.draws) for choice in CHOICES]
    print(f"{'':52}{'matching':>9}  cap 1: mAP, against raw     cap 3: mAP, against raw")
    for line in found:
        print(line["text"])
    write_json(output_folder(chosen.output) / "readings.json", found)


def scored(
    recordings: Sequence[Measured], tables: Mapping[str, Path], choice: Choice, draws: int
) -> dict[str, object]:
    """Return a row: share of examples that match, and each cap's mAP beside raw ranking's."""
    known = [r.by_reading[choice.reading].examples for r in recordings]
    if choice.column is not None:
        known = [
            changed(examples, read_candidates(tables[r.recording]).of_branch("detector"), r, choice)
            for examples, r in zip(known, recordings, strict=True)
        ]
    examples = joined(known)
    parts = per_recording(recordings, cross_fit(examples), choice.reading)
    share = float(examples.matched.mean())
    content: dict[str, object] = {"name": choice.name, "matching": share}
    text = f"{choice.name:52}{share:9.3f}"
    for cap, system in zip((1, 3), choice.systems, strict=True):
        raw = MatchedSystem({r.recording: r.matched[system] for r in recordings})
        ranked = MatchedSystem(
            {
                r.recording: r.ranked(system, part, choice.reading)
                for r, part in zip(recordings, parts, strict=True)
            }
        )
        own = confidence_intervals(ranked, resamples=draws)["macro_mAP"]
        gain = compare(ranked, raw, resamples=draws)["macro_mAP"].interval
        content[f"cap {cap}"] = {"mAP": _numbers(own), "gain": _numbers(gain)}
        text += f"  {own.value:.4f} {gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})"
    return {**content, "text": text}


def changed(examples: Examples, table: Candidates, recording: Measured, choice: Choice) -> Examples:
    """Return a recording's examples with one feature another."""
    assert choice.column is not None
    features = examples.features.copy()
    rows = recording.by_reading[choice.reading].row
    features[:, FEATURE_NAMES.index(choice.feature)] = choice.column(table)[rows]
    return replace(examples, features=features)


def _numbers(interval: Interval) -> list[float]:
    return [interval.value, interval.low, interval.high]


if __name__ == "__main__":
    main()
