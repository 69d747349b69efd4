"""Semantic acoustic imaging: from a microphone-array recording to who sounds where.

The main job is one call, ``saiseld.image(recording, video)``. Its steps are ``detect``, once a
recording, and ``emit``, as often as you like; scoring is ``evaluate``. What comes live goes through
a ``Stream``. Everything here loads what it needs when it is first used; networks are one level
below, in ``saiseld.acoustics``, ``saiseld.detector`` and ``saiseld.seld``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from saiseld.runtime.version import __version__ as __version__

if TYPE_CHECKING:
    from saiseld.data.recordings import open_recording as open_recording
    from saiseld.decision.systems import System as System
    from saiseld.evaluation.systems import evaluate as evaluate
    from saiseld.formats.annotation import EnergyMask as EnergyMask
    from saiseld.formats.candidates import Candidates as Candidates
    from saiseld.formats.candidates import read_candidates as read_candidates
    from saiseld.formats.sound_events import SoundEvent as SoundEvent
    from saiseld.live.stream import Stream as Stream
    from saiseld.pipeline.detect import detect as detect
    from saiseld.pipeline.emit import emit as emit
    from saiseld.pipeline.imager import Imager as Imager
    from saiseld.pipeline.imager import image as image
    from saiseld.pipeline.prediction import Prediction as Prediction
    from saiseld.pipeline.sample import sample as sample
    from saiseld.runtime import errors as errors

_HOMES = {
    "Candidates": "saiseld.formats.candidates",
    "EnergyMask": "saiseld.formats.annotation",
    "Imager": "saiseld.pipeline.imager",
    "Prediction": "saiseld.pipeline.prediction",
    "SoundEvent": "saiseld.formats.sound_events",
    "Stream": "saiseld.live.stream",
    "System": "saiseld.decision.systems",
    "detect": "saiseld.pipeline.detect",
    "emit": "saiseld.pipeline.emit",
    "errors": "saiseld.runtime",
    "evaluate": "saiseld.evaluation.systems",
    "image": "saiseld.pipeline.imager",
    "open_recording": "saiseld.data.recordings",
    "read_candidates": "saiseld.formats.candidates",
    "sample": "saiseld.pipeline.sample",
}
__all__ = [
    "Candidates",
    "EnergyMask",
    "Imager",
    "Prediction",
    "SoundEvent",
    "Stream",
    "System",
    "detect",
    "emit",
    "errors",
    "evaluate",
    "image",
    "open_recording",
    "read_candidates",
    "sample",
]

_MOVED = {
    "LAM": "saiseld.acoustics",
    "UpLAM": "saiseld.acoustics",
    "visibility": "saiseld.acoustics",
    "Detector": "saiseld.detector",
}
"""Names of version 0.2 that are one level below now."""


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        import_module(f"{_HOMES[name]}.{name}" if name == "errors" else _HOMES[name])
        return getattr(import_module(_HOMES[name]), name)
    moved = f"; it is {_MOVED[name]}.{name} now" if name in _MOVED else ""
    raise AttributeError(f"module 'saiseld' has no attribute {name!r}{moved}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
