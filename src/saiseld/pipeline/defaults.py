"""What is kept, emitted and shown where nobody says otherwise."""

from __future__ import annotations

from saiseld.decision.systems import System, system_named
from saiseld.detector.detect import IMAGER
from saiseld.formats.candidates import Candidates

DEFAULT_SYSTEM = system_named("together")
"""Eye and ear."""

EYE_SYSTEM = system_named("TASK3B_3")
"""Where there is no ear: by raw score, the better order in the calibration rooms."""

VIEWING_THRESHOLD = 0.2
"""Score from which a mask is shown to a person (docs/decision.md#what-is-shown)."""


def system_of(table: Candidates) -> System:
    """Return the system that a candidate table was made for."""
    return EYE_SYSTEM if table.provenance.get("imager") == IMAGER else DEFAULT_SYSTEM
