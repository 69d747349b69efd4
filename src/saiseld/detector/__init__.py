"""The detector: Mask R-CNN with energy heads on picture and acoustic image (KIST2026)."""

from saiseld.detector.model import Detector

__all__ = ["Detector"]
