"""What numpy decides between the networks, against torchvision and by hand."""

import numpy as np
import pytest
import torch
from torchvision.ops import batched_nms, nms

from saiseld.detector.detections import best_labelled, on_cylinder, overlaps, proposals, standing


def random_boxes(count: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    corner = random.uniform(0, 1, (count, 2)) * [320, 130]
    return np.hstack([corner, corner + random.uniform(5, 60, (count, 2))]).astype(np.float32)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
def test_standing_is_greedy_suppression(threshold: float) -> None:
    boxes = random_boxes(400, seed=1)
    best_first = torch.linspace(1, 0, 400)
    kept = np.flatnonzero(standing(overlaps(boxes, threshold)))
    assert kept.tolist() == nms(torch.from_numpy(boxes), best_first, threshold).tolist()
    assert 20 < len(kept) < 400


def test_a_box_that_fell_suppresses_nothing() -> None:
    # A row of boxes, each of which overlaps its neighbours alone: every second one stands.
    chain = np.eye(6, dtype=bool) | np.eye(6, k=1, dtype=bool) | np.eye(6, k=-1, dtype=bool)
    assert standing(chain).tolist() == [True, False, True, False, True, False]


def test_proposals_are_those_of_torchvision() -> None:
    boxes, levels = random_boxes(250, seed=2), [100, 100, 50]
    boxes[7, 2] = boxes[7, 0]  # no width
    score = np.concatenate([np.sort(np.random.default_rng(3).random(n))[::-1] for n in levels])
    score = score.astype(np.float32)
    level = torch.from_numpy(np.repeat(np.arange(3), levels))
    wide = torch.from_numpy(boxes[:, 2] > boxes[:, 0])
    given = torch.from_numpy(boxes)
    kept = batched_nms(given[wide], torch.from_numpy(score)[wide], level[wide], 0.7)[:60]
    found = proposals(boxes, score, levels=levels, number=60)
    np.testing.assert_array_equal(found, given[wide][kept].numpy())


def test_classes_suppress_their_own_alone() -> None:
    boxes = np.broadcast_to(random_boxes(3, seed=4)[:, None], (3, 14, 4)).copy()
    boxes[1] = boxes[0]
    scores = np.zeros((3, 14), np.float32)
    scores[:, 0] = 0.9  # background is never found
    scores[0, 3], scores[1, 3], scores[1, 5], scores[2, 3], scores[2, 4] = 0.5, 0.6, 0.3, 0.2, 0.01
    box, score, label = best_labelled(boxes, scores)
    assert list(zip(score.astype(float).round(2).tolist(), label.tolist(), strict=True)) == [
        (0.6, 3),
        (0.3, 5),
        (0.2, 3),
    ]
    np.testing.assert_array_equal(box, boxes[[1, 1, 2], [3, 5, 3]])


def test_what_the_margin_shows_twice_is_kept_once() -> None:
    # In extended pixels: one object at x = 0 seen at either edge, its cut copies, one far away.
    boxes = np.array(
        [
            [16.0, 50, 56, 90],
            [376, 51, 416, 91],
            [0, 50, 17, 90],
            [16, 50, 56, 90],
            [200, 50, 240, 90],
        ],
        np.float32,
    )
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5], np.float32)
    _, kept, _ = on_cylinder(boxes, scores, np.array([3, 3, 3, 4, 3]), margin=36)
    assert kept.tolist() == pytest.approx([0.9, 0.6, 0.5])


def test_no_box_goes_more_than_once_round() -> None:
    boxes = np.array([[30.0, 60, 410, 90], [100.0, 60, 140, 90]], np.float32)
    scores = np.array([0.9, 0.8], np.float32)
    found, _, _ = on_cylinder(boxes, scores, np.array([1, 2]), margin=36)
    assert found.tolist() == [[40.0, 60, 400, 90], [100.0, 60, 140, 90]]
