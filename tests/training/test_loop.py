"""What every training loop does with precision."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from saiseld.training import loop


@pytest.mark.parametrize(
    ("precision", "device", "has_bf16", "usable"),
    [
        ("bf16", "cpu", False, "no"),
        ("bf16", "cpu", True, "bf16"),
        ("fp16", "cpu", True, "no"),
        ("no", "cpu", True, "no"),
        ("fp16", "cuda", False, "fp16"),
    ],
)
def test_a_processor_without_a_precision_takes_the_full_one(
    monkeypatch, precision, device, has_bf16, usable
) -> None:
    asked = SimpleNamespace(_is_mkldnn_bf16_supported=lambda: has_bf16)
    monkeypatch.setattr(torch.ops, "mkldnn", asked)
    assert loop.usable_precision(precision, torch.device(device)) == usable
