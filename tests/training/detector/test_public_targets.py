from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.reference import public_targets as reference

from saiseld.data.label_columns import LabelColumns, label_columns
from saiseld.data.stairs26 import DatasetRecording
from saiseld.detector import losses
from saiseld.detector.targets import FrameTargets
from saiseld.training.detector.augmentation import mirror, rotate
from saiseld.training.detector.dataset import FrameDataset


class _Latents:
    frames = 2

    def __init__(self, recording: DatasetRecording) -> None:
        self.recording = recording

    def latent(self, start: int, stop: int) -> np.ndarray:
        return np.zeros((stop - start, 9, 484), np.float32)


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "a_std.json"
    path.write_text(json.dumps({"annotations": reference.annotations()}))
    return path


@pytest.fixture
def dataset(labels: Path, tmp_path: Path) -> FrameDataset:
    recording = DatasetRecording("a", "dev-train", "dev-train-sim", 1, None, labels, None, None)
    return FrameDataset([recording], _Latents, tmp_path / "cache", targets="public")


def _same(targets: FrameTargets, expected: dict[str, Any]) -> None:
    assert set(targets) == set(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(np.asarray(targets[name]), value, err_msg=name)  # type: ignore[literal-required]


def test_targets_equal_reference(dataset: FrameDataset) -> None:
    for frame in (0, 1):
        _same(dataset[frame].targets, reference.targets_of(reference.annotations(), frame))
    on_seam, between, twice = dataset[0].targets["boxes"].tolist()
    assert on_seam == [0, 60, 360, 90]
    assert between == [90, 30, 131, 67]  # halves are rounded to even numbers
    assert twice == [200, 80, 251, 110]  # a point of no energy counts


def test_every_mask_counts_in_the_order_of_the_file(labels: Path, tmp_path: Path) -> None:
    rounded: LabelColumns = label_columns(labels, tmp_path / "cache", "round")
    assert rounded.class_id.tolist() == [4, 2, 9, 11, 0, 2]
    assert rounded.box[4].tolist() == [0] * 4 and not len(rounded.points(4)[0])
    assert label_columns(labels, tmp_path / "cache").class_id.tolist() == [2, 4, 9, 2, 11]


@pytest.mark.parametrize("tool", ["reference", "detector"])
def test_losses_are_golden(dataset: FrameDataset, tool: str) -> None:
    detector, images = reference.tiny_detector(), reference.images()
    torch.manual_seed(0)
    if tool == "reference":
        found = reference.losses(detector, images, reference.annotations())
    else:
        given = [dataset[0].targets, dataset[1].targets]
        found = {name: value.item() for name, value in detector(images, given).items()}
    assert found == pytest.approx(json.loads(reference.LOSSES.read_text()), rel=1e-4)


def test_moved_boxes_stay_on_canvas_and_margin() -> None:
    boxes = torch.tensor([[0.0, 0, 360, 20], [350, 170, 360, 180], [7, 7, 8, 8]]).repeat(500, 1)
    moved = losses.jittered_on_canvas(boxes, 0)
    assert (moved[:, :2] >= 0).all() and (moved[:, 2] <= 360).all() and (moved[:, 3] <= 180).all()
    assert (moved[:, 2:] - moved[:, :2] >= 0.999).all()
    assert losses.jittered_on_canvas(boxes + 20, 36)[:, 2].max() > 370


def test_crops_past_the_seam_wrap() -> None:
    energy = torch.rand(1, 180, 360)
    seen = torch.rand(1, 180, 360) > 0.4
    boxes = torch.tensor([[-12.5, 20, 30.2, 61]])
    shift = torch.tensor([40.0, 0, 40, 0])
    owner = torch.tensor([0])
    maps, cells = losses.resized_energy(energy, seen, owner, boxes)
    turned = energy.roll(40, -1), seen.roll(40, -1)
    expected = reference.cropped(turned[0][0].numpy(), (boxes + shift)[0].tolist())
    np.testing.assert_allclose(maps[0], expected, atol=1e-5)
    again = losses.resized_energy(*turned, owner, boxes + shift)
    assert torch.equal(again[0], maps) and torch.equal(again[1], cells)


@pytest.mark.parametrize("moved", ["turned", "mirrored"])
def test_targets_follow_the_picture(dataset: FrameDataset, moved: str) -> None:
    def after(x: float) -> float:
        return 359 - x if moved == "mirrored" else (x + 77) % 360

    given = dataset[1].targets
    move = mirror if moved == "mirrored" else lambda *frame: rotate(*frame, 77)
    labels = [
        own | {"segmentation": [[[after(x), y, e] for x, y, e in blob if x < 360]]}
        for own in reference.annotations()
        for blob in own["segmentation"]
    ]
    image = torch.zeros(12, 180, 360)
    _same(move(image, given)[1], reference.targets_of(labels, 1))
