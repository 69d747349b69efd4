"""Labels cut from sparse images: equal to the public generator's, and right at the seam."""

import json

import numpy as np
import pytest
from scipy.interpolate import griddata
from tests import GOLDEN
from tests.errors import raises

from saiseld.conventions.label_law import THRESHOLD
from saiseld.conventions.sphere import angles_of_vector, fibonacci_sphere
from saiseld.formats.annotation import read_annotations, write_annotations
from saiseld.labels import Event, annotate, sparse_image
from saiseld.labels.annotate import canvas, event_blobs, standardise
from saiseld.runtime.errors import DataError


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "labels_input.npz") as file:
        arrays = {key: file[key] for key in file}
    events = [Event(*row) for row in arrays["metadata"].tolist()]
    expected = json.loads((GOLDEN / "labels_expected.json").read_bytes())
    return sparse_image(arrays["audio32"]), events, expected


@pytest.mark.parametrize("kind", ["raw", "standardised"])
def test_equals_the_public_generator(golden, kind):
    maps, events, expected = golden
    masks = annotate(maps, events, standardised=kind == "standardised")
    assert len(masks) == len(expected[kind]) == 10
    for mask, wanted in zip(masks, expected[kind], strict=True):
        assert mask.frame == wanted["metadata_frame_index"]
        assert mask.class_id == wanted["category_id"]
        assert mask.instance_id == wanted["instance_id"]
        assert mask.distance_cm == wanted["distance"]
        assert len(mask.segmentation) == len(wanted["segmentation"])
        for blob, points in zip(mask.segmentation, wanted["segmentation"], strict=True):
            assert np.array_equal(blob[:, :2], np.array(points)[:, :2])
            assert np.allclose(blob[:, 2], np.array(points)[:, 2], rtol=1e-9, atol=0)


def test_medians_may_be_given(golden):
    maps, events, _ = golden
    for from_bands, from_median in zip(
        annotate(maps, events), annotate(np.median(maps, axis=1), events), strict=True
    ):
        for a, b in zip(from_bands.segmentation, from_median.segmentation, strict=True):
            assert np.array_equal(a, b)


def test_survives_the_official_json(golden, tmp_path):
    maps, events, _ = golden
    masks = annotate(maps, events)
    write_annotations(tmp_path / "a.json", masks)
    for mask, back in zip(masks, read_annotations(tmp_path / "a.json"), strict=True):
        for blob, read in zip(mask.segmentation, back.segmentation, strict=True):
            assert np.allclose(blob, read, atol=1e-6)


def test_canvas_is_linear_interpolation():
    values = np.random.default_rng(0).random(484)
    grid = np.meshgrid(np.linspace(180, -180, 360), np.linspace(90, -90, 180))
    points = angles_of_vector(fibonacci_sphere().T)
    expected = griddata(points, values, tuple(grid), method="linear", fill_value=0)
    assert np.allclose(canvas(values), expected, atol=1e-12)


def test_a_blob_cut_by_the_seam_is_two():
    left, right = event_blobs(np.full((180, 360), 1e-3), azimuth=180, elevation=0)
    assert {left[:, 0].min(), right[:, 0].min()} == {0, 335}
    assert {left[:, 0].max(), right[:, 0].max()} == {25, 359}


def test_holes_belong_to_a_blob_and_single_points_do_not():
    field = np.full((180, 360), 1e-3)
    field[80:83, 180:183] = 0  # a hole
    field[:, :170] = 0
    field[90, 168] = 1e-3  # a point apart from the rest
    (blob,) = event_blobs(field, azimuth=0, elevation=0)
    energy = {(x, y): e for x, y, e in blob}
    assert energy[181, 81] == 0
    assert (168, 90) not in energy


def test_diagonal_neighbours_are_one_blob():
    field = np.zeros((180, 360))
    field[[90, 91, 92], [180, 181, 182]] = 1e-3
    (blob,) = event_blobs(field, azimuth=0, elevation=0)
    assert len(blob) == 3


def test_standardised_threshold_is_the_lowest_amplitude():
    assert standardise(np.array([[0, 0, THRESHOLD]]))[0, 2] == pytest.approx(0.2356, abs=1e-4)


def test_event_beyond_the_audio_is_an_error(golden):
    maps, *_ = golden
    with raises(DataError, "c.csv", place="event 2", expected="a frame below 4", found="frame 4"):
        annotate(maps, [Event(0, 0, 0, 0, 0), Event(4, 0, 0, 0, 0)], source="c.csv")
