"""The nine bands of an acoustic image, in the front end and in the label method."""

from __future__ import annotations

import numpy as np

BANDS = 9
"""Frequency bands of an acoustic image."""

_edges = np.linspace(1500.0, 4500.0, BANDS + 1)
FRONT_END_CENTRES: tuple[float, ...] = tuple((_edges[:-1] + _edges[1:]) / 2)
"""Band centres in Hz of the front end (Baseline2026)."""

LABEL_CENTRES: tuple[float, ...] = tuple(np.linspace(1500.0, 4500.0, BANDS))
"""Band centres in Hz of the label method (AudibleLight)."""
