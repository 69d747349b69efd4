"""What each training option is worth: one short training each, from the same weights.

Every row goes on from a trained detector by the same number of frames, as the base recipe has it or
with one option changed, and is scored in the selection rooms (which options are kept by) and on
every fifth frame of dev-test, TASK3B_3's way. Differences are paired over recordings.

    python -m research.compare_options sim26 features detector.safetensors -o options

A row that is finished is kept; one that was stopped goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from saiseld.conventions.symmetry import SYMMETRIES
from saiseld.data.stairs26 import DatasetRecording, open_dataset
from saiseld.decision.systems import system_named
from saiseld.detector.model import Detector
from saiseld.evaluation.matched import MatchedRecording
from saiseld.evaluation.systems import MatchedSystem
from saiseld.evaluation.uncertainty import compare, confidence_intervals
from saiseld.formats.features import FEATURES_SUFFIX, Features
from saiseld.training.detector.data import training_data
from saiseld.training.detector.dataset import FrameDataset
from saiseld.training.detector.engine import Trainer
from saiseld.training.detector.model_selection import Selection
from saiseld.training.detector.recipes import Augmentation, Recipe, read_recipe

TURNED = {"rotation": True, "flip": 0.5}
BASE = {
    "epochs": 1,
    "learning_rate": 1e-3,
    "selection_frames": 600,
    "balanced_loss": False,
    "augmentation": {"rgb_dropout": 0.15, "rgb_jitter": 0.2} | TURNED,
}
ROWS: Mapping[str, Mapping[str, Any]] = {
    "base": {},
    "public targets": {"targets": "public"},
    "official projection": {},
    "class-balanced loss": {"balanced_loss": True},
    "neither turned nor mirrored": {"rotation": False, "flip": 0.0},
    "array symmetries instead": {
        "rotation": False,
        "flip": 0.0,
        "symmetries": tuple(name for name in SYMMETRIES if name != "identity"),
    },
    "neighbouring frames' images": {"context": 1},
}
EVERY = 5
SYSTEM = system_named("TASK3B_3")


def main() -> None:
    """Train and score row after row."""
    parser = argparse.ArgumentParser()
    parser.add_argument("tree", type=Path)
    parser.add_argument("features", type=Path)
    parser.add_argument("start", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("options"))
    parser.add_argument("--frames", type=int, default=3200)
    chosen = parser.parse_args()
    scored = {}
    print("| option | selection mAP | dev-test mAP | against base | dev-test EFRQ |")
    print("|---|---|---|---|---|")
    for name in ROWS:
        selected, detector = trained(chosen, name)
        scored[name] = scored_on_test(detector, chosen)
        own = confidence_intervals(scored[name], resamples=200)
        mAP, EFRQ = own["macro_mAP"], own["macro_pearson_r"]
        against = ""
        if name != "base":
            difference = compare(scored[name], scored["base"], resamples=200)["macro_mAP"].interval
            against = f"{difference.value:+.4f} ({difference.low:+.4f} to {difference.high:+.4f})"
        print(
            f"| {name} | {selected:.4f} | {mAP.value:.4f} ({mAP.low:.4f}–{mAP.high:.4f}) "
            f"| {against} | {EFRQ.value:.3f} |",
            flush=True,
        )


def trained(chosen: argparse.Namespace, name: str) -> tuple[float, Detector]:
    """Train a row, or find it trained, and return the selection score and the detector."""
    recipe = recipe_of(ROWS[name], chosen.frames)
    data = training_data(
        chosen.tree,
        chosen.features,
        chosen.output / "cache",
        recipe=recipe,
    )
    if name == "official projection":
        data = replace(data, projection="official")
    trainer = Trainer(data, recipe, chosen.output / name.replace(" ", "-"), start=chosen.start)
    weights = trainer.run()
    return trainer.best, Detector.load(weights)


def recipe_of(options: Mapping[str, Any], frames: int) -> Recipe:
    """Return the base recipe with some options changed, wherever in it they are."""
    keys = read_recipe("compact").model_dump() | BASE | {"frames_per_epoch": frames}
    keys["augmentation"] = dict(keys["augmentation"])
    for key, value in options.items():
        own = keys["augmentation"] if key in Augmentation.model_fields else keys
        own[key] = value
    return Recipe.model_validate(keys)


def scored_on_test(detector: Detector, chosen: argparse.Namespace) -> MatchedSystem:
    """Match a detector's masks in every fifth frame of dev-test."""
    matched: dict[str, MatchedRecording] = {}
    for recording in open_dataset(chosen.tree).split("dev-test"):
        frames = FrameDataset(
            [recording],
            partial(features_of, chosen.features),
            chosen.output / "cache",
            detector.context,
        )
        part = Selection(frames, len(frames) // EVERY)
        matched[recording.name] = part.matched(detector, SYSTEM)
    return MatchedSystem(matched)


def features_of(folder: Path, recording: DatasetRecording) -> Features:
    """Open a recording's features."""
    return Features(folder / f"{recording.name}{FEATURES_SUFFIX}")


if __name__ == "__main__":
    main()
