from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests import GOLDEN
from tests.errors import raises
from tests.golden_weights import detector_weights
from torchvision.models.detection.roi_heads import RoIHeads

from saiseld.decision.selection import emittable
from saiseld.detector.model import Detector
from saiseld.formats.checkpoint import write_checkpoint
from saiseld.runtime.errors import CheckpointError

OUTPUTS = {
    "boxes": "boxes",
    "labels": "labels",
    "scores": "scores",
    "energy_maps": "energy_maps",
    "distances": "dist_pred",
}


@pytest.fixture(scope="module")
def paper() -> Detector:
    detector = Detector("paper", "official")
    detector.load_state_dict(detector_weights(detector.state_dict()))
    return detector.eval()


@pytest.fixture(scope="module")
def compact() -> Detector:
    torch.manual_seed(1)
    detector = Detector("compact", "great_circle").eval()
    # Strong classifiers make scores that differ, so that orders are not left to rounding.
    torch.nn.init.normal_(detector.det.roi_heads.box_predictor.cls_score.weight, std=0.5)
    return detector


@pytest.fixture(scope="module")
def images() -> list[torch.Tensor]:
    random = np.random.RandomState(7)
    drawn = [random.random_sample((12, 180, 360)).astype(np.float32) for _ in range(2)]
    return [torch.from_numpy(image) for image in drawn]


def test_state_dict_is_the_public_one(paper: Detector) -> None:
    public = json.loads((GOLDEN / "detector_state_dict.json").read_text())
    own = {k: [list(v.shape), str(v.dtype)] for k, v in paper.state_dict().items()}
    assert own == public


@pytest.mark.parametrize("count", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_outputs_equal_golden(paper: Detector, images: list[torch.Tensor], count: int) -> None:
    golden = np.load(GOLDEN / "detector.npz")
    for number, found in enumerate(paper(images[:count], full_energy=True)):
        assert len(found["scores"]) == 100
        for name, public_name in OUTPUTS.items():
            public = golden[f"{number}_{public_name}"]
            own = found[name][: len(public)].numpy()
            np.testing.assert_allclose(own, public, rtol=1e-4, atol=1e-4 * np.abs(public).max())
        np.testing.assert_allclose(
            found["full_energy"][::10, ::10].numpy(), golden[f"{number}_full_energy"], rtol=1e-4
        )


@pytest.mark.parametrize("size", [pytest.param("paper", marks=pytest.mark.slow), "compact"])
def test_saved_work_changes_no_kept_number(
    size: str, images: list[torch.Tensor], request: pytest.FixtureRequest
) -> None:
    detector = request.getfixturevalue(size)
    everything = detector(images[:1], full_energy=True)[0]
    saved = detector(images[:1], keep=emittable)[0]
    kept = saved["measured"]
    assert everything["measured"].all()
    np.testing.assert_array_equal(
        kept.numpy(), emittable(saved["scores"].numpy(), saved["labels"].numpy() - 1)
    )
    assert 0 < kept.sum() < len(kept)
    for name in ("boxes", "labels", "scores"):
        assert torch.equal(everything[name], saved[name])
    for name in ("energy_maps", "distances"):
        torch.testing.assert_close(saved[name][kept], everything[name][kept], rtol=1e-5, atol=1e-6)
    assert not saved["energy_maps"][~kept].any()
    assert saved["distances"][~kept].isnan().all()


def test_suppression_by_prefixes_equals_the_whole(paper: Detector) -> None:
    heads = paper.det.roi_heads
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(600, 2, generator=generator) * torch.tensor([320.0, 150.0])
    proposals = torch.cat([corner, corner + 40], dim=1)
    for spread in (0.1, 3.0):  # nearly all scores above the threshold, and few
        logits = torch.randn(600, 14, generator=generator) * spread
        deltas = torch.randn(600, 56, generator=generator) * 0.5
        wanted = RoIHeads.postprocess_detections(heads, logits, deltas, [proposals], [(180, 360)])
        found = heads.best(proposals, torch.softmax(logits, -1), deltas, (180, 360))
        boxes, scores, labels = (part[0] for part in wanted)
        assert torch.equal(found[0], boxes)
        assert torch.equal(found[1], scores)
        assert torch.equal(found[2], labels)


def test_compact_is_small(compact: Detector) -> None:
    assert sum(p.numel() for p in compact.parameters()) <= 15e6


def test_boxes_reach_past_the_seam(compact: Detector, images: list[torch.Tensor]) -> None:
    boxes = compact(images[:1])[0]["boxes"]
    assert (boxes[:, 0] < 0).any()
    centre = (boxes[:, 0] + boxes[:, 2]) / 2
    assert (centre > -compact.margin / 2).all() and (centre < 360 + compact.margin / 2).all()


def test_latent_is_projected_inside(compact: Detector) -> None:
    rgb = torch.randint(0, 256, (2, 3, 180, 360), dtype=torch.uint8)
    latent = torch.rand(2, 9, 484)
    image = compact.compose(rgb, latent)
    assert image.shape == (2, 12, 180, 360)
    table = compact.table
    assert image[1, 5, 40, 100] == latent[1, 2, table[40, 100]]
    for inside, outside in zip(compact.detect(rgb, latent), compact(image), strict=True):
        assert torch.equal(inside["boxes"], outside["boxes"])


def test_save_and_load(compact: Detector, images: list[torch.Tensor], tmp_path: Path) -> None:
    compact.save(tmp_path / "w.safetensors", header={"data": "sim"})
    loaded = Detector.load(tmp_path / "w.safetensors")
    assert (loaded.size, loaded.projection) == ("compact", "great_circle")
    assert torch.equal(loaded(images[:1])[0]["scores"], compact(images[:1])[0]["scores"])
    compact.save(tmp_path / "half.safetensors", half=True)
    assert (tmp_path / "half.safetensors").stat().st_size < 12e6
    assert Detector.load(tmp_path / "half.safetensors").acoustic_norm.weight.dtype == torch.float32


def test_public_checkpoint_loads_strictly(paper: Detector, tmp_path: Path) -> None:
    torch.save({"model_state_dict": paper.state_dict()}, tmp_path / "public.pth")
    loaded = Detector.load(tmp_path / "public.pth")
    assert (loaded.size, loaded.projection) == ("paper", "official")
    assert torch.equal(loaded.energy_head.net[0].weight, paper.energy_head.net[0].weight)


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        (
            lambda s: s.pop("acoustic_norm.bias"),
            {"place": "key acoustic_norm.bias", "found": "nothing"},
        ),
        (
            lambda s: s.update({"distance_head.fc.6.weight": torch.zeros(2, 32)}),
            {
                "place": "key distance_head.fc.6.weight",
                "expected": "shape (1, 32)",
                "found": "shape (2, 32)",
            },
        ),
        (
            lambda s: s.update({"class_weights": torch.full((14,), torch.nan)}),
            {"place": "key class_weights", "expected": "finite"},
        ),
        (
            lambda s: s.update({"mask_head": torch.zeros(1)}),
            {"place": "key mask_head", "expected": "no such key"},
        ),
    ],
)
def test_wrong_keys_are_named(
    compact: Detector, tmp_path: Path, change, fields: dict[str, str]
) -> None:
    state = compact.state_dict()
    change(state)
    header = {"kind": "detector", "size": "compact", "projection": "great_circle"}
    write_checkpoint(tmp_path / "w.safetensors", state, header)
    with raises(CheckpointError, **fields):
        Detector.load(tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("header", "fields"),
    [
        (
            {"kind": "uplam"},
            {"place": "header, kind", "expected": "'detector'", "found": "'uplam'"},
        ),
        (
            {"kind": "detector", "size": "huge"},
            {"expected": "a known size and projection", "found": "'huge'"},
        ),
        (
            {"kind": "detector", "context": 9},
            {"place": "context", "expected": "0 to 4 frames", "found": "9"},
        ),
        (
            {"kind": "detector", "context": 1.0},
            {"place": "context", "expected": "0 to 4 frames", "found": "1.0"},
        ),
        (
            {"kind": "detector", "frame_scaling": "box"},
            {"place": "frame_scaling", "expected": "bicubic or bili"},
        ),
    ],
)
def test_other_weights_are_named(
    tmp_path: Path, header: dict[str, str], fields: dict[str, str]
) -> None:
    write_checkpoint(tmp_path / "w.safetensors", {"a": torch.zeros(1)}, header)
    with raises(CheckpointError, **fields):
        Detector.load(tmp_path / "w.safetensors")


def test_wrong_image_shape(compact: Detector) -> None:
    with pytest.raises(ValueError, match=r"expected images of shape \(12, 180, 360\), found"):
        compact(torch.zeros(1, 12, 90, 180))
