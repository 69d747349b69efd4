from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.reference.crop_energy import crop_energy as reference_crop

from saiseld.detector import losses
from saiseld.detector.model import Detector
from saiseld.detector.targets import FrameTargets


def test_class_weights_by_hand() -> None:
    counts = torch.full((13,), 100)
    counts[0], counts[1] = 0, 1
    weights = losses.class_weights(counts)
    assert weights.shape == (14,)
    assert weights[0] == 1 and weights[1] == 1  # background, and a class never seen
    assert weights[2] == pytest.approx((1101 / 13) ** 0.5)
    assert weights[3] == pytest.approx((1101 / 1300) ** 0.5)
    counts[2] = 10**7
    assert losses.class_weights(counts).max() == 10


@pytest.mark.parametrize(
    ("box", "margin", "expected"),
    [
        ([100, 10, 140, 50], 36, [[100, 10, 140, 50]]),
        ([-20, 10, 20, 50], 36, [[-20, 10, 20, 50], [340, 10, 380, 50]]),
        ([340, 10, 380, 50], 36, [[-20, 10, 20, 50], [340, 10, 380, 50]]),
        ([-20, 10, 20, 50], 0, [[0, 10, 20, 50], [340, 10, 360, 50]]),
        ([-4, 10, 36, 50], 0, [[0, 10, 36, 50]]),  # a tenth at the other edge is no target
        ([10, 10, 50, 50], 36, [[10, 10, 50, 50], [370, 10, 396, 50]]),
    ],
)
def test_visible_copies_by_hand(box: list[int], margin: int, expected: list[list[int]]) -> None:
    copies, owner = losses.visible_copies(torch.tensor([box], dtype=torch.float32), margin)
    assert sorted(copies.tolist()) == expected
    assert owner.tolist() == [0] * len(expected)


def test_no_boxes() -> None:
    copies, owner = losses.visible_copies(torch.zeros(0, 4), 36)
    assert copies.shape == (0, 4) and owner.shape == (0,)
    assert losses.crop_energy(torch.zeros(0, 180, 360), owner, copies).shape == (0, 28, 28)


def test_jitter_stays_within_a_tenth() -> None:
    boxes = torch.tensor([[100.0, 50, 140, 70]]).repeat(1000, 1)
    moved = (losses.jittered(boxes) - boxes).abs().amax(dim=0)
    assert (moved <= torch.tensor([4.0, 2, 4, 2])).all()
    assert (moved > torch.tensor([3.5, 1.5, 3.5, 1.5])).all()


def test_crop_equals_reference() -> None:
    random = np.random.default_rng(0)
    energy = random.random((2, 180, 360)).astype(np.float32)
    boxes = np.array([[-12.5, 20, 30, 61], [340, 150, 381, 180], [5, 0, 5.5, 0.5]], np.float32)
    owner = np.array([0, 1, 1])
    found = losses.crop_energy(*map(torch.from_numpy, (energy, owner, boxes))).numpy()
    np.testing.assert_allclose(found, reference_crop(energy, owner, boxes), atol=2e-5)


def test_losses_by_hand() -> None:
    predicted, target = torch.tensor([0.0, 1.0]), torch.tensor([0.0, 0.5])
    annotated = target > 0
    assert losses.energy_loss(predicted, target, annotated) == pytest.approx(0.125 + 5 * 0.25)
    nothing = torch.zeros(2)
    assert losses.energy_loss(predicted, nothing, nothing > 0) == pytest.approx(0.5)
    assert losses.field_loss(predicted, target, annotated) == pytest.approx(10 * 0.25 / 2)
    distance = losses.distance_loss(torch.tensor([1.0, 7.0]), torch.tensor([250.0, torch.nan]))
    assert distance == pytest.approx(0.5 * 0.5**2)
    assert losses.distance_loss(torch.ones(1), torch.tensor([torch.nan])) == 0


@pytest.mark.parametrize("instances", [0, 1])
def test_every_parameter_is_trained(instances: int) -> None:
    torch.manual_seed(0)
    detector = Detector("compact").train()
    energy = torch.zeros(instances, 180, 360)
    energy[:, 60:100, 340:] = 0.5
    energy[:, 60:100, :20] = 0.5
    target: FrameTargets = {
        "boxes": torch.tensor([[-20.0, 60, 20, 100]])[:instances],
        "labels": torch.tensor([3])[:instances],
        "energy": energy,
        "distance_cm": torch.tensor([200.0])[:instances],
    }
    found = detector(torch.rand(2, 12, 180, 360), [target, target])
    assert set(found) == {
        "objectness",
        "proposal_box",
        "box_class",
        "box",
        "energy",
        "field",
        "distance",
    }
    sum(found.values()).backward()
    grads = {name: p.grad for name, p in detector.named_parameters()}
    assert all(g is None or g.isfinite().all() for g in grads.values())
    untouched = {name for name, g in grads.items() if g is None}
    if instances:
        assert not untouched
    else:
        assert all(n.startswith(("energy_head", "distance_head")) for n in untouched)


def test_training_mode_needs_targets() -> None:
    with pytest.raises(ValueError, match="needs targets"):
        Detector("compact").train()(torch.rand(1, 12, 180, 360))


def test_mixed_precision_keeps_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    # How many regions draw from the generator before boxes are jittered hangs on rounding.
    monkeypatch.setattr(losses, "jittered_on_canvas", lambda boxes, margin: boxes)
    monkeypatch.setattr(losses, "jittered", lambda boxes: boxes)
    torch.manual_seed(0)
    detector = Detector("compact").train()
    for module in detector.modules():
        if isinstance(module, torch.nn.Dropout | torch.nn.Dropout2d):
            module.p = 0.0
    energy = torch.zeros(1, 180, 360)
    energy[:, 60:95, 290:330] = 0.5
    target: FrameTargets = {
        "boxes": torch.tensor([[290.0, 60, 329, 94]]),
        "labels": torch.tensor([3]),
        "energy": energy,
        "distance_cm": torch.tensor([200.0]),
    }
    image = torch.rand(1, 12, 180, 360)
    found = []
    for half in (False, True):
        torch.manual_seed(1)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            found.append(detector(image, [target]))
    for name, loss in found[0].items():
        assert found[1][name].dtype == torch.float32
        torch.testing.assert_close(found[1][name], loss, rtol=0.15, atol=2e-3)
