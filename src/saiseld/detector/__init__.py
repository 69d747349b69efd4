"""The detector: Mask R-CNN with energy heads on picture and acoustic image (spec 3)."""

from saiseld.detector.model import Detector

__all__ = ["Detector"]
