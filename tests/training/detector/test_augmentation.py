from __future__ import annotations

import numpy as np
import pytest
import torch

from saiseld.data.label_columns import box_of
from saiseld.data.video import IMAGENET_MEAN
from saiseld.detector.targets import FrameTargets
from saiseld.training.detector.augmentation import augment, mirror, rotate
from saiseld.training.detector.recipes import Augmentation


@pytest.fixture
def frame() -> tuple[torch.Tensor, FrameTargets]:
    """A frame whose picture and acoustic image light up where its two instances are."""
    energy = torch.zeros(2, 180, 360)
    energy[0, 60:90, 345:] = 0.5
    energy[0, 60:90, :20] = 0.5
    energy[1, 20:40, 100:150] = 0.25
    image = energy.amax(dim=0).expand(12, -1, -1).clone()
    return image, {
        "boxes": torch.stack([_box(e) for e in energy]),
        "labels": torch.tensor([3, 5]),
        "energy": energy,
        "distance_cm": torch.tensor([100.0, torch.nan]),
    }


def _box(energy: torch.Tensor) -> torch.Tensor:
    y, x = np.nonzero(energy.numpy())
    return torch.tensor(box_of(x, y))


def _agree(image: torch.Tensor, target: FrameTargets) -> None:
    """Image, energy and boxes tell of the same places."""
    assert torch.equal(image, target["energy"].amax(dim=0).expand(12, -1, -1))
    for box, energy in zip(target["boxes"], target["energy"], strict=True):
        torch.testing.assert_close(box, _box(energy))


@pytest.mark.parametrize("pixels", [0, 1, 16, 179, 340, 359])
def test_rotation_moves_everything_over_the_seam(frame, pixels: int) -> None:
    image, target = rotate(*frame, pixels)
    _agree(image, target)
    assert image[0, 70, pixels] == 0.5  # x = 0 is inside the first instance
    _agree(*rotate(image, target, 360 - pixels))
    assert torch.equal(rotate(image, target, -pixels)[0], frame[0])


def test_mirroring_moves_everything_over_the_seam(frame) -> None:
    image, target = mirror(*frame)
    _agree(image, target)
    assert image[0, 30, 359 - 100] == 0.25
    again, original = mirror(image, target)
    assert torch.equal(again, frame[0]) and torch.equal(original["boxes"], frame[1]["boxes"])


def test_no_instances_and_no_options(frame) -> None:
    image, target = frame
    nothing: FrameTargets = {
        "boxes": torch.zeros(0, 4),
        "labels": torch.zeros(0, dtype=torch.int64),
        "energy": torch.zeros(0, 180, 360),
        "distance_cm": torch.zeros(0),
    }
    assert rotate(image, nothing, 7)[1]["boxes"].shape == (0, 4)
    same, targets = augment(image[None], [target], Augmentation(), np.random.default_rng(0))
    assert torch.equal(same[0], image) and targets[0] is target


def test_each_option_changes_its_own_part(frame) -> None:
    image, target = frame

    def changed(seed: int = 0, **options) -> torch.Tensor:
        rng = np.random.default_rng(seed)
        images, targets = augment(image[None], [target], Augmentation(**options), rng)
        assert torch.equal(targets[0]["energy"], target["energy"])
        return images[0]

    dropped = changed(rgb_dropout=1.0)
    assert torch.equal(dropped[:3], torch.tensor(IMAGENET_MEAN)[:, None, None].expand(3, 180, 360))
    assert torch.equal(dropped[3:], image[3:])
    jittered = changed(rgb_jitter=0.5)
    assert torch.equal(jittered[3:], image[3:])
    assert not torch.equal(jittered[:3], image[:3]) and jittered.max() <= 1


def test_same_chance_gives_the_same_frames(frame) -> None:
    options = Augmentation(rotation=True, flip=0.5, rgb_jitter=0.2, rgb_dropout=0.2)
    images, targets = frame[0][None].expand(8, -1, -1, -1), [frame[1]] * 8
    one = augment(images, targets, options, np.random.default_rng([1, 2, 3]))
    two = augment(images, targets, options, np.random.default_rng([1, 2, 3]))
    assert torch.equal(one[0], two[0])
    assert not torch.equal(one[0][0], one[0][1])
    for image, target in zip(*one, strict=True):
        assert torch.equal(image[11], target["energy"].amax(dim=0))
