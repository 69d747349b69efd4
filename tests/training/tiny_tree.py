"""A tree of three rooms and a few frames, with features: enough to train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from tests.untrained import write_front_end

from saiseld.formats.annotation import EnergyMask, write_annotations
from saiseld.pipeline.features import features_of_recordings

FRAMES = 4


def make_features(tree: Path, symmetry: str = "identity") -> Path:
    """Write the tree's features under a symmetry and return their folder."""
    folder = tree / "features" / ("" if symmetry == "identity" else symmetry)
    sounds, weights = tree / "mic_dev", tree / "weights"
    features_of_recordings([sounds], folder, weights=weights, symmetry=symmetry)
    return folder


def make_tree(folder: Path) -> Path:
    """Return a tree whose every frame has one sound; one is on the seam."""
    rng = np.random.default_rng(0)
    for room in (1, 2, 3):
        name = f"fold3_room{room}_mix001"
        sound = folder / "mic_dev" / "dev-train-sim" / f"{name}.wav"
        sound.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(sound, 0.1 * rng.standard_normal((2400 * FRAMES, 4)), 24_000)
        masks = [_mask(frame, room, 85 * frame) for frame in range(FRAMES)]
        write_annotations(folder / "labels_dev" / "dev-train-sim" / f"{name}_std.json", masks)
    write_front_end(folder / "weights", "official")
    make_features(folder)
    return folder


def _mask(frame: int, class_id: int, centre: int) -> EnergyMask:
    x, y = np.meshgrid(np.arange(centre - 18, centre + 19), np.arange(70, 105))
    energy = np.exp(-((x - centre) ** 2 + (y - 87) ** 2) / 200)
    points = np.stack([x.ravel() % 360, y.ravel(), energy.ravel()], axis=1).astype(float)
    halves = [points[points[:, 0] < 180], points[points[:, 0] >= 180]]
    return EnergyMask(frame, 0, class_id, tuple(h for h in halves if len(h)), 150.0)
