"""The detector: a 12-channel panorama in; boxes, classes, maps, distances out (KIST2026)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import MultiScaleRoIAlign

from saiseld.conventions.bands import BANDS
from saiseld.conventions.sphere import HEIGHT, WIDTH, Projection, projection_table
from saiseld.conventions.taxonomy import class_of_label
from saiseld.data.context import MAX_CONTEXT, offsets
from saiseld.data.video import IMAGENET_MEAN, Scaling
from saiseld.detector.architecture import Size, build
from saiseld.detector.detections import Found, Keep, on_cylinder
from saiseld.detector.losses import (
    distance_loss,
    energy_loss,
    expected_energy,
    expected_field,
    field_loss,
    visible_copies,
)
from saiseld.detector.regions import NUM_LABELS
from saiseld.detector.stem import RGB_CHANNELS
from saiseld.detector.targets import FrameTargets
from saiseld.formats.candidates import MAP_SIZE
from saiseld.formats.checkpoint import load_weights, read_checkpoint, write_checkpoint
from saiseld.runtime.errors import CheckpointError

IMAGENET_STD = (0.229, 0.224, 0.225)
POOLED = 14
_TOGETHER = 16

_KIND = "detector"


class Detector(nn.Module):
    """Mask R-CNN (MaskRCNN) with energy heads on picture and acoustic image.

    Parameters
    ----------
    size
        ``paper`` (44.87 M parameters, the public checkpoint's) or ``compact``.
    projection
        How a latent becomes an acoustic image; the front end's that the weights were trained with.
    frozen_norms
        See `saiseld.detector.architecture.build`.
    context
        Frames before and after each one whose acoustic images are shown with its own
        (`saiseld.data.context`).
    frame_scaling
        How pictures of another size are scaled before they are given to it.
    """

    def __init__(
        self,
        size: Size = "paper",
        projection: Projection = "official",
        *,
        frozen_norms: bool = True,
        context: int = 0,
        frame_scaling: Scaling = "bicubic",
    ) -> None:
        super().__init__()
        acoustic = BANDS * len(offsets(context))
        parts = build(size, frozen_norms=frozen_norms, acoustic_channels=acoustic)
        self.size, self.projection, self.frozen_norms = size, projection, frozen_norms
        self.context, self.acoustic_channels = context, acoustic
        self.frame_scaling: Scaling = frame_scaling
        self.margin, self.multiple = parts.margin, parts.multiple
        self.acoustic_stride = parts.acoustic_stride
        self.half_precision = False
        """Whether `find` computes in 16 bits, where the device does so faster."""
        self.class_weights: Tensor
        self.register_buffer("class_weights", torch.ones(NUM_LABELS))
        self.det = parts.det
        self.acoustic_norm = nn.InstanceNorm2d(acoustic, affine=True)
        self.energy_head = parts.energy_head
        self.energy_decoder = parts.energy_decoder
        self.distance_head = parts.distance_head
        self.energy_pool = MultiScaleRoIAlign(parts.levels, POOLED, sampling_ratio=2)
        self.table: Tensor
        table = torch.from_numpy(projection_table(projection).astype(np.int64))
        self.register_buffer("table", table, persistent=False)
        for name, value in (("rgb_mean", IMAGENET_MEAN), ("rgb_std", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(value)[:, None, None], persistent=False)
        self.rgb_mean: Tensor
        self.rgb_std: Tensor

    @classmethod
    def load(cls, path: str | Path) -> Detector:
        """Return the detector of a checkpoint, ours or a public ``.pth``, ready for inference.

        Raises
        ------
        CheckpointError
            If it cannot be read, or a key is missing, unknown, wrongly shaped or not finite.
        """
        state, header = read_checkpoint(path)
        size, projection = header.get("size", "paper"), header.get("projection", "official")
        if header and header.get("kind") != _KIND:
            raise CheckpointError(
                path,
                place="header, kind",
                expected=f"{_KIND!r}",
                found=repr(header.get("kind")),
                advice="Give the weights of a detector",
            )
        if size not in ("paper", "compact") or projection not in ("official", "great_circle"):
            raise CheckpointError(
                path,
                place="header",
                expected="a known size and projection",
                found=f"{size!r}, {projection!r}",
            )
        context = header.get("context", 0)
        if type(context) is not int or context not in range(MAX_CONTEXT + 1):
            raise CheckpointError(
                path,
                place="header, context",
                expected=f"0 to {MAX_CONTEXT} frames",
                found=repr(context),
            )
        scaling = header.get("frame_scaling", "bicubic")
        if scaling not in get_args(Scaling):
            raise CheckpointError(
                path,
                place="header, frame_scaling",
                expected=" or ".join(get_args(Scaling)),
                found=repr(scaling),
            )
        frozen_norms = bool(header.get("frozen_norms", True))
        detector = cls(
            size,
            projection,
            frozen_norms=frozen_norms,
            context=context,
            frame_scaling=scaling,
        )
        load_weights(detector, state, path)
        return detector.eval()

    def save(
        self, path: str | Path, *, half: bool = False, header: Mapping[str, Any] | None = None
    ) -> None:
        """Write a checkpoint of ours; ``half`` keeps floating weights in 16 bits.

        ``header`` adds what is to be known about the weights (data, recipe, scores): JSON values.
        """
        state = {
            key: value.half() if half and value.is_floating_point() else value
            for key, value in self.state_dict().items()
        }
        identity = {
            "kind": _KIND,
            "size": self.size,
            "projection": self.projection,
            "frozen_norms": self.frozen_norms,
            "context": self.context,
            "frame_scaling": self.frame_scaling,
        }
        write_checkpoint(path, state, {**(header or {}), **identity})

    def compose(self, rgb: Tensor, latent: Tensor) -> Tensor:
        """Return (B, 3 + acoustic, 180, 360) images of pictures and acoustic latents.

        Parameters
        ----------
        rgb
            (B, 3, 180, 360), uint8 or floating in [0, 1].
        latent
            (B, acoustic, 484), projected to the canvas here: 9 bands, with a context as
            `saiseld.data.context` has it.
        """
        if rgb.dtype == torch.uint8:
            rgb = rgb.float() / 255
        acoustic = latent.float()[..., self.table]
        return torch.cat([rgb, acoustic], dim=1)

    @torch.inference_mode()
    def detect(
        self, rgb: Tensor, latent: Tensor, *, keep: Keep | None = None, full_energy: bool = False
    ) -> list[dict[str, Tensor]]:
        """Return the detections of pictures and latents: `compose`, then the detector itself."""
        return self._detections(self.compose(rgb, latent), keep, full_energy)

    def find(
        self,
        rgb: NDArray[np.floating[Any] | np.uint8],
        latent: NDArray[np.float32],
        *,
        keep: Keep | None = None,
    ) -> list[Found]:
        """Return the detections of each frame, arrays in and out: a `FrameDetector`."""
        device = self.table.device
        given = (torch.from_numpy(value).to(device) for value in (rgb, latent))
        with torch.autocast(device.type, torch.float16, enabled=self.half_precision):
            found = self.detect(*given, keep=keep)
        return [
            cast(Found, {name: value.cpu().numpy() for name, value in frame.items()})
            for frame in found
        ]

    def forward(
        self,
        images: Sequence[Tensor] | Tensor,
        targets: Sequence[FrameTargets] | None = None,
        *,
        keep: Keep | None = None,
        full_energy: bool = False,
    ) -> Any:
        """Return detections, or in training mode, with targets, losses.

        Parameters
        ----------
        images
            (12, 180, 360) each: 3 RGB in [0, 1], 9 acoustic bands; more with a context.
        targets
            For training, the instances of each image.
        keep
            Energy and distance heads run only where it says so; everywhere without it.
        full_energy
            Run the full-field decoder too.

        Returns
        -------
        list of dict
            For every image the tensors of a `saiseld.detector.detections.Found`; with
            ``full_energy`` also ``full_energy`` (180, 360).
        dict
            In training: one scalar tensor a loss.
        """
        batch = images if isinstance(images, Tensor) else torch.stack(list(images))
        expected = (RGB_CHANNELS + self.acoustic_channels, HEIGHT, WIDTH)
        if batch.shape[1:] != expected:
            found = tuple(batch.shape[1:])
            raise ValueError(f"expected images of shape {expected}, found {found}")
        if self.training:
            if targets is None:
                raise ValueError("a detector in training mode needs targets; call eval() to detect")
            return self._losses(batch, targets)
        with torch.inference_mode():
            return self._detections(batch, keep, full_energy)

    def features(self, rgb: Tensor, acoustic: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the normalised picture with its margin, and the backbone's feature maps.

        Parameters
        ----------
        rgb
            (B, 3, 180, 360) in [0, 1].
        acoustic
            (B, acoustic, 180 / s, 360 / s), averaged over squares of the acoustic stride s.
        """
        rgb = self._extended((rgb - self.rgb_mean) / self.rgb_std, stride=1)
        # The padding counts in the norm's statistics, as it did where the public weights were made.
        acoustic = self.acoustic_norm(self._extended(acoustic, self.acoustic_stride))
        return rgb, self.det.backbone(rgb, acoustic)

    def parts(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """Split a batch (B, 12, 180, 360) into pictures and acoustic images."""
        rgb, acoustic = batch[:, :RGB_CHANNELS], batch[:, RGB_CHANNELS:]
        if self.acoustic_stride > 1:
            acoustic = F.avg_pool2d(acoustic, self.acoustic_stride)
        return rgb, acoustic

    def _extended(self, canvas: Tensor, stride: int) -> Tensor:
        """Repeat the margin past either edge and pad with zeros to the backbone's multiple."""
        margin, multiple = self.margin // stride, self.multiple // stride
        if margin:
            canvas = torch.cat([canvas[..., -margin:], canvas, canvas[..., :margin]], dim=-1)
        bottom, right = (-side % multiple for side in canvas.shape[-2:])
        return F.pad(canvas, (0, right, 0, bottom))

    def sizes(self, count: int) -> list[tuple[int, int]]:
        """Return the height and width of each of ``count`` canvases with their margins."""
        return [(HEIGHT, WIDTH + 2 * self.margin)] * count

    def _shifted(self, boxes: Tensor, by: int) -> Tensor:
        return boxes + boxes.new_tensor([by, 0, by, 0]) if by else boxes

    def _detections(
        self, batch: Tensor, keep: Keep | None, full_energy: bool
    ) -> list[dict[str, Tensor]]:
        image, features = self.features(*self.parts(batch))
        sizes = self.sizes(len(batch))
        found = [self._on_cylinder(*frame) for frame in self.det.detections(image, features, sizes)]
        measured = [_measured_rows(scores, labels, keep) for _, scores, labels in found]
        all_maps, all_distances = self._measure(
            features, [boxes[rows] for (boxes, _, _), rows in zip(found, measured, strict=True)]
        )
        counts = [int(rows.sum()) for rows in measured]
        results = []
        for (boxes, scores, labels), rows, maps, distances in zip(
            found,
            measured,
            torch.split(all_maps, counts),
            torch.split(all_distances, counts),
            strict=True,
        ):
            energy = boxes.new_zeros(len(boxes), MAP_SIZE, MAP_SIZE)
            distance = boxes.new_full((len(boxes),), torch.nan)
            energy[rows], distance[rows] = maps, distances
            results.append(
                {
                    "boxes": self._shifted(boxes, -self.margin),
                    "labels": labels,
                    "scores": scores,
                    "measured": rows,
                    "energy_maps": energy,
                    "distances": distance,
                }
            )
        if full_energy:
            for result, field in zip(results, self._field(features), strict=True):
                result["full_energy"] = field
        return results

    def _measure(self, features: dict[str, Tensor], boxes: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return energy maps and distances of boxes (in extended pixels), all frames at once."""
        pooled = self.energy_pool(features, boxes, self.sizes(len(boxes)))
        if self.training:
            return self.energy_head(pooled).float(), self.distance_head(pooled).float()
        # Batches of one size: what a region gets does not depend on which others are measured.
        parts = pooled.split(_TOGETHER)
        padded = [F.pad(part, (0, 0, 0, 0, 0, 0, 0, _TOGETHER - len(part))) for part in parts]
        maps = [self.energy_head(part) for part in padded]
        distances = [self.distance_head(part) for part in padded]
        return torch.cat(maps)[: len(pooled)].float(), torch.cat(distances)[: len(pooled)].float()

    def _field(self, features: dict[str, Tensor]) -> Tensor:
        field: Tensor = self.energy_decoder(features)
        return field.float()

    def _on_cylinder(
        self, boxes: Tensor, scores: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        if self.margin == 0 or len(boxes) == 0:
            return boxes, scores, labels
        arrays = boxes.cpu().numpy(), scores.cpu().numpy(), labels.cpu().numpy()
        found = on_cylinder(*arrays, margin=self.margin)
        whole, score, label = (torch.from_numpy(value).to(boxes.device) for value in found)
        return whole, score, label

    def _losses(self, batch: Tensor, targets: Sequence[FrameTargets]) -> dict[str, Tensor]:
        image, features = self.features(*self.parts(batch))
        copies = [visible_copies(target["boxes"], self.margin) for target in targets]
        regions = [
            {"boxes": self._shifted(boxes, self.margin), "labels": target["labels"][owner]}
            for (boxes, owner), target in zip(copies, targets, strict=True)
        ]
        losses = self.det.losses(
            image, features, self.sizes(len(batch)), regions, self.class_weights
        )
        fields = zip(*map(expected_field, targets), strict=True)
        losses["field"] = field_loss(self._field(features), *map(torch.stack, fields))
        moved, expected, annotated = expected_energy(targets, copies, self.margin)
        maps, distances = self._measure(
            features, [self._shifted(boxes, self.margin) for boxes in moved]
        )
        if len(maps) == 0:
            zero = losses["field"] * 0.0
            return {**losses, "energy": zero, "distance": zero}
        distance_cm = torch.cat(
            [
                target["distance_cm"][owner]
                for (_, owner), target in zip(copies, targets, strict=True)
            ]
        )
        losses["energy"] = energy_loss(maps, expected, annotated)
        losses["distance"] = distance_loss(distances, distance_cm)
        return losses


def _measured_rows(scores: Tensor, labels: Tensor, keep: Keep | None) -> Tensor:
    if keep is None or len(scores) == 0:
        return torch.ones_like(labels, dtype=torch.bool)
    rows = keep(scores.cpu().numpy(), class_of_label(labels.cpu().numpy()))
    return torch.from_numpy(rows).to(scores.device)
