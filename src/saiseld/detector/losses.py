"""Targets on the cylinder, and the losses of the detector's own heads (Baseline2026)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import masks_to_boxes

from saiseld.conventions.sphere import HEIGHT, WIDTH
from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.detector.detections import DISTANCE_UNIT_CM
from saiseld.detector.targets import FrameTargets
from saiseld.formats.candidates import MAP_SIZE

MIN_VISIBLE = 0.2
"""Share of a box that must lie on the (extended) canvas for the part there to be a target."""

BOX_JITTER = 0.10
"""Each edge of a true box moves by up to this share of its width or height before pooling."""

ANNOTATED_ENERGY_WEIGHT = 5.0
ANNOTATED_FIELD_WEIGHT = 10.0
MAX_CLASS_WEIGHT = 10.0


def class_weights(counts: Tensor) -> Tensor:
    """Return the (14,) weights of the classification loss, background first, from 13 box counts.

    ``sqrt(total / (13 count))``, at most 10; background and classes never seen weigh 1.
    """
    counts = counts.to(torch.float64)
    weights = (counts.sum() / (NUM_CLASSES * counts)).sqrt().clamp(max=MAX_CLASS_WEIGHT)
    weights = torch.where(counts > 0, weights, torch.ones_like(weights))
    return torch.cat([torch.ones(1, dtype=torch.float64), weights]).float()


def visible_copies(boxes: Tensor, margin: int) -> tuple[Tensor, Tensor]:
    """Return every part of boxes on the canvas extended by ``margin`` pixels past either edge.

    A box on the seam has a copy at either edge: two halves where the margin is 0, whole ones
    where it is wide enough.

    Returns
    -------
    boxes
        (m, 4), clipped to ``-margin <= x <= 360 + margin``.
    owner
        (m,) index of the box that each is a part of.
    """
    shifts = torch.tensor([-WIDTH, 0, WIDTH], dtype=boxes.dtype, device=boxes.device)
    copies = boxes[:, None, :].repeat(1, 3, 1)
    copies[..., 0::2] += shifts[None, :, None]
    clipped = copies.clone()
    clipped[..., 0::2] = clipped[..., 0::2].clamp(-margin, WIDTH + margin)
    visible = (
        clipped[..., 2] - clipped[..., 0] >= MIN_VISIBLE * (boxes[:, 2] - boxes[:, 0])[:, None]
    )
    owner, shift = torch.where(visible)
    return clipped[owner, shift], owner


def jittered(boxes: Tensor) -> Tensor:
    """Return boxes with every edge moved at random by up to 10 % of the box's width or height."""
    size = boxes[:, 2:] - boxes[:, :2]
    noise = (2 * torch.rand_like(boxes) - 1) * BOX_JITTER
    return boxes + noise * size.repeat(1, 2)


def crop_energy(energy: Tensor, owner: Tensor, boxes: Tensor) -> Tensor:
    """Return the (m, 28, 28) energy maps inside boxes, sampled bilinearly at the cells' centres.

    Parameters
    ----------
    energy
        (n, 180, 360) canvases, which wrap in x.
    owner
        (m,) the canvas of each box.
    boxes
        (m, 4) canvas pixels, anywhere in x.
    """
    height, width = energy.shape[-2:]
    cell = (torch.arange(MAP_SIZE, device=boxes.device, dtype=boxes.dtype) + 0.5) / MAP_SIZE
    x = boxes[:, :1] + cell * (boxes[:, 2:3] - boxes[:, :1])
    y = (boxes[:, 1:2] + cell * (boxes[:, 3:] - boxes[:, 1:2])).clamp(0, height - 1)
    x_low, y_low = x.floor(), y.floor()
    x_share, y_share = (x - x_low)[:, None, :], (y - y_low)[:, :, None]
    columns = [(x_low.long() + step) % width for step in (0, 1)]
    rows = [(y_low.long() + step).clamp(max=height - 1) for step in (0, 1)]

    def at(row: Tensor, column: Tensor) -> Tensor:
        return energy[owner[:, None, None], row[:, :, None], column[:, None, :]]

    top = at(rows[0], columns[0]).lerp(at(rows[0], columns[1]), x_share)
    bottom = at(rows[1], columns[0]).lerp(at(rows[1], columns[1]), x_share)
    return top.lerp(bottom, y_share)


def public_boxes(annotated: Tensor) -> Tensor:
    """Return the (n, 4) boxes of (n, 180, 360) annotated pixels, as the public recipe has them.

    From the first pixel to one past the last, so from end to end of the picture at the seam.
    """
    boxes: Tensor = masks_to_boxes(annotated)
    return boxes + boxes.new_tensor([0, 0, 1, 1])


def jittered_on_canvas(boxes: Tensor, margin: int) -> Tensor:
    """Return boxes as `jittered` does, kept on the canvas and its margins, a pixel at least."""
    size = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1).repeat(1, 2) * BOX_JITTER
    moved = boxes + (2 * torch.rand_like(boxes) - 1) * size
    low, high = boxes.new_tensor([-margin, 0]), boxes.new_tensor([WIDTH + margin, HEIGHT])
    start = moved[:, :2].clamp(low, high - 1)
    stop = moved[:, 2:].maximum(start + 1).minimum(high)
    return torch.cat([start, stop], dim=1)


def resized_energy(
    energy: Tensor, annotated: Tensor, owner: Tensor, boxes: Tensor
) -> tuple[Tensor, Tensor]:
    """Return energy maps and annotated cells, (m, 28, 28), as the public recipe crops them.

    The whole pixels that a box touches are resized bilinearly, and so is the mask of the annotated
    ones; a cell is annotated where that exceeds 0.5.

    Parameters
    ----------
    energy, annotated
        (n, 180, 360) canvases, which wrap in x.
    owner
        (m,) the canvas of each box.
    boxes
        (m, 4) canvas pixels, not past the poles.
    """
    maps = energy.new_zeros(len(boxes), 2, MAP_SIZE, MAP_SIZE)
    for number, (box, instance) in enumerate(zip(boxes.tolist(), owner.tolist(), strict=True)):
        x0, y0, x1, y1 = (*map(math.floor, box[:2]), *map(math.ceil, box[2:]))
        columns = torch.arange(x0, x1, device=energy.device) % WIDTH
        whole = torch.stack([energy[instance, y0:y1], annotated[instance, y0:y1].to(energy.dtype)])
        maps[number] = F.interpolate(
            whole[None, :, :, columns], (MAP_SIZE, MAP_SIZE), mode="bilinear", align_corners=False
        )[0]
    return maps[:, 0], maps[:, 1] > 0.5


def expected_energy(
    targets: Sequence[FrameTargets], copies: Sequence[tuple[Tensor, Tensor]], margin: int
) -> tuple[list[Tensor], Tensor, Tensor]:
    """Return the boxes that energy is pooled in, and the maps and annotated cells expected there.

    Parameters
    ----------
    targets
        The instances of each frame.
    copies
        What `visible_copies` made of their boxes, frame by frame.
    margin
        Pixels of the canvas' margin.

    Returns
    -------
    boxes
        (m, 4) a frame: the copies, jittered.
    maps, annotated
        (M, 28, 28) energies and booleans, all frames together.
    """
    boxes, maps, cells = [], [], []
    for target, (parts, owner) in zip(targets, copies, strict=True):
        if "annotated" in target:
            moved = jittered_on_canvas(parts, margin)
            cropped, annotated = resized_energy(target["energy"], target["annotated"], owner, moved)
        else:
            moved = jittered(parts)
            cropped = crop_energy(target["energy"], owner, moved)
            annotated = cropped > 0
        boxes.append(moved)
        maps.append(cropped)
        cells.append(annotated)
    return boxes, torch.cat(maps), torch.cat(cells)


def expected_field(target: FrameTargets) -> tuple[Tensor, Tensor]:
    """Return the energy field (180, 360) of a frame, and where it is annotated."""
    if "annotated" in target and "field" in target:
        return target["field"], target["annotated"].any(dim=0)
    energy = target["energy"]
    field = energy.amax(dim=0) if len(energy) else energy.new_zeros(HEIGHT, WIDTH)
    return field, field > 0


def energy_loss(predicted: Tensor, target: Tensor, annotated: Tensor) -> Tensor:
    """Return the mean squared error, plus 5 times that over the annotated pixels."""
    everywhere = F.mse_loss(predicted, target)
    if not annotated.any():
        return everywhere
    return everywhere + ANNOTATED_ENERGY_WEIGHT * F.mse_loss(
        predicted[annotated], target[annotated]
    )


def field_loss(predicted: Tensor, target: Tensor, annotated: Tensor) -> Tensor:
    """Return the mean squared error of the energy field, annotated pixels weighing 10."""
    weight = torch.where(annotated, ANNOTATED_FIELD_WEIGHT, 1.0)
    return (weight * (predicted - target) ** 2).mean()


def distance_loss(predicted: Tensor, distance_cm: Tensor) -> Tensor:
    """Return the smooth L1 error in units of 500 cm over the instances of known distance."""
    has_distance = distance_cm.isfinite()
    if not has_distance.any():
        return predicted.sum() * 0.0
    return F.smooth_l1_loss(predicted[has_distance], distance_cm[has_distance] / DISTANCE_UNIT_CM)
