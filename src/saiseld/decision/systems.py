"""The systems: which branches, how candidates are ranked, what is kept and how it is emitted.

`decide` is the only way from a candidate table to masks: fuse, rank, select, emit (KIST2026, Sec.
2.6, Table 1). Its order and its numbers depend on nothing but the table, the system and the models,
so deciding at once and deciding later on the stored table give the same masks.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import msgspec
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
from saiseld.formats.candidates import BRANCHES, Branch, Candidates, joined
from saiseld.runtime.errors import CandidateError, RecipeError

if TYPE_CHECKING:
    from saiseld.decision.fusion import Fusion
    from saiseld.decision.matchability import Matchability

Ranking = Literal["raw", "matchability"]

DETECTOR_ONLY: tuple[Branch, ...] = ("detector",)
AUDIO_ONLY: tuple[Branch, ...] = ("audio",)

_log = logging.getLogger(__name__)


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
    max_per_class
        Candidates per frame and class; None is the public baseline's rule.
    min_hits
        Leave out detections whose track (see `saiseld.decision.tracking.tracks`) is shorter; 1
        leaves out none.
    branches
        Whose candidates: the detector's, the audio branch's, or both. With the audio branch they
        are fused (`saiseld.decision.fusion`); with both, frames without a picture have the audio
        branch's alone.
    min_score
        Submitted score that a mask needs.

    Examples
    --------
    >>> from dataclasses import replace
    >>> replace(system_named("audiovisual"), name="mine", min_score=0.1).min_score
    0.1
    """

    name: str
    emission: str
    ranking: Ranking
    max_per_class: int | None
    min_hits: int = 1
    branches: tuple[Branch, ...] = DETECTOR_ONLY
    min_score: float = 0.0

    @property
    def frame_by_frame(self) -> bool:
        """Whether frames are decided one by one: no tracker, no limit of a whole file."""
        return self.max_per_class is not None and self.emission != "adaptive" and self.min_hits == 1

    @property
    def is_fused(self) -> bool:
        """Whether its candidates are those of a fusion model."""
        return "audio" in self.branches

    def as_json(self) -> dict[str, Any]:
        """Return what `system_of_json` reads."""
        return {**asdict(self), "branches": list(self.branches)}


PUBLISHED = (
    System("Baseline", "sparse", "raw", None),
    System("Sparse peaks", "sparse", "raw", 1),
    System("TASK3B_3", "grid3", "raw", 1),
    System("TASK3B_4", "grid3", "raw", 3),
    System("TASK3B_1", "grid3", "matchability", 1),
    System("TASK3B_2", "grid3", "matchability", 3),
)
"""The six systems of KIST2026, in the order of its Table 1."""

KIST_SUBMISSION = tuple(f"TASK3B_{index}" for index in (1, 2, 3, 4))
"""What KIST2026 submitted."""

DENSE = System("dense", "adaptive", "matchability", 3)
"""Not in KIST2026: its cap-3 selection with the finest masks that fit the file limit."""

BLOB = System("blob", "blob", "raw", 1)
"""Not in KIST2026: one canonical blob at the direction of each detection's map."""

AUDIO = System("audio", "spot", "raw", 1, branches=AUDIO_ONLY)
"""Not in KIST2026: the audio branch alone, whatever there is to see."""

AUDIOVISUAL = System("audiovisual", "spot", "raw", 1, branches=BRANCHES, min_score=0.05)
"""Not in KIST2026: both branches; the audio branch alone in frames without a picture.

Candidates of lower scores are mostly in a wrong place; without them two masks a frame are left of
six (docs/decision.md#fusion).
"""

PRECISE = replace(AUDIOVISUAL, name="audiovisual-precise", min_score=0.25)
"""Not in KIST2026: `audiovisual` at a higher score, for a higher EFRQ at a lower mAP."""

SYSTEMS = {s.name: s for s in (AUDIOVISUAL, PRECISE, AUDIO, *PUBLISHED, DENSE, BLOB)}
"""Presets, the default first."""

SUBMITTED = (AUDIOVISUAL.name, PRECISE.name, AUDIO.name, "TASK3B_3")
"""The four that `saiseld submit` packs where nobody says otherwise."""

OLD_NAMES = {"together": "audiovisual", "ear": "audio", "sure": "audiovisual-precise"}
"""Names of version 0.2, taken for one version more."""


def system_named(name: str) -> System:
    """Return a system by name; an old name is taken, with a notice.

    Raises
    ------
    RecipeError
        If there is no such system.
    """
    if name in OLD_NAMES:
        _log.warning(
            "system %r is called %r now; 0.4 will not know the old name", name, OLD_NAMES[name]
        )
        name = OLD_NAMES[name]
    if name not in SYSTEMS:
        raise RecipeError("system", expected=f"one of {', '.join(SYSTEMS)}", found=name)
    return SYSTEMS[name]


def system_of_json(content: object) -> System:
    """Return the system that `System.as_json` described.

    Raises
    ------
    RecipeError
        If it is no description of a system.
    """
    try:
        return msgspec.convert(content, System)
    except msgspec.ValidationError as error:
        raise RecipeError("system", expected="a system's fields", found=str(error)) from error


@dataclass(frozen=True, slots=True, eq=False)
class DecisionModels:
    """The fitted models that deciding takes; each is taken from the table where it is None.

    Parameters
    ----------
    fusion
        Scores the candidates of both branches; a table holds the one that it was made with.
    matchability
        Ranks detections; a table holds its probabilities, if it was calibrated.
    """

    fusion: Fusion | None = None
    matchability: Matchability | None = None

    def frame_by_frame(self, system: System) -> bool:
        """Return whether frames are decided one by one, with this system and these models."""
        model = self.matchability if system.ranking == "matchability" else None
        return system.frame_by_frame and (model is None or model.frame_by_frame)


FROM_TABLE = DecisionModels()
"""The models that the table holds."""


def decide(
    table: Candidates,
    system: System,
    models: DecisionModels = FROM_TABLE,
    *,
    threshold: float = 0.0,
    max_bytes: int = MAX_PREDICTION_BYTES,
) -> list[EnergyMask]:
    """Return the masks a system submits for a recording, frame by frame.

    Parameters
    ----------
    table
        Candidates of the branches that the system takes.
    system
        What to do.
    models
        Instead of those that the table holds.
    threshold
        Leave out masks whose submitted score is below this (see `saiseld.decision.risk`), or below
        the system's own minimum.
    max_bytes
        File limit that an adaptive emission fills.

    Raises
    ------
    CandidateError
        If the table lacks a branch or a model that the system needs.
    """
    rows = ranked(table, system, models)
    return masks_of(rows, system, threshold=threshold, max_bytes=max_bytes)


def check_branches(table: Candidates, system: System) -> None:
    """Refuse a table that lacks a branch of a system.

    Without a picture in any frame a system of both branches needs the audio branch alone.

    Raises
    ------
    CandidateError
        If a branch is missing, saying what to run.
    """
    missing = set(system.branches) - set(table.branches)
    if missing == {"detector"} and system.is_fused and not table.pictured.any():
        return
    if missing:
        raise CandidateError(
            table.recording,
            place="branch",
            expected=f"rows of {' and '.join(system.branches)}, for system {system.name!r}",
            found=f"rows of {' and '.join(table.branches)} alone",
            advice="Run `saiseld detect`, with weights that hold both branches, or take another "
            "--system",
        )


def ranked(table: Candidates, system: System, models: DecisionModels = FROM_TABLE) -> Candidates:
    """Return the candidates that a system selects from: fused, and with the scores that it submits.

    Frames are worked on one by one, so any whole frames of a table may be given, unless a
    matchability model looks at other frames (`DecisionModels.frame_by_frame`).

    Raises
    ------
    CandidateError
        As `decide`.
    """
    check_branches(table, system)
    if not system.is_fused:
        rows = table.of_branch("detector")
        if system.ranking == "matchability" and models.matchability is not None:
            rows = models.matchability.calibrate(rows)
        return rows
    from saiseld.decision.fusion import fuse  # scikit-learn is slow to load

    fusion = models.fusion or _fusion_of(table)
    table = table.as_stored()
    audio = table.of_branch("audio")
    if "detector" not in system.branches or not table.pictured.any():
        return fuse(None, audio, fusion)
    detector = table.of_branch("detector")
    both = fuse(detector.take(detector.pictured), audio.take(audio.pictured), fusion)
    if audio.pictured.all():
        return both
    return joined([both, fuse(None, audio.take(~audio.pictured), fusion)])


def _fusion_of(table: Candidates) -> Fusion:
    content = table.provenance.get("fusion")
    if not isinstance(content, Mapping):
        raise CandidateError(
            table.recording,
            place="fusion",
            expected="the fusion model that its branches go with",
            found="none",
            advice="Give the weights that hold it (--weights)",
        )
    from saiseld.decision.fusion import Fusion

    return Fusion.of_json(content, table.recording)


def masks_of(
    rows: Candidates,
    system: System,
    *,
    threshold: float = 0.0,
    max_bytes: int = MAX_PREDICTION_BYTES,
) -> list[EnergyMask]:
    """Return the masks of a system from `ranked` candidates; parameters as in `decide`."""
    threshold = max(threshold, system.min_score)
    if system.max_per_class is None:
        return [mask for mask in baseline_masks(rows) if (mask.score or 0.0) >= threshold]
    chosen = rows.take(selected(rows, system)).as_stored()
    chosen = chosen.take(submitted_score(chosen, system.ranking) >= threshold)
    score = submitted_score(chosen, system.ranking)
    instance_id = np.arange(len(chosen)) - np.searchsorted(chosen.frame, chosen.frame)
    columns = chosen.frame, instance_id, chosen.class_id
    if system.emission != "adaptive":
        points = emission_points(chosen, system.emission)
    else:
        no_points = [np.empty((0, 3))] * len(chosen)
        without = energy_masks(*columns, no_points, chosen.distance_cm, score)
        points = adaptive_points(chosen, max_bytes - len(encode_annotations(without)))
    return energy_masks(*columns, points, chosen.distance_cm, score)


def selected(rows: Candidates, system: System) -> NDArray[np.int64]:
    """Return the rows a system keeps, whatever it ranks by; it must limit rows per class."""
    kept = selected_in_frames(rows, system)
    if system.min_hits > 1:
        kept = kept[track_lengths(rows.take(kept)) >= system.min_hits]
    return kept


def selected_in_frames(rows: Candidates, system: System) -> NDArray[np.int64]:
    """Return the rows that such a system keeps of each frame, whatever the other frames hold."""
    assert system.max_per_class is not None
    return np.flatnonzero(select(rows.score, rows.frame, rows.class_id, system.max_per_class))


def submitted_score(rows: Candidates, ranking: Ranking) -> NDArray[np.float32]:
    """Return (N,) what a ranking submits as the score of each row.

    Raises
    ------
    CandidateError
        If a matchability that is asked for is missing.
    """
    if ranking == "raw":
        return rows.score
    missing = np.isnan(rows.matchability)
    if missing.any():
        raise CandidateError(
            rows.recording,
            place=f"matchability, row {int(np.argmax(missing))}",
            expected="a probability",
            found="none",
            advice="Give a model, or run `saiseld calibrate` first",
        )
    return rows.matchability
