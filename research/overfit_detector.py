"""Proof that targets, heads, emission and metric agree: overfit a few frames and score them.

The compact detector learns some frames of a tree by heart (`saiseld features` first). Printed: its
macro mAP on the same frames with the 7 x 7 and the 3 x 3 edge grid, and beside it what these grids
reach with the labels' own boxes and maps. (A detector may pass that on the coarse grid, whose nine
points do not give back a right map best.)

    python -m research.overfit_detector TREE FEATURES [--frames 16] [--epochs 20]
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray

from saiseld.conventions.symmetry import IDENTITY
from saiseld.conventions.taxonomy import class_of_label
from saiseld.data.stairs26 import open_dataset
from saiseld.decision.selection import emittable
from saiseld.decision.systems import System, decide
from saiseld.detector.detect import detect_frames, peak_direction
from saiseld.detector.losses import crop_energy
from saiseld.detector.model import Detector
from saiseld.evaluation import match_recording, render_masks, score
from saiseld.formats.candidates import Candidates
from saiseld.formats.features import FEATURES_SUFFIX, Features
from saiseld.training.detector.data import TrainingData
from saiseld.training.detector.dataset import FrameDataset
from saiseld.training.detector.engine import Trainer
from saiseld.training.detector.model_selection import SYSTEM, Selection
from saiseld.training.detector.recipes import Recipe, read_recipe
from saiseld.training.detector.symmetric import SymmetricFrames


class FewFrames(FrameDataset):
    """Evenly spread frames of a data set."""

    frames: int

    def __len__(self) -> int:
        return self.frames

    def place(self, index: int) -> tuple[int, int]:
        """Return the recording's number and the frame in it of a sample."""
        at = index * (int(self._start[-1]) // self.frames)
        number = int(np.searchsorted(self._start, at, side="right")) - 1
        return number, at - int(self._start[number])

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Instances of each class in each sample, (samples, 13)."""
        labels = [
            class_of_label(self[index].targets["labels"].numpy()) for index in range(len(self))
        ]
        return np.stack([np.bincount(own, minlength=13) for own in labels])


def main() -> None:
    """Read the arguments and run in a folder that is thrown away."""
    parser = argparse.ArgumentParser()
    parser.add_argument("tree", type=Path)
    parser.add_argument("features", type=Path)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--recordings", type=int, default=2)
    chosen = parser.parse_args()
    with TemporaryDirectory() as folder:
        overfit(chosen, Path(folder))


def overfit(chosen: argparse.Namespace, folder: Path) -> None:
    """Print what the grids can reach, train, print what is reached."""
    recordings = open_dataset(chosen.tree).split("dev-train")[: chosen.recordings]
    FewFrames.frames = chosen.frames
    frames = FewFrames(
        recordings,
        lambda r: Features(chosen.features / f"{r.name}{FEATURES_SUFFIX}"),
        folder / "cache",
    )
    selection = Selection(frames, chosen.frames)
    for system in (SYSTEM, replace(SYSTEM, emission="grid3")):
        reached = scored(exact(frames), system, selection)
        print(f"{system.emission} with the labels' own boxes and maps: {reached}")
    drawn = 16 * chosen.frames
    keys = read_recipe("compact").model_dump() | {
        "epochs": chosen.epochs,
        "frames_per_epoch": drawn,
        "selection_frames": chosen.frames,
        "augmentation": {},
        "loss_weights": {"energy": 5.0},
        "weight_decay": 0.0,
    }
    shown = SymmetricFrames([(IDENTITY, frames)])
    data = TrainingData(frames, frames, shown, "official", {})
    weights = Trainer(data, Recipe.model_validate(keys), folder / "run").run()
    detector = Detector.load(weights)
    table = detect_frames(detector, "few", selection.batches(), keep=emittable)
    for system in (SYSTEM, replace(SYSTEM, emission="grid3")):
        reached = scored(table, system, selection)
        print(f"{system.emission} after {chosen.epochs} epochs of {drawn} frames: {reached}")


def exact(frames: FrameDataset) -> Candidates:
    """Return the candidates of a detector that makes no mistake."""
    targets = [frames[index].targets for index in range(len(frames))]
    rows = [np.full(len(t["labels"]), i, np.int32) for i, t in enumerate(targets)]
    box = np.concatenate([t["boxes"].numpy() for t in targets])
    maps = np.concatenate(
        [
            crop_energy(t["energy"], torch.arange(len(t["labels"])), t["boxes"]).numpy()
            for t in targets
        ]
    )
    measured = np.ones(len(box), bool)
    azimuth, elevation = peak_direction(box, maps, measured)
    nothing = np.zeros(len(box), np.float32)
    return Candidates(
        recording="few",
        frames=len(frames),
        frame=np.concatenate(rows),
        class_id=np.concatenate([class_of_label(t["labels"].numpy()) for t in targets]).astype(
            np.int8
        ),
        score=np.linspace(1, 0.5, len(box), dtype=np.float32),
        box=box,
        azimuth=azimuth,
        elevation=elevation,
        distance_cm=np.concatenate([t["distance_cm"].numpy() for t in targets]),
        has_map=measured,
        energy_map=maps.astype(np.float16),
        closure=nothing,
        diffuseness=nothing,
        matchability=np.full(len(box), np.nan, np.float32),
    )


def scored(table: Candidates, system: System, selection: Selection) -> str:
    """Return the official scores of a table under a system."""
    found = score([match_recording(render_masks(decide(table, system)), selection.truth)])
    named = found.headline()
    return ", ".join(f"{name} {named[name]:.3f}" for name in ("macro_mAP", "macro_AP50"))


if __name__ == "__main__":
    main()
