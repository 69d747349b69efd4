"""Fill state dicts by the rule that the golden outputs were made with.

Every tensor is drawn from a generator seeded with its rank among the sorted keys, so that the whole
of a model of tens of millions of weights is pinned by its key names and shapes alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

_UNIT_NORMS = ("bn", "norm", ".net.", "smooth", "downsample.1", "energy_decoder.head")


def front_end_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict of LAM or UpLAM filled by the front-end rule."""
    return _filled(state, lambda key, value: 0.5 if key in ("D", "lam.D") else _spread(value))


def detector_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict of the paper-size detector filled by the detector rule."""
    filled = _filled(state, lambda key, value: _spread(value) * _detector_factor(key))
    for key, value in filled.items():
        if key == "class_weights":
            filled[key] = torch.ones_like(value)
        elif value.ndim == 1 and key.endswith("weight") and any(n in key for n in _UNIT_NORMS):
            filled[key] = torch.full_like(value, 0.2 if ".bn3." in key else 1.0)
    return filled


def _spread(value: Tensor) -> float:
    return float(np.sqrt(6 / np.prod(value.shape[1:]))) if value.ndim >= 2 else 0.01


def _detector_factor(key: str) -> float:
    factor = 0.5 if "fpn" in key else 1.0
    if "rpn.head" in key or "box_predictor" in key:
        factor *= 0.1
    if key.endswith(("conv1_audio.weight", "conv1_rgb.weight")):
        factor *= 0.5
    if key.startswith(("energy_head.net.17", "energy_decoder.head.7", "distance_head.fc.6")):
        factor *= 0.2
    return factor


def _filled(
    state: Mapping[str, Tensor], scale: Callable[[str, Tensor], float]
) -> dict[str, Tensor]:
    return {key: _fill(k, key, state[key], scale) for k, key in enumerate(sorted(state))}


def _fill(k: int, key: str, value: Tensor, scale: Callable[[str, Tensor], float]) -> Tensor:
    if key.endswith(("running_mean", "num_batches_tracked")):
        return torch.zeros_like(value)
    if key.endswith("running_var"):
        return torch.ones_like(value)
    if value.ndim == 0:
        return value.clone()
    random = np.random.RandomState(k)
    drawn = 2 * random.random_sample(value.numel()) - 1
    if value.is_complex():
        drawn = drawn + 1j * (2 * random.random_sample(value.numel()) - 1)
    return torch.from_numpy(scale(key, value) * drawn.reshape(tuple(value.shape))).to(value.dtype)
