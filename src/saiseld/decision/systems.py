"""The systems: what is kept, how it is ranked, how it is emitted (KIST2026, Sec. 2.6, Table 1)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from saiseld.decision.adaptive import adaptive_points
from saiseld.decision.emission import emission_points, energy_masks
from saiseld.decision.selection import select
from saiseld.decision.tracking import baseline_masks, track_lengths
from saiseld.formats.annotation import (
    MAX_PREDICTION_BYTES,
    EnergyMask,
    encode_annotations,
)
from saiseld.formats.candidates import Candidates
from saiseld.runtime.errors import CandidateError, RecipeError

Ranking = Literal["raw", "matchability"]
Senses = Literal["eye", "ear", "both"]


@dataclass(frozen=True, slots=True)
class System:
    """What is kept of a candidate table, how it is ranked and how it is emitted.

    Parameters
    ----------
    name
        What it is called; KIST2026's own names where it is one of its systems.
    emission
        See `saiseld.decision.emission.emission_points`; ``"adaptive"`` fills the file limit.
    ranking
        What becomes the submitted score.
    cap
        Detections per frame and class; None is the public baseline's rule.
    min_hits
        Leave out detections whose track (see `saiseld.decision.tracking.tracks`) is shorter; 1
        leaves out none.
    senses
        Whose candidates: the detector's, the hearing network's, or both
        (`saiseld.decision.fusion`).
    least
        Submitted score that a mask needs.
    """

    name: str
    emission: str
    ranking: Ranking
    cap: int | None
    min_hits: int = 1
    senses: Senses = "eye"
    least: float = 0.0

    @property
    def frame_by_frame(self) -> bool:
        """Whether frames are decided one by one: no tracker, no limit of a whole file."""
        return self.cap is not None and self.emission != "adaptive" and self.min_hits == 1


PUBLISHED = (
    System("Baseline", "sparse", "raw", None),
    System("Sparse peaks", "sparse", "raw", 1),
    System("TASK3B_3", "grid3", "raw", 1),
    System("TASK3B_4", "grid3", "raw", 3),
    System("TASK3B_1", "grid3", "matchability", 1),
    System("TASK3B_2", "grid3", "matchability", 3),
)
"""The six systems of KIST2026, in the order of its Table 1."""

SUBMITTED = tuple(f"TASK3B_{index}" for index in (1, 2, 3, 4))

DENSE = System("dense", "adaptive", "matchability", 3)
"""Not in KIST2026: its cap-3 selection with the finest masks that fit the file limit."""

BLOB = System("blob", "blob", "raw", 1)
"""Not in KIST2026: one canonical blob at the direction of each detection's map."""

EAR = System("ear", "spot", "raw", 1, senses="ear")
"""Not in KIST2026: what is heard, whatever there is to see."""

TOGETHER = System("together", "spot", "raw", 1, senses="both", least=0.05)
"""Not in KIST2026: eye and ear; the ear alone where there is no picture.

What is less sure is mostly in a wrong place; without it two masks a frame are left of six
(docs/decision.md#fusion).
"""

SURE = replace(TOGETHER, name="sure", least=0.25)
"""Not in KIST2026: of `together` what is likely right, for a higher EFRQ at a lower mAP."""

SYSTEMS = {system.name: system for system in (*PUBLISHED, DENSE, BLOB, EAR, TOGETHER, SURE)}


def system_named(name: str) -> System:
    """Return a system by name."""
    if name not in SYSTEMS:
        raise RecipeError("system", expected=f"one of {', '.join(SYSTEMS)}", found=name)
    return SYSTEMS[name]


def decide(
    table: Candidates,
    system: System,
    *,
    threshold: float = 0.0,
    max_bytes: int = MAX_PREDICTION_BYTES,
) -> list[EnergyMask]:
    """Return the masks a system submits for a recording, frame by frame.

    Parameters
    ----------
    table
        Candidates; calibrated if the system ranks by matchability.
    system
        What to do.
    threshold
        Leave out masks whose submitted score is below this (see `saiseld.decision.risk`), or below
        the system's own least.
    max_bytes
        File limit that an adaptive emission fills.

    Raises
    ------
    CandidateError
        If a matchability that the system needs is missing.
    """
    threshold = max(threshold, system.least)
    if system.cap is None:
        return [mask for mask in baseline_masks(table) if (mask.score or 0.0) >= threshold]
    kept = table.take(selected(table, system)).as_stored()
    kept = kept.take(submitted_score(kept, system.ranking) >= threshold)
    score = submitted_score(kept, system.ranking)
    instance_id = np.arange(len(kept)) - np.searchsorted(kept.frame, kept.frame)
    columns = kept.frame, instance_id, kept.class_id
    if system.emission != "adaptive":
        points = emission_points(kept, system.emission)
    else:
        no_points = [np.empty((0, 3))] * len(kept)
        without = energy_masks(*columns, no_points, kept.distance_cm, score)
        points = adaptive_points(kept, max_bytes - len(encode_annotations(without)))
    return energy_masks(*columns, points, kept.distance_cm, score)


def selected(table: Candidates, system: System) -> NDArray[np.int64]:
    """Return the rows a system keeps, whatever it ranks by; it must have a cap."""
    rows = selected_in_frames(table, system)
    if system.min_hits > 1:
        rows = rows[track_lengths(table.take(rows)) >= system.min_hits]
    return rows


def selected_in_frames(table: Candidates, system: System) -> NDArray[np.int64]:
    """Return the rows a system with a cap keeps of each frame, whatever the other frames hold."""
    assert system.cap is not None
    return np.flatnonzero(select(table.score, table.frame, table.class_id, system.cap))


def submitted_score(table: Candidates, ranking: Ranking) -> NDArray[np.float32]:
    """Return (N,) what a ranking submits as the score of each row.

    Raises
    ------
    CandidateError
        If a matchability that is asked for is missing.
    """
    if ranking == "raw":
        return table.score
    missing = np.isnan(table.matchability)
    if missing.any():
        raise CandidateError(
            table.recording,
            place=f"matchability, row {int(np.argmax(missing))}",
            expected="a probability",
            found="none",
            advice="Give a model, or run `saiseld calibrate` first",
        )
    return table.matchability
