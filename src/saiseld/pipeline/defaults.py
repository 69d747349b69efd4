"""What is kept, emitted and shown where nobody says otherwise."""

from __future__ import annotations

from saiseld.decision.systems import system_named

DEFAULT_SYSTEM = system_named("TASK3B_3")
"""Ranked by raw score: the better order in the calibration rooms of the packaged weights."""

VIEWING_THRESHOLD = 0.2
"""Score from which a mask is shown to a person."""
