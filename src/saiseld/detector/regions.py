"""Region proposals and box classification: torchvision's parts, joined through constructors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import MultiScaleRoIAlign, clip_boxes_to_image, nms, remove_small_boxes

from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.detector.detections import (
    DETECTION_IOU,
    DETECTIONS_PER_FRAME,
    PROPOSAL_IOU,
    SCORE_THRESHOLD,
)
from saiseld.detector.heads import BoxHead

NUM_LABELS = NUM_CLASSES + 1
"""Background is label 0."""

_APART = 4096

Boxes = tuple[Tensor, Tensor, Tensor]
"""Boxes (n, 4), scores (n,) and labels (n,) of one image."""

BoxTargets = list[dict[str, Tensor]]


@dataclass(frozen=True)
class RegionSettings:
    """How many regions are proposed, sampled and pooled.

    Parameters
    ----------
    pooled_levels, proposed_levels
        Names of the feature maps that regions are pooled from, and proposed on.
    anchor_sizes, anchor_ratios
        Side in pixels and height / width of the anchors, a tuple for every map proposed on.
    training_proposals, inference_proposals
        Kept per map before, and per image after, suppression at IoU 0.7.
    sampled_proposals, sampled_boxes
        Drawn per image for the losses of the two stages.
    box_width, box_dropout
        Units and dropout of the box head.
    """

    pooled_levels: tuple[str, ...]
    proposed_levels: tuple[str, ...]
    anchor_sizes: tuple[tuple[int, ...], ...]
    anchor_ratios: tuple[tuple[float, ...], ...]
    training_proposals: int
    inference_proposals: int
    sampled_proposals: int
    sampled_boxes: int
    box_width: int
    box_dropout: float


class BoxHeads(RoIHeads):  # type: ignore[misc]
    """Box classification and regression, with class weights in the classification loss."""

    def losses(
        self,
        features: Mapping[str, Tensor],
        proposals: list[Tensor],
        sizes: list[tuple[int, int]],
        targets: BoxTargets,
        class_weights: Tensor,
    ) -> dict[str, Tensor]:
        """Return ``box_class`` (weighted cross-entropy) and ``box`` (smooth L1, beta 1/9)."""
        proposals, _, labels, regression = self.select_training_samples(proposals, targets)
        logits, deltas = self._scores(features, proposals, sizes)
        label, target = torch.cat(labels), torch.cat(regression)
        positive = torch.where(label > 0)[0]
        delta = deltas.reshape(len(label), -1, 4)[positive, label[positive]]
        box = F.smooth_l1_loss(delta, target[positive], beta=1 / 9, reduction="sum")
        return {
            "box_class": F.cross_entropy(logits, label, class_weights.to(logits.dtype)),
            "box": box / label.numel(),
        }

    def detections(
        self, features: Mapping[str, Tensor], proposals: list[Tensor], sizes: list[tuple[int, int]]
    ) -> list[Boxes]:
        """Return boxes, scores and labels of each image, best score first."""
        logits, deltas = self._scores(features, proposals, sizes)
        counts = [len(boxes) for boxes in proposals]
        scores = torch.split(F.softmax(logits, dim=-1), counts)
        images = zip(proposals, scores, torch.split(deltas, counts), sizes, strict=True)
        return [self.best(*image) for image in images]

    def best(
        self, proposals: Tensor, scores: Tensor, deltas: Tensor, size: tuple[int, int]
    ) -> Boxes:
        """Return what torchvision's ``postprocess_detections`` would, for less work.

        Whether a box is suppressed depends on better ones alone, so as soon as a prefix of the
        boxes in order of score has enough survivors, the rest need not be looked at.
        """
        row, label = torch.where(scores[:, 1:] > self.score_thresh)
        label += 1
        score, order = scores[row, label].sort(descending=True, stable=True)
        row, label = row[order], label[order]
        deltas = deltas.reshape(len(deltas), -1, 4)
        prefix = 4 * self.detections_per_img
        while True:
            r, c, s = row[:prefix], label[:prefix], score[:prefix]
            boxes = self.box_coder.decode_single(deltas[r, c], proposals[r])
            boxes = clip_boxes_to_image(boxes, size)
            large = remove_small_boxes(boxes, min_size=1e-2)
            boxes, c, s = boxes[large], c[large], s[large]
            # Classes are moved out of each other's way; double precision keeps the IoU exact.
            apart = boxes.double() + (c * _APART)[:, None]
            selected = nms(apart, s.double(), self.nms_thresh)[: self.detections_per_img]
            if len(selected) == self.detections_per_img or prefix >= len(row):
                return boxes[selected], s[selected], c[selected]
            prefix *= 4

    def _scores(
        self, features: Mapping[str, Tensor], proposals: list[Tensor], sizes: list[tuple[int, int]]
    ) -> tuple[Tensor, Tensor]:
        pooled = self.box_roi_pool(features, proposals, sizes)
        logits, deltas = self.box_predictor(self.box_head(pooled))
        return logits.float(), deltas.float()


class _ProposalHead(RPNHead):  # type: ignore[misc]
    """Objectness and deltas in full precision: half of it cannot tell pixels of a canvas apart."""

    def forward(self, maps: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        objectness, deltas = super().forward(maps)
        return [score.float() for score in objectness], [delta.float() for delta in deltas]


class RegionDetector(nn.Module):
    """Backbone, proposals and box heads: images and features in, boxes out."""

    def __init__(self, backbone: nn.Module, channels: int, settings: RegionSettings) -> None:
        super().__init__()
        anchors = AnchorGenerator(settings.anchor_sizes, settings.anchor_ratios)
        self.backbone = backbone
        self.proposed_levels = settings.proposed_levels
        self.rpn = RegionProposalNetwork(
            anchors,
            _ProposalHead(channels, anchors.num_anchors_per_location()[0]),
            fg_iou_thresh=0.7,
            bg_iou_thresh=0.3,
            batch_size_per_image=settings.sampled_proposals,
            positive_fraction=0.5,
            pre_nms_top_n=_numbers(settings),
            post_nms_top_n=_numbers(settings),
            nms_thresh=PROPOSAL_IOU,
        )
        self.roi_heads = BoxHeads(
            MultiScaleRoIAlign(settings.pooled_levels, output_size=7, sampling_ratio=2),
            BoxHead(channels * 7 * 7, settings.box_width, settings.box_dropout),
            FastRCNNPredictor(settings.box_width, NUM_LABELS),
            fg_iou_thresh=0.5,
            bg_iou_thresh=0.5,
            batch_size_per_image=settings.sampled_boxes,
            positive_fraction=0.25,
            bbox_reg_weights=None,
            score_thresh=SCORE_THRESHOLD,
            nms_thresh=DETECTION_IOU,
            detections_per_img=DETECTIONS_PER_FRAME,
        )

    def losses(
        self,
        image: Tensor,
        features: Mapping[str, Tensor],
        sizes: list[tuple[int, int]],
        targets: BoxTargets,
        class_weights: Tensor,
    ) -> dict[str, Tensor]:
        """Return the losses of both stages."""
        proposals, found = self._propose(image, features, sizes, targets)
        return {
            "objectness": found["loss_objectness"],
            "proposal_box": found["loss_rpn_box_reg"],
            **self.roi_heads.losses(features, proposals, sizes, targets, class_weights),
        }

    def detections(
        self, image: Tensor, features: Mapping[str, Tensor], sizes: list[tuple[int, int]]
    ) -> list[Boxes]:
        """Return boxes, scores and labels of each image, best score first."""
        proposals, _ = self._propose(image, features, sizes, None)
        return self.roi_heads.detections(features, proposals, sizes)

    def _propose(
        self,
        image: Tensor,
        features: Mapping[str, Tensor],
        sizes: list[tuple[int, int]],
        targets: BoxTargets | None,
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        maps = {level: features[level].float() for level in self.proposed_levels}
        proposals, losses = self.rpn(ImageList(image, sizes), maps, targets)
        return proposals, losses


def _numbers(settings: RegionSettings) -> dict[str, int]:
    return {"training": settings.training_proposals, "testing": settings.inference_proposals}
