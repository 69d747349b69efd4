"""The weights that a training run starts from."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from saiseld.conventions.bands import BANDS
from saiseld.detector.model import Detector
from saiseld.formats.checkpoint import read_checkpoint
from saiseld.runtime.errors import CheckpointError


def start_from(detector: Detector, path: str | Path) -> int:
    """Copy the weights that fit from a detector's checkpoint or torchvision's COCO Mask R-CNN.

    Returns
    -------
    How many tensors were copied; the others stay as initialised.

    Raises
    ------
    CheckpointError
        If the backbone of the checkpoint is another one.
    """
    given, _ = read_checkpoint(path)
    if not any(key.startswith("det.") for key in given):
        given = {_current_name(key): value for key, value in given.items()}
    expected = detector.state_dict()
    if detector.context:
        given = {k: _in_context(v, expected[k]) for k, v in given.items() if k in expected}
    fitting = {k: v for k, v in given.items() if k in expected and expected[k].shape == v.shape}
    backbone = [key for key in expected if key.startswith("det.backbone.body.layer")]
    absent = [key for key in backbone if key not in fitting and "num_batches" not in key]
    if absent or not fitting:
        raise CheckpointError(
            path,
            place=f"key {(absent or sorted(expected))[0]}",
            expected=f"weights of a {detector.size} detector or of a COCO Mask R-CNN (ResNet-50)",
            found="none of this name and shape",
        )
    detector.load_state_dict(fitting, strict=False)
    return len(fitting)


def _in_context(value: Tensor, expected: Tensor) -> Tensor:
    """Return weights of one frame's acoustic image as those of several, which they ignore."""
    if value.shape == (BANDS,) and expected.ndim == 1:  # of the norm
        return value.repeat(len(expected) // len(value))
    one_frame = (expected.shape[0], BANDS, *expected.shape[2:]) if expected.ndim == 4 else None
    if value.shape != one_frame or expected.shape == value.shape:
        return value
    wider = torch.zeros_like(expected)
    wider[:, :BANDS] = value
    return wider


def _current_name(key: str) -> str:
    return "det." + key.replace("body.conv1.weight", "body.conv1.conv1_rgb.weight")
