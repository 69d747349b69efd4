"""Images per second of a training step against a plain loop over the public recipe's steps.

The plain loop reads each frame's picture, label file and acoustic image again every time, draws the
targets point by point, projects in float64, and computes every parameter's gradient. Ours reads
columns and arrays that were decoded once, projects inside the model, and leaves out the gradients
of what stands still. Same frames, same batch, same losses, in turns on the same machine:

    OMP_NUM_THREADS=2 python -m benchmarks.training
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import torch
from PIL import Image
from tests.training.tiny_tree import FRAMES, make_tree

from saiseld.conventions.sphere import projection_table
from saiseld.data.label_columns import box_of
from saiseld.data.stairs26 import DatasetRecording, open_dataset
from saiseld.detector.model import Detector
from saiseld.formats.features import Features
from saiseld.runtime.devices import device_of
from saiseld.training.detector.data import training_data
from saiseld.training.detector.dataset import FrameTargets
from saiseld.training.detector.engine import Trainer
from saiseld.training.detector.optimisation import optimizer_of
from saiseld.training.detector.recipes import Recipe, read_recipe

BATCH, STEPS = 4, 3


def main() -> None:
    with TemporaryDirectory() as folder:
        tree = make_tree(Path(folder))
        for recording in open_dataset(tree).recordings:
            write_pictures(tree, recording)
        for name in ("paper", "compact"):
            compare(tree, name)


def compare(tree: Path, name: str) -> dict[str, float]:
    """Return the images a second of both loops in the first epoch of a built-in recipe."""
    known = read_recipe(name).model_dump()
    recipe = Recipe.model_validate(known | {"batch_size": BATCH, "precision": "no"})
    data = training_data(tree, tree / "features", tree / "cache", recipe=recipe)
    trainer = Trainer(data, recipe, tree / f"run-{name}")
    ours = trainer.steps()
    plain = Detector(recipe.size, data.projection).train().to(device_of("auto"))
    optimizer = optimizer_of(plain, recipe)
    frames = [(recording, k) for recording in data.train.recordings for k in range(FRAMES)]
    seconds: dict[str, list[float]] = {"plain": [], "ours": []}
    for _ in range(STEPS + 1):  # the first one warms up
        start = perf_counter()
        plain_step(plain, optimizer, tree, frames[:BATCH])
        seconds["plain"].append(perf_counter() - start)
        start = perf_counter()
        next(ours)
        seconds["ours"].append(perf_counter() - start)
    rate = {loop: BATCH / min(times[1:]) for loop, times in seconds.items()}
    print(
        f"{name}: {rate['ours']:.2f} images/s, plain loop {rate['plain']:.2f}, "
        f"{rate['ours'] / rate['plain']:.2f} x"
    )
    return rate


def plain_step(
    detector: Detector,
    optimizer: torch.optim.Optimizer,
    tree: Path,
    frames: Sequence[tuple[DatasetRecording, int]],
) -> None:
    """Learn from a batch the plain way."""
    images, targets = [], []
    for recording, frame in frames:
        assert recording.labels is not None and recording.video is not None
        picture = recording.video / f"{recording.name}_{frame:04}.png"
        rgb = np.asarray(Image.open(picture), np.float64).transpose(2, 0, 1) / 255
        features = Features(tree / "features" / f"{recording.name}.features.safetensors")
        latent = features.latent(0, features.frames)[frame].astype(np.float64)
        acoustic = latent[:, projection_table(detector.projection)]
        images.append(torch.from_numpy(np.concatenate([rgb, acoustic])).float())
        targets.append(plain_targets(recording.labels, frame))
    device = detector.table.device
    own = [{key: value.to(device) for key, value in target.items()} for target in targets]
    losses = detector(torch.stack(images).to(device), own)
    optimizer.zero_grad()
    sum(losses.values()).backward()
    torch.nn.utils.clip_grad_norm_(detector.parameters(), 2.0)
    optimizer.step()


def plain_targets(labels: Path, frame: int) -> FrameTargets:
    """Read a label file and draw the instances of one frame, point by point."""
    boxes, classes, energies, distances = [], [], [], []
    for annotation in json.loads(labels.read_text())["annotations"]:
        if annotation["metadata_frame_index"] == frame:
            energy = np.zeros((180, 360), np.float32)
            points = [point for blob in annotation["segmentation"] for point in blob]
            for x, y, value in points:
                energy[int(y), int(x) % 360] = value
            boxes.append(box_of([p[0] for p in points], [p[1] for p in points]))
            classes.append(annotation["category_id"] + 1)
            energies.append(energy)
            distances.append(annotation["distance"])
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor(classes, dtype=torch.int64),
        "energy": torch.from_numpy(np.array(energies, np.float32)).reshape(-1, 180, 360),
        "distance_cm": torch.tensor(distances, dtype=torch.float32),
    }


def write_pictures(tree: Path, recording: DatasetRecording) -> None:
    """Write random pictures for every frame of a recording."""
    folder = tree / "frames_dev" / recording.folder / recording.name
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for frame in range(FRAMES):
        coarse = random.integers(0, 256, (18, 36, 3), np.uint8)
        picture = Image.fromarray(coarse).resize((360, 180))
        picture.save(folder / f"{recording.name}_{frame:04}.png")


if __name__ == "__main__":
    main()
