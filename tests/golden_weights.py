"""Fill models by the rule that the golden outputs were made with, in place of trained weights.

For the k-th key of the state dict in sorted order, ``numpy.random.RandomState(k)`` draws ``2 u - 1``;
imaginary parts of complex tensors are drawn right after the real ones. Tensors of two or more dims
are scaled by sqrt(6 / product of the dims after the first), vectors by 0.01; scalars stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

_UNIT_NORMS = ("bn", "norm", ".net.", "smooth", "downsample.1", "energy_decoder.head")


def fill_front_end(model: nn.Module) -> None:
    """Fill a LAM or UpLAM: the general rule, and 0.5 as the scale of ``D``."""
    _fill(model, lambda key, shape: 0.5 if key in ("D", "lam.D") else _spread(shape))


def fill_detector(model: nn.Module) -> None:
    """Fill a paper-size detector: the general rule with smaller last layers and unit norms."""
    _fill(model, lambda key, shape: _spread(shape) * _detector_factor(key))
    state = model.state_dict()
    for key, value in state.items():
        if key == "class_weights":
            value.fill_(1)
        elif value.ndim == 1 and key.endswith("weight") and any(n in key for n in _UNIT_NORMS):
            value.fill_(0.2 if ".bn3." in key else 1)


def _detector_factor(key: str) -> float:
    factor = 0.5 if "fpn" in key else 1.0
    if "rpn.head" in key or "box_predictor" in key:
        factor *= 0.1
    if key.endswith(("conv1_audio.weight", "conv1_rgb.weight")):
        factor *= 0.5
    if key.startswith(("energy_head.net.17", "energy_decoder.head.7", "distance_head.fc.6")):
        factor *= 0.2
    return factor


def _spread(shape: tuple[int, ...]) -> float:
    return float(np.sqrt(6 / np.prod(shape[1:]))) if len(shape) > 1 else 0.01


def _fill(model: nn.Module, scale: Callable[[str, tuple[int, ...]], float]) -> None:
    state = model.state_dict()
    for index, key in enumerate(sorted(state)):
        state[key].copy_(_drawn(index, key, state[key], scale))


def _drawn(
    index: int, key: str, old: Tensor, scale: Callable[[str, tuple[int, ...]], float]
) -> Tensor:
    if key.endswith(("running_mean", "num_batches_tracked")):
        return torch.zeros_like(old)
    if key.endswith("running_var"):
        return torch.ones_like(old)
    if old.ndim == 0:
        return old
    shape = tuple(old.shape)
    random = np.random.RandomState(index)
    draws = 2 * random.random_sample(shape) - 1
    if old.is_complex():
        draws = draws + 1j * (2 * random.random_sample(shape) - 1)
    return torch.from_numpy(np.asarray(scale(key, shape) * draws)).to(old.dtype)
