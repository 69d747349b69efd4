"""Semantic acoustic imaging: from a microphone-array recording to who sounds where.

The main job is one call, ``saiseld.image(recording, video)``. Its steps are ``detect``, once a
recording, and ``emit``, as often as you like; scoring is ``evaluate``. Everything here loads what
it needs when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from saiseld.runtime.version import __version__ as __version__

if TYPE_CHECKING:
    from saiseld.acoustics.covariance import visibility as visibility
    from saiseld.acoustics.lam import LAM as LAM
    from saiseld.acoustics.uplam import UpLAM as UpLAM
    from saiseld.detector.model import Detector as Detector
    from saiseld.evaluation.systems import evaluate as evaluate
    from saiseld.formats.annotation import EnergyMask as EnergyMask
    from saiseld.formats.candidates import Candidates as Candidates
    from saiseld.formats.candidates import read_candidates as read_candidates
    from saiseld.pipeline.detect import detect as detect
    from saiseld.pipeline.emit import emit as emit
    from saiseld.pipeline.imager import Imager as Imager
    from saiseld.pipeline.imager import image as image
    from saiseld.pipeline.prediction import Prediction as Prediction

_HOMES = {
    "image": "saiseld.pipeline.imager",
    "Imager": "saiseld.pipeline.imager",
    "Prediction": "saiseld.pipeline.prediction",
    "detect": "saiseld.pipeline.detect",
    "emit": "saiseld.pipeline.emit",
    "evaluate": "saiseld.evaluation.systems",
    "Candidates": "saiseld.formats.candidates",
    "read_candidates": "saiseld.formats.candidates",
    "EnergyMask": "saiseld.formats.annotation",
    "visibility": "saiseld.acoustics.covariance",
    "UpLAM": "saiseld.acoustics.uplam",
    "LAM": "saiseld.acoustics.lam",
    "Detector": "saiseld.detector.model",
}
__all__ = [
    "LAM",
    "Candidates",
    "Detector",
    "EnergyMask",
    "Imager",
    "Prediction",
    "UpLAM",
    "detect",
    "emit",
    "evaluate",
    "image",
    "read_candidates",
    "visibility",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        try:
            return getattr(import_module(_HOMES[name]), name)
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            told = f"{name} needs torch: pip install 'saiseld[train]'"
            raise ModuleNotFoundError(told, name=error.name) from None
    raise AttributeError(f"module 'saiseld' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
