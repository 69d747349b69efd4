from __future__ import annotations

import numpy as np
import pytest
from tests.reference import evaluation as reference

from saiseld.evaluation.rendering import render, render_masks
from saiseld.evaluation.soft_iou import pearson, soft_iou
from saiseld.formats.annotation import EnergyMask


def test_the_sixty_golden_pairs(golden, golden_case):
    predictions, labels = golden_case
    assert len(golden["pairs"]) == 60
    for pair in golden["pairs"]:
        where = pair["frame"], pair["category_id"]
        (truth,) = (
            m
            for m in labels[pair["seq"]]
            if (m.frame, m.class_id) == where and m.instance_id == pair["gt_instance"]
        )
        (predicted,) = (
            m
            for m in predictions[pair["seq"]]
            if (m.frame, m.class_id) == where and m.score == pair["pred_score"]
        )
        canvases = render(truth.segmentation), render(predicted.segmentation)
        assert soft_iou(*canvases) == pytest.approx(pair["soft_iou"], abs=1e-6)
        r = pearson(*canvases)
        assert (
            np.isnan(r)
            if pair["pearson"] is None
            else r == pytest.approx(pair["pearson"], abs=1e-6)
        )


def test_every_golden_mask_equals_the_official_loop_bit_for_bit(golden_case):
    for side in golden_case:
        for masks in side.values():
            for mask in masks:
                assert np.array_equal(
                    render(mask.segmentation), reference.render(mask.segmentation)
                )


def _random_blobs(rng: np.random.Generator):
    """Return point sets of every kind: lattices, clouds, grids, few, collinear, at every edge."""
    for _ in range(60):
        x0, y0 = rng.uniform(0, 360), rng.uniform(0, 140)
        width, height = rng.uniform(0.1, 60), rng.uniform(0.1, 40)
        n = int(rng.integers(1, 60))
        cloud = np.stack([x0 + width * rng.random(n), y0 + height * rng.random(n)], axis=1)
        side = int(rng.integers(2, 9))
        grid = np.stack(
            np.meshgrid(np.linspace(x0, x0 + width, side), np.linspace(y0, y0 + height, side)), -1
        ).reshape(-1, 2)
        line = np.stack([np.linspace(x0, x0 + width, n), np.full(n, y0)], axis=1)
        for points in (cloud, grid, np.round(grid), np.round(cloud), line, cloud[:2]):
            points = np.stack([points[:, 0] % 360, np.clip(points[:, 1], 0, 180)], axis=1)
            yield np.column_stack([points, rng.uniform(-0.2, 1, len(points))])
    yield np.array([[0, 0, 1], [360, 0, 1], [360, 180, 1], [0, 180, 0.5]], float)
    yield np.array([[359.9, 180, 1], [0.1, 180, 1], [0, 179, 1]], float)


def test_random_masks_equal_the_official_loop_bit_for_bit():
    for blob in _random_blobs(np.random.default_rng(0)):
        assert np.array_equal(render([blob]), reference.render([blob])), blob


def test_empty_lists_are_skipped_and_a_mask_without_energy_is_all_zero():
    empty = np.zeros((0, 3))
    point = np.array([[10.0, 20.0, 0.5]])
    assert np.array_equal(render([empty, point]), render([point]))
    assert render([]).shape == (50, 100)
    assert not render([empty]).any()
    assert not render([np.array([[10.0, 20.0, -1.0]])]).any()


def test_one_point_sets_its_pixel_to_the_peak():
    canvas = render([np.array([[36.0, 18.0, 0.25]])])
    assert canvas[5, 10] == 1
    assert canvas.sum() == 1


def test_a_blob_across_the_seam_stays_small():
    blob = np.array([[358, 90, 1], [2, 90, 1], [358, 98, 1], [2, 98, 1]], float)
    canvas = render([blob])
    assert canvas[:, 10:90].sum() == 0
    assert canvas[:, 0].sum() > 0


def _mask(segmentation, class_id=0, frame=0):
    return EnergyMask(frame, 0, class_id, tuple(np.array(b, float) for b in segmentation))


def test_rendered_masks_give_back_their_canvases_and_count_what_was_ignored():
    masks = [
        _mask([[[10, 20, 1], [30, 20, 1], [20, 40, 0.5]]], frame=3),
        _mask([[[10, 20, 1]]], class_id=13),
        _mask([[[100, 90, 0.5]], [[120, 90, 2.0]]], class_id=12, frame=1),
        _mask([]),
    ]
    drawn = render_masks(masks)
    assert drawn.position.tolist() == [0, 2, 3]
    assert drawn.ignored_class_id.tolist() == [13]
    for row, index in enumerate(drawn.position):
        assert np.array_equal(drawn.canvas(row), render(masks[index].segmentation))
    assert (drawn.azimuth[1], drawn.elevation[1]) == (60, 0)
    assert np.isnan(drawn.azimuth[2])
    assert {f: rows.tolist() for f, rows in drawn.rows_of_frame.items()} == {0: [2], 1: [1], 3: [0]}


def test_shared_drawings_change_nothing():
    masks = [_mask([[[10, 20, 1], [30, 20, 1], [20, 40, 0.5]]], frame=f) for f in range(3)]
    drawings = {}
    shared = render_masks(masks, drawings)
    assert len(drawings) == 1
    alone = render_masks(masks)
    assert all(np.array_equal(shared.canvas(row), alone.canvas(row)) for row in range(3))


def test_no_masks():
    drawn = render_masks([])
    assert len(drawn) == 0
    assert drawn.rows_of_frame == {}
