"""The detector: Mask R-CNN with energy heads on picture and acoustic image (KIST2026)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from saiseld.detector.model import Detector

__all__ = ["Detector"]


def __getattr__(name: str) -> Any:
    # The model needs torch, which imaging does not: loaded when first asked for.
    if name == "Detector":
        from saiseld.detector.model import Detector

        return Detector
    raise AttributeError(f"module 'saiseld.detector' has no attribute {name!r}")
