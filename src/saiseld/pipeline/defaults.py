"""What is decided and shown where nobody says otherwise: the same for commands and in Python."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import msgspec

from saiseld.decision.systems import SYSTEMS, System, system_of_json
from saiseld.formats.candidates import BRANCHES, Branch, Candidates
from saiseld.pipeline.weights import find_weights
from saiseld.runtime.errors import CheckpointError, refusing

DEFAULT_SYSTEM = SYSTEMS["audiovisual"]
"""Both branches."""

DETECTOR_SYSTEM = SYSTEMS["TASK3B_3"]
"""Where there is no audio branch: by raw score, the better order in the calibration rooms."""

AUDIO_SYSTEM = SYSTEMS["audio"]
"""Where there is no detector."""

VIEWING = "viewing.json"
"""The threshold chosen for weights, beside them."""

VIEWING_THRESHOLD = 0.12
"""Score from which a mask is shown to a person (docs/decision.md#what-is-shown)."""

_log = logging.getLogger(__name__)


def default_system(branches: Sequence[Branch]) -> System:
    """Return the default system; where there is no audio branch, the detector's, with a notice.

    Parameters
    ----------
    branches
        Those that the weights, or a table, hold.
    """
    if set(BRANCHES) <= set(branches):
        return DEFAULT_SYSTEM
    if "audio" in branches:
        _log.warning("no detector: system %s decides", AUDIO_SYSTEM.name)
        return AUDIO_SYSTEM
    _log.warning(
        "no audio branch (seld.safetensors, fusion.json): system %s decides instead of %s",
        DETECTOR_SYSTEM.name,
        DEFAULT_SYSTEM.name,
    )
    return DETECTOR_SYSTEM


def system_of(table: Candidates) -> System:
    """Return the system that a candidate table was made with, or the default for its branches.

    Raises
    ------
    RecipeError
        If the table names a system that this version does not know.
    """
    content = table.provenance.get("system")
    return default_system(table.branches) if content is None else system_of_json(content)


def branches_for(system: System, *, video: bool) -> tuple[Branch, ...]:
    """Return the branches that a system needs of a recording with or without video.

    Without a picture, a system of both branches decides on the audio branch alone.
    """
    return ("audio",) if system.is_fused and not video else system.branches


class ViewingThreshold(msgspec.Struct, frozen=True):
    """A threshold and what it was chosen by.

    Parameters
    ----------
    threshold
        Score from which masks are shown.
    F1
        There, on the recordings that it was chosen on.
    system
        Whose masks.
    recordings
        Their names.
    """

    threshold: float
    F1: float
    system: str
    recordings: list[str]


def viewing_threshold(weights: str | Path | None) -> float:
    """Return the threshold that was chosen for a weights folder, or the packaged weights'.

    Raises
    ------
    CheckpointError
        If there is a file that is none.
    """
    path = find_weights(weights).folder / VIEWING
    if not path.is_file():
        return VIEWING_THRESHOLD
    with refusing(CheckpointError, path, "a viewing threshold (JSON)"):
        found = msgspec.json.decode(path.read_bytes(), type=ViewingThreshold)
    if not 0 <= found.threshold <= 1:
        raise CheckpointError(
            path, place="threshold", expected="0 to 1", found=str(found.threshold)
        )
    return found.threshold
