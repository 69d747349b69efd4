"""What emission alone costs on the golden labels, with perfect boxes and exact maps."""

import json

import numpy as np
import pytest
from tests import GOLDEN
from tests.reference.exact_detections import exact_detection

from saiseld.conventions.sphere import angles_of_pixel
from saiseld.decision.emission import blob_points, grid_points, sparse_points
from saiseld.evaluation.rendering import render
from saiseld.evaluation.soft_iou import pearson, soft_iou
from saiseld.formats.annotation import EnergyMask


@pytest.fixture(scope="module")
def labels():
    return [
        EnergyMask(0, 0, 0, tuple(np.array(blob, float) for blob in item["segmentation"]))
        for item in json.loads((GOLDEN / "labels_expected.json").read_text())["standardised"]
        if item["segmentation"]
    ]


@pytest.fixture(scope="module")
def exact(labels):
    found = [exact_detection(mask) for mask in labels]
    return np.array([box for box, _ in found]), np.array([energy for _, energy in found])


def ceiling(labels, points):
    pairs = [(render(m.segmentation), render((p,))) for m, p in zip(labels, points, strict=True)]
    return (
        np.mean([soft_iou(truth, drawn) for truth, drawn in pairs]),
        np.mean([pearson(truth, drawn) for truth, drawn in pairs]),
    )


def test_sparse_peaks_fail_every_threshold(labels, exact):
    iou, r = ceiling(labels, sparse_points(*exact))
    assert iou == pytest.approx(0.04, abs=0.01) and r == pytest.approx(0.34, abs=0.01)


@pytest.mark.parametrize(
    "size, placement, iou, r",
    [
        (3, "centre", 0.51, 0.95),
        (3, "edge", 0.76, 0.95),
        (5, "edge", 0.86, 0.95),
        (7, "edge", 0.88, 0.97),
        (28, "centre", 0.93, 0.98),
    ],
)
def test_grids_reach_the_known_ceilings(labels, exact, size, placement, iou, r):
    found = ceiling(labels, grid_points(*exact, size, placement))
    assert found == pytest.approx((iou, r), abs=0.01)


def test_blob_ignores_the_map_and_comes_near_the_grids(labels):
    strongest = [max(np.concatenate(m.segmentation), key=lambda p: p[2]) for m in labels]
    azimuth, elevation = angles_of_pixel(*np.array(strongest)[:, :2].T)
    iou, _ = ceiling(labels, blob_points(azimuth, elevation))
    assert 0.83 < iou < 0.90
    off, _ = ceiling(labels, blob_points(azimuth + 6, elevation))
    assert off < iou - 0.2
