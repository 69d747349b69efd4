from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.errors import raises

from saiseld.detector.model import Detector
from saiseld.runtime.errors import RecipeError
from saiseld.runtime.recipe_files import builtin_names
from saiseld.training.detector.optimisation import freeze, optimizer_of, set_rate
from saiseld.training.detector.recipes import read_recipe
from saiseld.training.loop import warmup_cosine


def test_built_in_recipes_are_whole() -> None:
    names = builtin_names("saiseld.training.detector")
    assert names == ("compact", "paper", "paper_public", "paper_scratch")
    for name in names:
        assert read_recipe(name).size in name
    assert read_recipe("paper_scratch").frames_per_epoch == read_recipe("paper").frames_per_epoch
    own, public = (read_recipe(name).model_dump() for name in ("paper", "paper_public"))
    assert {key: value for key, value in public.items() if value != own[key]} == {
        "targets": "public",
        "sampling": "public",
        "plateau_restarts": True,
        "frame_scaling": "bilinear",
    }


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ('extends = "compact"\n[augmentation]\nflip = 2.0', {"place": "augmentation.flip"}),
        ('extends = "compact"\ngroups = [{ parameters = "(" }]', {"place": "groups.0.parameters"}),
        ('extends = "compact"\nbatch_size = 100000', {"found": "frames_per_epoch"}),
        ('extends = "compact"\nplateau_restarts = true', {"found": "plateau_restarts"}),
        ('extends = "mine"', {"place": "extends", "expected": "compact, paper,"}),
        ("size = ", {"expected": "TOML"}),
        ('size = "compact"', {"place": "batch_size"}),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, fields: dict[str, str]) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with raises(RecipeError, path, **fields):
        read_recipe(str(path))


def test_unknown_recipe() -> None:
    with raises(RecipeError, "huge", expected="compact, paper"):
        read_recipe("huge")


def _moving(detector: Detector, epoch: int) -> set[str]:
    detector.train()
    freeze(detector, read_recipe("paper"), epoch)
    return {n.split(".weight")[0] for n, p in detector.named_parameters() if p.requires_grad}


def test_the_paper_recipe_thaws_and_rates_as_described() -> None:
    detector = Detector("paper")
    early, middle, late = (_moving(detector, epoch) for epoch in (1, 3, 7))
    body = "det.backbone.body."
    for name in ("conv1.conv1_audio", "layer1.0.conv1"):
        assert body + name in early
    assert "det.backbone.fpn.inner_blocks.0.0" in early and "energy_head.net.0" in early
    assert body + "layer4.0.conv1" not in early and body + "layer4.0.conv1" in middle
    assert body + "layer3.0.conv1" not in middle and body + "layer3.0.conv1" in late
    assert body + "layer2.0.conv1" not in late
    assert not detector.det.backbone.body["layer2"].training
    assert detector.det.backbone.body["layer3"].training
    optimizer = optimizer_of(detector, read_recipe("paper"))
    set_rate(optimizer, 1e-4)
    rate_of = {
        id(parameter): (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    own = dict(detector.named_parameters())
    for name, rate, decay in (
        (body + "conv1.conv1_rgb.weight", 0.2, 1e-4),
        (body + "conv1.audio_raw", 2, 0),
        ("acoustic_norm.weight", 1, 1e-4),
        (body + "layer1.0.conv1.weight", 0.1, 1e-4),
        (body + "layer2.0.downsample.0.weight", 0.05, 1e-4),
        (body + "layer3.0.conv2.weight", 0.05, 1e-4),
        (body + "layer4.2.conv3.weight", 0.1, 1e-4),
        ("det.backbone.fpn.layer_blocks.1.0.bias", 0.2, 1e-4),
        ("det.rpn.head.cls_logits.weight", 0.1, 5e-3),
        ("det.roi_heads.box_head.fc6.weight", 0.02, 5e-2),
        ("energy_decoder.head.7.bias", 0.5, 1e-2),
        ("distance_head.fc.0.weight", 0.5, 1e-2),
    ):
        assert rate_of[id(own[name])] == pytest.approx((rate * 1e-4, decay)), name
    assert len(rate_of) == len(own)


def test_one_cycle_rises_and_falls() -> None:
    shares = torch.tensor([warmup_cosine(step / 100, 0.1) for step in range(100)])
    assert shares[0] == pytest.approx(0.01, abs=0.01)
    assert shares.argmax() == 10 and shares[10] == 1
    assert (shares[11:].diff() < 0).all() and shares[-1] < 1e-2
