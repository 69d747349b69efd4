"""The two sizes of the detector: ``paper`` (44.87 M parameters) and ``compact``.

They differ in layers and numbers only: the same classes, the same inputs and outputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.resnet import Bottleneck, ResNet
from torchvision.ops import FrozenBatchNorm2d

from saiseld.conventions.bands import BANDS
from saiseld.detector.compact import ACOUSTIC_STRIDE, CompactBackbone
from saiseld.detector.heads import DistanceHead, EnergyDecoder, EnergyHead
from saiseld.detector.regions import RegionDetector, RegionSettings
from saiseld.detector.stem import AudioVisualStem

Size = Literal["paper", "compact"]


@dataclass(frozen=True)
class Architecture:
    """The parts of a detector.

    Parameters
    ----------
    det, energy_head, energy_decoder, distance_head
        Modules, named as in the public checkpoint.
    levels
        Feature maps that instances are pooled from.
    margin
        Pixels of the panorama repeated past either edge, so that what lies on the seam is seen
        whole; a box may then reach past the seam.
    multiple
        The input is padded with zeros to multiples of this.
    acoustic_stride
        The acoustic image is averaged over squares of this many pixels.
    """

    det: RegionDetector
    energy_head: EnergyHead
    energy_decoder: EnergyDecoder
    distance_head: DistanceHead
    levels: tuple[str, ...]
    margin: int
    multiple: int
    acoustic_stride: int


def build(size: Size, *, frozen_norms: bool = True, acoustic_channels: int = BANDS) -> Architecture:
    """Return freshly initialised parts of one size.

    ``frozen_norms`` is for the paper size: its backbone's norms stand still, as fits weights from
    COCO, or learn like others, as training from scratch needs.
    """
    if size == "paper":
        return _paper(frozen_norms, acoustic_channels)
    return _compact(acoustic_channels)


class _AudioVisualResNet(ResNet):  # type: ignore[misc]
    """ResNet-50 whose first convolution takes picture and acoustic image apart.

    Frozen norms have the eps of 0 that the public COCO weights were made for.
    """

    def __init__(self, frozen_norms: bool, acoustic_channels: int) -> None:
        norm = partial(FrozenBatchNorm2d, eps=0.0) if frozen_norms else nn.BatchNorm2d
        super().__init__(Bottleneck, [3, 4, 6, 3], norm_layer=norm)
        self.conv1 = AudioVisualStem(acoustic_channels)


class _AudioVisualFPN(BackboneWithFPN):  # type: ignore[misc]
    """Feature pyramid of picture and acoustic image of one size."""

    def forward(self, rgb: Tensor, acoustic: Tensor) -> dict[str, Tensor]:
        maps: dict[str, Tensor] = super().forward(torch.cat([rgb, acoustic], dim=1))
        return maps


def _paper(frozen_norms: bool, acoustic_channels: int) -> Architecture:
    levels, channels = ("0", "1", "2", "3"), 256
    backbone = _AudioVisualFPN(
        _AudioVisualResNet(frozen_norms, acoustic_channels),
        return_layers={f"layer{i + 1}": level for i, level in enumerate(levels)},
        in_channels_list=[256, 512, 1024, 2048],
        out_channels=channels,
    )
    regions = RegionSettings(
        pooled_levels=levels,
        proposed_levels=(*levels, "pool"),
        anchor_sizes=((32,), (64,), (128,), (256,), (512,)),
        anchor_ratios=((0.5, 1.0, 2.0),) * 5,
        training_proposals=2000,
        inference_proposals=1000,
        sampled_proposals=256,
        sampled_boxes=512,
        box_width=1024,
        box_dropout=0.6,
    )
    return Architecture(
        det=RegionDetector(backbone, channels, regions),
        energy_head=EnergyHead(channels, width=256, convolutions=4, dropout=0.2),
        energy_decoder=EnergyDecoder(
            channels, levels, width=128, head_widths=(64, 32), head_stride=1
        ),
        distance_head=DistanceHead(channels, widths=(128, 64)),
        levels=levels,
        margin=0,
        multiple=32,
        acoustic_stride=1,
    )


def _compact(acoustic_channels: int) -> Architecture:
    channels = 96
    regions = RegionSettings(
        pooled_levels=("0",),
        proposed_levels=("0",),
        anchor_sizes=((20, 36),),
        anchor_ratios=((1.0,),),
        training_proposals=150,
        inference_proposals=100,
        sampled_proposals=64,
        sampled_boxes=48,
        box_width=256,
        box_dropout=0.2,
    )
    return Architecture(
        det=RegionDetector(CompactBackbone(acoustic_channels, channels), channels, regions),
        energy_head=EnergyHead(channels, width=64, convolutions=2, dropout=0.1),
        energy_decoder=EnergyDecoder(
            channels, ("0", "1"), width=48, head_widths=(32, 16), head_stride=4
        ),
        distance_head=DistanceHead(channels, widths=(64, 32)),
        levels=("0",),
        margin=36,
        multiple=16,
        acoustic_stride=ACOUSTIC_STRIDE,
    )
