"""The public recipe's targets and losses, point by point and cell by cell (Baseline2026).

`golden` makes the losses of tests/golden/public_losses.json:

    python -m tests.reference.public_targets
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from saiseld.detector.model import Detector
from tests import GOLDEN
from tests.golden_weights import detector_weights

WIDTH, HEIGHT, CELLS = 360, 180, 28
LOSSES = GOLDEN / "public_losses.json"

Annotation = dict[str, Any]
Canvas = NDArray[np.float32]


def annotations() -> list[Annotation]:
    """Return labels of two frames with all that is peculiar about the public targets."""

    def mask(frame: int, class_id: int, points: list[list[float]], distance: float) -> Annotation:
        own = {"metadata_frame_index": frame, "instance_id": class_id, "category_id": class_id}
        return {**own, "distance": distance, "segmentation": [points] if points else []}

    def blob(x0: float, y0: float, width: int, height: int) -> list[list[float]]:
        middle = np.array([x0 + width / 2, y0 + height / 2])
        points = []
        for x in np.arange(x0, x0 + width):
            for y in np.arange(y0, y0 + height):
                far = np.hypot(*(np.array([x, y]) - middle))
                points.append([float(x), float(y), round(math.exp(-far / 9), 3)])
        return points

    on_seam = [[x % WIDTH, y, energy] for x, y, energy in blob(345, 60, 34, 30)]
    between = [[x + 0.5, y + 0.5, energy] for x, y, energy in blob(90, 30, 40, 36)]
    at_the_end = [*blob(320, 140, 40, 40), [360.0, 150.0, 0.9], [330.0, 180.0, 0.9]]
    twice = [*blob(200, 80, 30, 30), [210.0, 90.0, 1.0], [210.0, 90.0, 0.25], [250.0, 95.0, 0.0]]
    return [
        mask(1, 11, blob(40, 20, 36, 40), 80.0),
        mask(0, 4, on_seam, 150.0),
        mask(0, 2, between, 320.5),
        mask(1, 0, [], 100.0),
        mask(1, 2, at_the_end, 410.0),
        mask(0, 9, twice, 45.0),
    ]


def images() -> torch.Tensor:
    """Return the two frames' pictures and acoustic images."""
    return torch.from_numpy(np.random.RandomState(7).random_sample((2, 12, 180, 360))).float()


def tiny_detector() -> Detector:
    """Return a small detector of fixed weights in training, without dropout and margins."""
    detector = Detector("compact", "official")
    detector.load_state_dict(detector_weights(detector.state_dict()))
    detector.margin = 0
    for module in detector.modules():
        if isinstance(module, torch.nn.Dropout | torch.nn.Dropout2d):
            module.p = 0.0
    return detector.train()


def targets_of(labels: Sequence[Annotation], frame: int) -> dict[str, NDArray[Any]]:
    """Return boxes, labels, energy, annotated pixels, field and distances of a frame."""
    field = np.zeros((HEIGHT, WIDTH), np.float32)
    instances = []
    for label in labels:
        if label["metadata_frame_index"] != frame:
            continue
        energy = np.zeros((HEIGHT, WIDTH), np.float32)
        annotated = np.zeros((HEIGHT, WIDTH), bool)
        for blob in label["segmentation"]:
            for x, y, value in blob:
                column, row = round(x), round(y)
                if column < WIDTH and row < HEIGHT:
                    energy[row, column] = value
                    annotated[row, column] = True
                    field[row, column] = max(field[row, column], np.float32(value))
        if annotated.any():
            rows, columns = np.nonzero(annotated)
            box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            instances.append((box, label["category_id"] + 1, energy, annotated, label["distance"]))
    boxes, classes, energies, masks, distances = zip(*instances, strict=True)
    return {
        "boxes": np.array(boxes, np.float32),
        "labels": np.array(classes),
        "energy": np.array(energies),
        "annotated": np.array(masks),
        "field": field,
        "distance_cm": np.array(distances, np.float32),
    }


def jittered(boxes: torch.Tensor) -> torch.Tensor:
    """Return boxes whose edges move by up to a tenth of a side, kept on the canvas."""
    chance = (2 * torch.rand_like(boxes) - 1).tolist()
    moved = []
    for (x0, y0, x1, y1), by in zip(boxes.tolist(), chance, strict=True):
        width, height = 0.1 * max(x1 - x0, 1), 0.1 * max(y1 - y0, 1)
        left = min(max(x0 + by[0] * width, 0), WIDTH - 1)
        top = min(max(y0 + by[1] * height, 0), HEIGHT - 1)
        right = min(max(x1 + by[2] * width, left + 1), WIDTH)
        bottom = min(max(y1 + by[3] * height, top + 1), HEIGHT)
        moved.append([left, top, right, bottom])
    return torch.tensor(moved)


def cropped(canvas: Canvas, box: Sequence[float]) -> Canvas:
    """Return the 28 x 28 cells of the whole pixels that a box touches, resized bilinearly."""
    part = canvas[
        math.floor(box[1]) : math.ceil(box[3]), math.floor(box[0]) : math.ceil(box[2])
    ].astype(np.float32)
    cells = np.zeros((CELLS, CELLS), np.float32)
    for i in range(CELLS):
        for j in range(CELLS):
            cells[i, j] = _between(part, (i + 0.5) / CELLS, (j + 0.5) / CELLS)
    return cells


def _between(part: Canvas, down: float, along: float) -> float:
    """Return the value at shares of the height and width, between the centres of pixels."""
    value = 0.0
    y, x = (max(share * n - 0.5, 0) for share, n in zip((down, along), part.shape, strict=True))
    for i in (0, 1):
        for j in (0, 1):
            weight = (1 - abs(y - int(y) - i)) * (1 - abs(x - int(x) - j))
            row, column = min(int(y) + i, len(part) - 1), min(int(x) + j, part.shape[1] - 1)
            value += weight * float(part[row, column])
    return value


def losses(detector: Detector, batch: torch.Tensor, labels: list[Annotation]) -> dict[str, float]:
    """Return a detector's losses on frames 0, 1, ...; chance is drawn as in the public recipe."""
    targets = [targets_of(labels, frame) for frame in range(len(batch))]
    boxes = [torch.from_numpy(target["boxes"]) for target in targets]
    image, features = detector.features(*detector.parts(batch))
    sizes = detector.sizes(len(batch))
    given = [
        {"boxes": own, "labels": torch.from_numpy(target["labels"])}
        for own, target in zip(boxes, targets, strict=True)
    ]
    found = detector.det.losses(image, features, sizes, given, detector.class_weights)
    fields = detector.energy_decoder(features)
    moved = [jittered(own) for own in boxes]
    pooled = detector.energy_pool(features, moved, sizes)
    maps = detector.energy_head(pooled).detach().numpy()
    distances = detector.distance_head(pooled)
    expected, cells, wanted = [], [], []
    for target, own in zip(targets, moved, strict=True):
        for number, box in enumerate(own.tolist()):
            expected.append(cropped(target["energy"][number], box))
            cells.append(cropped(target["annotated"][number], box) > 0.5)
            wanted.append(target["distance_cm"][number] / 500)
    errors = (maps - np.array(expected)) ** 2
    whole = []
    for field, target in zip(fields.detach().numpy(), targets, strict=True):
        weight = np.where(target["annotated"].any(axis=0), 10, 1)
        whole.append((weight * (field - target["field"]) ** 2).mean())
    return {name: value.item() for name, value in found.items()} | {
        "energy": float(errors.mean() + 5 * errors[np.array(cells)].mean()),
        "field": float(np.mean(whole)),
        "distance": F.smooth_l1_loss(distances, torch.tensor(wanted).float()).item(),
    }


def golden() -> None:
    """Write the losses of the tiny detector on the two frames."""
    detector = tiny_detector()
    torch.manual_seed(0)
    found = losses(detector, images(), annotations())
    LOSSES.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    golden()
