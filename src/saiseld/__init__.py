"""Semantic acoustic imaging: from a microphone-array recording to who sounds where.

The main job is one call, ``saiseld.image(recording, video)``; scoring is
``saiseld.evaluate(predictions, labels)``. Both load what they need when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from saiseld.evaluation import evaluate as evaluate
    from saiseld.pipeline.imager import Imager as Imager
    from saiseld.pipeline.imager import Prediction as Prediction
    from saiseld.pipeline.imager import image as image

__version__ = "0.1.0"

_PUBLIC = {
    "image": "saiseld.pipeline.imager",
    "Imager": "saiseld.pipeline.imager",
    "Prediction": "saiseld.pipeline.imager",
    "evaluate": "saiseld.evaluation",
}
__all__ = ["Imager", "Prediction", "evaluate", "image"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'saiseld' has no attribute {name!r}")
