"""Targets and losses of the SELD network."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.seld.network import SeldLogits
from saiseld.seld.output import GRID, ROWS
from saiseld.training.seld.recipes import LossWeights
from saiseld.training.seld.windows import Shard

_NEVER = -1


def class_targets(shard: Shard) -> Tensor:
    """Return (B, T, 14): 1 where a class sounds, and in the last row where anything does."""
    classes, active = shard["class_id"].long(), shard["active"].float()
    target = active.new_zeros(len(classes), active.shape[-1], NUM_CLASSES + 1)
    for track in range(classes.shape[1]):
        index = classes[:, track].clamp(min=_NEVER) % (NUM_CLASSES + 1)
        here = functional.one_hot(index, NUM_CLASSES + 1)[:, None, :]
        target = torch.maximum(target, here * active[:, track, :, None])
    target[..., NUM_CLASSES] = target[..., :NUM_CLASSES].amax(-1)
    return target


def map_targets(shard: Shard, points: Tensor, spread_deg: float) -> Tensor:
    """Return (B, T, 14, P): bumps of height 1 round the sources, for each class and for any.

    Parameters
    ----------
    points
        (P,) which directions of the grid.
    spread_deg
        Standard deviation of a bump.
    """
    grid = torch.from_numpy(GRID.astype(np.float32)).to(points.device, non_blocking=True)
    directions = grid[:, points]
    azimuth, elevation = torch.deg2rad(shard["azimuth"]), torch.deg2rad(shard["elevation"])
    source = torch.stack(
        [
            elevation.cos() * azimuth.cos(),
            elevation.cos() * azimuth.sin(),
            elevation.sin(),
        ],
        dim=-1,
    )
    angle = torch.acos((source @ directions).clamp(-1, 1))
    bump = torch.exp(-0.5 * (angle / np.radians(spread_deg)) ** 2) * shard["active"][..., None]
    batch, tracks, frames, count = bump.shape
    target = bump.new_zeros(batch, frames, ROWS, count)
    scene = torch.arange(batch, device=points.device)
    for track in range(tracks):
        # No class, -1, is the last row, which becomes what the others are together.
        row = shard["class_id"][:, track].long() % ROWS
        target[scene, :, row] = torch.maximum(target[scene, :, row], bump[:, track])
    target[:, :, NUM_CLASSES] = target[:, :, :NUM_CLASSES].amax(2)
    return target


def losses(
    logits: SeldLogits, shard: Shard, points: Tensor, spread_deg: float, weights: LossWeights
) -> dict[str, Tensor]:
    """Return each loss, weighted, and their sum as ``loss``.

    Sums over classes and over the sphere, means over frames.
    """
    of_class = class_targets(shard)
    of_map = map_targets(shard, points, spread_deg)
    classes = functional.binary_cross_entropy_with_logits(
        logits.classes, of_class, reduction="none"
    )
    # Where something sounds that is of no class of ours, whether anything does is not learnt.
    ours = (~shard["ignored"]).float()
    classes = classes[..., :NUM_CLASSES].sum(-1) + classes[..., NUM_CLASSES] * ours
    whole = GRID.shape[1] / len(points) / 4  # about as large as the classes' loss
    maps = functional.binary_cross_entropy_with_logits(logits.maps, of_map, reduction="none")
    parts = {
        "classes": weights.classes * classes.mean(),
        "maps": weights.maps * whole * maps[:, :, :NUM_CLASSES].sum((2, 3)).mean(),
        "activity": weights.activity * whole * (maps[:, :, NUM_CLASSES].sum(2) * ours).mean(),
        "distance": weights.distance * _distance(logits.distance, shard),
    }
    return {"loss": sum(parts.values(), torch.zeros(())), **parts}


def _distance(predicted: Tensor, shard: Shard) -> Tensor:
    """Return the mean absolute error of the log distances, where there is something."""
    classes = shard["class_id"].long()
    given = shard["distance_cm"]
    valid = shard["active"] & (classes[..., None] >= 0) & given.isfinite()
    index = classes.clamp(min=0)[..., None].expand(-1, -1, predicted.shape[1])
    each = predicted.permute(0, 2, 1).gather(1, index)
    true = torch.log(torch.nan_to_num(given).clamp(min=10) / 100)
    return ((each - true).abs() * valid.float()).sum() / valid.float().sum().clamp(min=1)
