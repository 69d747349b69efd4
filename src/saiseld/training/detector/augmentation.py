"""Changes of training frames on the cylinder: image and targets together, over the seam.

The acoustic image is turned and mirrored with the picture. That is right for the scene, but only
nearly so for the front end: a tetrahedron in another orientation would leave other side lobes.
Where that matters, use the array's own symmetries (`saiseld.conventions.symmetry`), which act on
the channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from saiseld.conventions.sphere import WIDTH
from saiseld.data.video import IMAGENET_MEAN
from saiseld.detector.losses import public_boxes
from saiseld.detector.stem import RGB_CHANNELS
from saiseld.detector.targets import FrameTargets
from saiseld.training.detector.recipes import Augmentation


def augment(
    images: Tensor,
    targets: Sequence[FrameTargets],
    options: Augmentation,
    rng: np.random.Generator,
) -> tuple[Tensor, list[FrameTargets]]:
    """Return changed copies of a batch.

    Parameters
    ----------
    images
        (B, 3 + acoustic, 180, 360), as `Detector.compose` makes them.
    targets
        Their instances.
    options
        What is changed, and how often.
    rng
        Where chance comes from; the only thing the outcome depends on.
    """
    pairs = [
        _augment_one(image, target, options, rng)
        for image, target in zip(images, targets, strict=True)
    ]
    return torch.stack([image for image, _ in pairs]), [target for _, target in pairs]


def rotate(image: Tensor, target: FrameTargets, pixels: int) -> tuple[Tensor, FrameTargets]:
    """Turn a frame to the right by whole pixels; what leaves on the right enters on the left."""
    boxes = target["boxes"].clone()
    boxes[:, 0::2] += pixels

    def turn(canvas: Tensor) -> Tensor:
        return torch.roll(canvas, pixels, dims=-1)

    return turn(image), _moved(target, boxes, turn)


def mirror(image: Tensor, target: FrameTargets) -> tuple[Tensor, FrameTargets]:
    """Swap left and right."""
    boxes = target["boxes"].clone()
    boxes[:, 0::2] = (WIDTH - 1) - boxes[:, [2, 0]]
    return image.flip(-1), _moved(target, boxes, lambda canvas: canvas.flip(-1))


def _moved(target: FrameTargets, boxes: Tensor, move: Callable[[Tensor], Tensor]) -> FrameTargets:
    """Return targets whose canvases are moved, and with them their boxes on the cylinder."""
    moved: FrameTargets = {
        **target,
        "boxes": _from_canvas(boxes),
        "energy": move(target["energy"]),
    }
    if "annotated" in target and "field" in target:
        moved["annotated"], moved["field"] = move(target["annotated"]), move(target["field"])
        moved["boxes"] = public_boxes(moved["annotated"])
    return moved


def _augment_one(
    image: Tensor, target: FrameTargets, options: Augmentation, rng: np.random.Generator
) -> tuple[Tensor, FrameTargets]:
    if options.rotation:
        image, target = rotate(image, target, int(rng.integers(WIDTH)))
    if rng.random() < options.flip:
        image, target = mirror(image, target)
    rgb, acoustic = image[:RGB_CHANNELS], image[RGB_CHANNELS:]
    if rng.random() < options.rgb_dropout:
        rgb = rgb.new_tensor(IMAGENET_MEAN)[:, None, None].expand_as(rgb)
    elif options.rgb_jitter:
        gain = 1 + options.rgb_jitter * rng.uniform(-1, 1, (RGB_CHANNELS, 1, 1))
        rgb = (rgb * torch.from_numpy(gain).to(rgb)).clamp(0, 1)
    return torch.cat([rgb, acoustic]), target


def _from_canvas(boxes: Tensor) -> Tensor:
    """Shift boxes by whole turns so that they begin on the canvas."""
    turns = torch.floor(boxes[:, :1] / WIDTH) * WIDTH
    boxes[:, 0::2] -= turns
    return boxes
