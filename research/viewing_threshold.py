"""From which score on a mask is worth showing: the threshold at which sound events are told best.

For rooms kept for such choices, of which masks and true events are known:

    saiseld image TREE/mic_dev --video TREE/video_dev -o masks --no-overlay
    python -m research.viewing_threshold masks TREE/metadata_dev/dev-train-sim

An event that is told is right if it is of the class of a true event and, for half of the shorter
one's frames or more, within 20 degrees of it; each true event makes one event right.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from saiseld.conventions.sphere import unit_vector
from saiseld.decision.linking import GAP, REACH, SHORTEST, angle_between, link
from saiseld.formats.annotation import EnergyMask, read_annotations
from saiseld.formats.events import Event, read_events
from saiseld.runtime.errors import DataError

THRESHOLDS = tuple(float(t) for t in np.round(np.arange(0.04, 0.62, 0.02), 2))
"""What is tried."""
EVEN = 0.01
"""F-scores that differ by less are as good as each other; the highest threshold of them is taken,
since it tells the fewest events that are wrong."""

Path3D = dict[int, NDArray[np.float64]]
"""Unit vector of an event by frame."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Events that are true, told, and both."""

    true: int = 0
    told: int = 0
    right: int = 0

    def __add__(self, other: Counts) -> Counts:
        """Return the counts of both together."""
        return Counts(self.true + other.true, self.told + other.told, self.right + other.right)

    @property
    def f_score(self) -> float:
        """Harmonic mean of the share of true events told and of told events right."""
        return 2 * self.right / max(self.true + self.told, 1)


def true_events(rows: Iterable[Event]) -> list[tuple[int, Path3D]]:
    """Return class and path of the true events: a source sounding, with gaps that are bridged.

    Those too short to be told (`saiseld.decision.linking.SHORTEST`) are left out.
    """
    events: list[tuple[int, Path3D]] = []
    going: dict[tuple[int, int], Path3D] = {}
    for row in sorted(rows):
        path = going.get((row.class_id, row.source))
        if path is None or row.frame - max(path) > GAP + 1:
            path = going[row.class_id, row.source] = {}
            events.append((row.class_id, path))
        path[row.frame] = unit_vector(row.azimuth, row.elevation)
    return [(class_id, path) for class_id, path in events if len(path) >= SHORTEST]


def told_events(masks: Sequence[EnergyMask], threshold: float) -> list[tuple[int, Path3D]]:
    """Return class and path of the events that a person is told."""
    events, shown = link(masks, threshold=threshold)
    paths: list[Path3D] = [{} for _ in events]
    for mask in shown:
        paths[mask.instance_id - 1][mask.frame] = unit_vector(*mask.direction)
    return [(event.class_id, path) for event, path in zip(events, paths, strict=True)]


def count(true: Sequence[tuple[int, Path3D]], told: Sequence[tuple[int, Path3D]]) -> Counts:
    """Return how many of the events told are right, each for a true event of its own."""
    fits = np.array([[_fits(one, other) for other in told] for one in true], float)
    right = 0
    if fits.size:
        rows, columns = linear_sum_assignment(fits, maximize=True)
        right = int(fits[rows, columns].sum())
    return Counts(len(true), len(told), right)


def _fits(true: tuple[int, Path3D], told: tuple[int, Path3D]) -> bool:
    if true[0] != told[0]:
        return False
    near = sum(angle_between(true[1][f], v) <= REACH for f, v in told[1].items() if f in true[1])
    return near * 2 >= min(len(true[1]), len(told[1]))


def counts_by_threshold(masks: Path, events: Path) -> dict[float, Counts]:
    """Return the counts over the recordings of a folder of masks, by threshold.

    Raises
    ------
    DataError
        If there are no masks, or those of a recording without events.
    """
    paths = sorted(masks.glob("*.json"))
    if not paths:
        raise DataError(masks, expected="masks (<recording>.json)", found="none")
    found = dict.fromkeys(THRESHOLDS, Counts())
    for path in paths:
        known = list(read_annotations(path, predictions=True))
        true = true_events(read_events(events / f"{path.stem}.csv"))
        for threshold in THRESHOLDS:
            found[threshold] += count(true, told_events(known, threshold))
    return found


def main() -> None:
    """Print the F-score by threshold, of each folder and of all together."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("masks", type=Path, nargs="+", help="folders of masks; events are one's")
    parser.add_argument("events", type=Path, help="folder of STARSS23 CSVs")
    options = parser.parse_args()
    by_folder = [counts_by_threshold(folder, options.events) for folder in options.masks]
    print("threshold", *(folder.name for folder in options.masks), "mean", sep="\t")
    means = {}
    for threshold in THRESHOLDS:
        scores = [counts[threshold].f_score for counts in by_folder]
        means[threshold] = float(np.mean(scores))
        shown = [
            f"{c.f_score:.3f} ({c.right} of {c.true}, {c.told} told)"
            for c in (counts[threshold] for counts in by_folder)
        ]
        print(f"{threshold:.2f}", *shown, f"{means[threshold]:.3f}", sep="\t")
    least = max(means.values()) - EVEN
    print(f"highest of the best: {max(t for t, mean in means.items() if mean >= least):.2f}")


if __name__ == "__main__":
    main()
