"""The detector's graphs (`saiseld.detector.graphs`), written from its model in torch."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import roi_align

from saiseld.conventions.sphere import HEIGHT, WIDTH
from saiseld.detector.compact import folded
from saiseld.detector.heads import EnergyHead
from saiseld.detector.model import Detector
from saiseld.detector.stem import RGB_CHANNELS
from saiseld.formats.graph import FAST, model_of, write_model_beside

if TYPE_CHECKING:
    import onnx

_ROWS = 2
"""Frames and regions of the example inputs."""

_FAST_SHARE, _FAST_SAMPLES = 0.5, 1
"""Of the proposals, and samples along a pooled cell's side, of the fast graphs."""


def write_detector_graphs(detector: Detector, weights: Path) -> list[Path]:
    """Write the graphs of a detector beside its checkpoint, fast ones too; return their paths.

    The fast ones multiply floats until they are rounded (`saiseld.formats.graph_bytes`).

    Parameters
    ----------
    detector
        In evaluation mode, on the CPU.
    weights
        Its checkpoint, ``.safetensors``.
    """
    stride = detector.acoustic_stride
    rgb = torch.rand(_ROWS, RGB_CHANNELS, HEIGHT, WIDTH)
    acoustic = torch.rand(_ROWS, detector.acoustic_channels, HEIGHT // stride, WIDTH // stride)
    with torch.inference_mode():
        image, maps = detector.features(rgb, acoustic)
    rpn = _Rpn(detector, image, maps)
    features = [maps[level].clone() for level in rpn.pooled]
    strides = [round(log2(HEIGHT / level.shape[2])) for level in features]
    header = {
        "kind": "detector",
        "size": detector.size,
        "projection": detector.projection,
        "context": detector.context,
        "frame_scaling": detector.frame_scaling,
        "acoustic_stride": stride,
        "margin": detector.margin,
        "proposed": rpn.numbers,
        "proposals": detector.det.rpn.post_nms_top_n(),
        "pooled": strides,
    }
    of_regions = features + example_regions(len(strides))
    few = {**header, "proposals": round(_FAST_SHARE * header["proposals"])}
    paths = []
    for name, network, inputs in (
        ("rpn", rpn, [rgb, acoustic]),
        ("box_head", _BoxHead(detector, strides), of_regions),
        ("energy_head", _EnergyHead(detector, strides), of_regions),
    ):
        model = model_of(network, inputs, weights)
        paths.append(write_model_beside(weights, name, model, header))
        _sample_less(model)
        paths.append(write_model_beside(weights, name + FAST, model, few))
    return paths


def example_regions(maps: int) -> list[Tensor]:
    """Return, for each of some feature maps, regions (R, 5) to trace with: frame and box.

    Each map has its own, and another number of them: what is alike would become one input.
    """
    box = [10.0, 20.0, 60.0, 90.0]
    return [
        torch.tensor([[row % _ROWS, *box] for row in range(_ROWS + number)])
        for number in range(maps)
    ]


def _sample_less(model: onnx.ModelProto) -> None:
    """Let a model take the fast graphs' samples of each pooled cell."""
    for node in model.graph.node:
        if node.op_type == "RoiAlign":
            (ratio,) = [each for each in node.attribute if each.name == "sampling_ratio"]
            ratio.i = _FAST_SAMPLES


class _Rpn(nn.Module):
    """Pictures and acoustic images to each feature map, its best boxes and their scores."""

    def __init__(self, detector: Detector, image: Tensor, maps: dict[str, Tensor]) -> None:
        super().__init__()
        self.model = detector
        region = detector.det
        self.pooled = detector.energy_pool.featmap_names
        proposed = [maps[level] for level in region.proposed_levels]
        anchors = region.rpn.anchor_generator(ImageList(image, detector.sizes(1)), proposed)[0]
        each = region.rpn.anchor_generator.num_anchors_per_location()
        self.counts = [n * m.shape[2] * m.shape[3] for n, m in zip(each, proposed, strict=True)]
        self.numbers = [min(region.rpn.pre_nms_top_n(), count) for count in self.counts]
        self.anchors: Tensor
        self.register_buffer("anchors", anchors)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        _, maps = self.model.features(*inputs)
        region = self.model.det
        scores, deltas = region.rpn.head([maps[level] for level in region.proposed_levels])
        anchors = torch.split(self.anchors, self.counts)
        levels = zip(scores, deltas, anchors, self.numbers, strict=True)
        best = [self._best(*level) for level in levels]
        boxes, objectness = (torch.cat(parts, dim=1) for parts in zip(*best, strict=True))
        return boxes, objectness, *(maps[level] for level in self.pooled)

    def _best(
        self, score: Tensor, delta: Tensor, anchor: Tensor, number: int
    ) -> tuple[Tensor, Tensor]:
        """Return the boxes and scores of one map's best anchors."""
        objectness, row = score.permute(0, 2, 3, 1).flatten(1).topk(number)
        frames, kinds, height, width = score.shape
        delta = delta.reshape(frames, kinds, 4, height, width).permute(0, 3, 4, 1, 2)
        delta = delta.reshape(frames, -1, 4).gather(1, row[..., None].expand(-1, -1, 4))
        chosen = anchor[row.flatten()]
        boxes = self.model.det.rpn.box_coder.decode_single(delta.reshape(-1, 4), chosen)
        return _clipped(boxes, self.model).reshape(frames, number, 4), objectness


class _OfRegions(nn.Module):
    """What is said of regions, given feature maps and for each map its (frame, box) rows."""

    def __init__(self, detector: Detector, strides: Sequence[int]) -> None:
        super().__init__()
        self.model, self.strides = detector, strides
        self.samples: int = detector.energy_pool.sampling_ratio

    def pooled(self, inputs: Sequence[Tensor], side: int) -> tuple[Tensor, Tensor]:
        """Return features of side x side cells a region, and the regions' boxes."""
        maps, rows = inputs[: len(self.strides)], inputs[len(self.strides) :]
        cells = [
            roi_align(level, row, side, 2.0**-stride, self.samples)
            for level, row, stride in zip(maps, rows, self.strides, strict=True)
        ]
        return torch.cat(cells), torch.cat(list(rows))[:, 1:]


class _BoxHead(_OfRegions):
    """Regions to scores, and to boxes, of every label."""

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        heads = self.model.det.roi_heads
        pooled, boxes = self.pooled(inputs, heads.box_roi_pool.output_size[0])
        logits, deltas = heads.box_predictor(heads.box_head(pooled))
        found = heads.box_coder.decode_single(deltas, boxes).reshape(-1, logits.shape[1], 4)
        return F.softmax(logits, dim=-1), _clipped(found, self.model)


class _EnergyHead(_OfRegions):
    """Regions to energy maps and distances."""

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        pooled, _ = self.pooled(inputs, self.model.energy_pool.output_size[0])
        return _energy(self.model.energy_head, pooled), self.model.distance_head(pooled)


def _energy(head: EnergyHead, pooled: Tensor) -> Tensor:
    """Return what an energy head does, in convolutions and sums that runtimes are quick at."""
    *first, up, _, last = head.net
    maps, layers = pooled, iter(first)
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            norm = next(layers)
            assert isinstance(norm, nn.BatchNorm2d)
            maps = folded(maps, layer, norm)
        else:
            maps = layer(maps)
    # The last steps do not overlap: each cell becomes a square of side x side, put in place last.
    assert isinstance(up, nn.ConvTranspose2d) and isinstance(last, nn.Conv2d)
    assert up.bias is not None and last.bias is not None
    side = up.stride[0]
    kernel = up.weight.permute(2, 3, 1, 0).flatten(0, 2)[..., None, None]
    maps = F.relu(F.conv2d(maps, kernel, up.bias.repeat(side**2)))
    height, width = maps.shape[2:]
    cells = maps.reshape(-1, side**2, up.out_channels, height * width)
    logits = (last.weight.flatten(1) @ cells).reshape(-1, side**2, height, width) + last.bias
    return torch.sigmoid(F.pixel_shuffle(logits, side)[:, 0])


def _clipped(boxes: Tensor, detector: Detector) -> Tensor:
    height, width = detector.sizes(1)[0]
    x = boxes[..., 0::2].clamp(0, width)
    y = boxes[..., 1::2].clamp(0, height)
    return torch.stack([x, y], dim=-1).flatten(-2)
