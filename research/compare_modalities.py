"""What sound and picture each bring: a detector on dev-test with either taken away.

Every fifth frame, TASK3B_3's way. Without the picture, or the sound, the ImageNet mean, or silence,
stands in for it; the detector is the same one, trained with some pictures dropped. Printed beside
the scores: the field's Pearson r, between the full-field decoder's canvas and the truth's (the
largest energy of any instance at each pixel), the mean over frames with a sound.

    python -m research.compare_modalities sim26 features detector.safetensors
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from research.compare_options import EVERY, SYSTEM, features_of

from saiseld.data.stairs26 import open_dataset
from saiseld.data.video import rgb_planes
from saiseld.detector.model import Detector
from saiseld.detector.targets import FrameTargets
from saiseld.evaluation.matched import MatchedRecording
from saiseld.evaluation.systems import MatchedSystem
from saiseld.evaluation.uncertainty import confidence_intervals
from saiseld.training.detector.dataset import FrameDataset, collate
from saiseld.training.detector.model_selection import Selection

MODES = ("sound and picture", "sound alone", "picture alone")


class Deprived(Selection):
    """Every fifth frame of some recordings, with what a mode leaves of them."""

    def __init__(self, frames: FrameDataset, mode: str) -> None:
        super().__init__(frames, len(frames) // EVERY)
        self.mode = mode
        self.recorded = frames

    def batches(self) -> Iterator[tuple[NDArray[np.float32], NDArray[Any]]]:
        """Yield latents and pictures."""
        for latent, rgb in super().batches():
            if self.mode == "sound alone":
                rgb = rgb_planes([None] * len(rgb))
            yield np.zeros_like(latent) if self.mode == "picture alone" else latent, rgb

    def field_pearson(self, detector: Detector) -> list[float]:
        """Return r of each frame with a sound."""
        found = []
        numbers = iter(self.samples)
        for latent, rgb in self.batches():
            given = torch.from_numpy(rgb), torch.from_numpy(latent)
            fields = detector.detect(*given, keep=nothing, full_energy=True)
            for result in fields:
                truth = field_of(collate([self.recorded[next(numbers)]])[2][0])
                if truth is not None:
                    predicted = result["full_energy"].numpy().ravel()
                    found.append(float(np.corrcoef(predicted, truth)[0, 1]))
        return found


def nothing(scores: np.ndarray, class_id: np.ndarray) -> np.ndarray:
    """Keep no detection: the field needs none."""
    return np.zeros(len(scores), bool)


def field_of(targets: FrameTargets) -> np.ndarray | None:
    """Return a frame's energies as one flat canvas, None where nothing sounds."""
    energy = targets["energy"]
    return energy.amax(dim=0).numpy().ravel() if len(energy) and energy.any() else None


def measured(
    detector: Detector, tree: Path, features: Path, cache: Path, mode: str
) -> tuple[MatchedSystem, list[float]]:
    """Match a detector's masks in dev-test, and correlate its fields."""
    matched: dict[str, MatchedRecording] = {}
    fields: list[float] = []
    for recording in open_dataset(tree).split("dev-test"):
        frames = FrameDataset([recording], partial(features_of, features), cache, detector.context)
        part = Deprived(frames, mode)
        matched[recording.name] = part.matched(detector, SYSTEM)
        fields += part.field_pearson(detector)
    return MatchedSystem(matched), fields


def main() -> None:
    """Measure mode after mode."""
    parser = argparse.ArgumentParser()
    parser.add_argument("tree", type=Path)
    parser.add_argument("features", type=Path)
    parser.add_argument("detector", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    chosen = parser.parse_args()
    detector = Detector.load(chosen.detector)
    print("| heard and seen | mAP | AP50 | EFRQ | field Pearson |")
    print("|---|---|---|---|---|")
    for mode in MODES:
        system, fields = measured(detector, chosen.tree, chosen.features, chosen.cache, mode)
        own = confidence_intervals(system, resamples=200)
        mAP = own["macro_mAP"]
        print(
            f"| {mode} | {mAP.value:.4f} ({mAP.low:.4f}–{mAP.high:.4f}) "
            f"| {own['macro_AP50'].value:.4f} | {own['macro_pearson_r'].value:.3f} "
            f"| {np.mean(fields):.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
