"""The detector's graphs against the detector in torch, on the packaged scene."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.ops.poolers import LevelMapper

from saiseld.acoustics.front_end import FrontEnd
from saiseld.conventions.sphere import projection_table
from saiseld.data.recordings import open_recording
from saiseld.data.video import open_video, rgb_planes
from saiseld.decision.selection import emittable
from saiseld.detector.detections import Found
from saiseld.detector.export import example_regions, write_detector_graphs
from saiseld.detector.graphs import GraphDetector, canvas_of_latent, pooled_level
from saiseld.detector.model import Detector
from saiseld.pipeline.weights import PACKAGED

FRAMES = 16


@pytest.fixture(scope="module")
def graphs() -> GraphDetector:
    return GraphDetector(PACKAGED / "detector.safetensors")


@pytest.fixture(scope="module")
def scene() -> tuple[np.ndarray, np.ndarray]:
    """Pictures and latents of the packaged scene's first frames."""
    (recording,) = (PACKAGED / "demo").glob("*.wav")
    front_end = FrontEnd(PACKAGED / "uplam.safetensors")
    images = next(iter(front_end.images(open_recording(recording), FRAMES)))
    shown = islice(open_video(recording.with_suffix(".mp4")), FRAMES)
    return rgb_planes(shown), images.latent


def test_graphs_find_what_torch_finds(
    graphs: GraphDetector, scene: tuple[np.ndarray, np.ndarray]
) -> None:
    detector = Detector.load(PACKAGED / "detector.safetensors")
    assert (graphs.size, graphs.projection, graphs.context) == (
        detector.size,
        detector.projection,
        detector.context,
    )
    rgb, latent = scene
    found, expected = (which.find(rgb, latent, keep=emittable) for which in (graphs, detector))
    assert sum(len(frame["scores"]) for frame in expected) > 20 * FRAMES
    for own, torch_frame in zip(found, expected, strict=True):
        np.testing.assert_array_equal(own["labels"], torch_frame["labels"])
        np.testing.assert_array_equal(own["measured"], torch_frame["measured"])
        np.testing.assert_allclose(own["scores"], torch_frame["scores"], rtol=0, atol=1e-4)
        np.testing.assert_allclose(own["boxes"], torch_frame["boxes"], rtol=0, atol=0.05)
        for name in ("energy_maps", "distances"):
            np.testing.assert_allclose(own[name], torch_frame[name], rtol=0, atol=1e-3)


def test_a_frame_is_found_alike_alone_and_among_others(
    graphs: GraphDetector, scene: tuple[np.ndarray, np.ndarray]
) -> None:
    rgb, latent = scene
    together = graphs.find(rgb[:4], latent[:4])
    for number, own in enumerate(together):
        (alone,) = graphs.find(rgb[number : number + 1], latent[number : number + 1])
        np.testing.assert_array_equal(alone["labels"], own["labels"])
        np.testing.assert_allclose(alone["scores"], own["scores"], rtol=1e-4)


def test_nothing_wanted_nothing_measured(
    graphs: GraphDetector, scene: tuple[np.ndarray, np.ndarray]
) -> None:
    rgb, latent = scene

    def nothing(scores: np.ndarray, class_ids: np.ndarray) -> np.ndarray:
        return np.zeros(len(scores), bool)

    (frame,) = graphs.find(rgb[:1], latent[:1], keep=nothing)
    assert len(frame["scores"]) > 0 and not frame["measured"].any()
    assert not frame["energy_maps"].any() and np.isnan(frame["distances"]).all()


def test_pictures_in_bytes_are_those_in_unit_floats(
    graphs: GraphDetector, scene: tuple[np.ndarray, np.ndarray]
) -> None:
    rgb, latent = scene
    whole = np.round(rgb[:1] * 255).astype(np.uint8)
    found: list[Found] = [
        *graphs.find(whole, latent[:1]),
        *graphs.find(whole / np.float32(255), latent[:1]),
    ]
    np.testing.assert_array_equal(found[0]["scores"], found[1]["scores"])


@pytest.mark.parametrize("stride", [1, 4])
def test_latents_are_projected_and_averaged(stride: int) -> None:
    latent = np.random.default_rng(0).random((2, 9, 484), np.float32)
    pixels = latent[..., projection_table("official")]
    means = pixels.reshape(2, 9, 180 // stride, stride, 360 // stride, stride).mean(axis=(3, 5))
    np.testing.assert_allclose(canvas_of_latent("official", stride)(latent), means, rtol=1e-5)


def test_regions_are_pooled_where_torchvision_pools_them() -> None:
    import torch

    corner = np.random.default_rng(0).uniform(0, 100, (200, 2))
    sides = np.geomspace(4, 700, 200)[:, None] * [1, 0.8]
    boxes = np.hstack([corner, corner + sides]).astype(np.float32)
    levels = LevelMapper(2, 5)([torch.from_numpy(boxes)])
    assert pooled_level(boxes, [2, 3, 4, 5]).tolist() == levels.tolist()
    assert set(levels.tolist()) == {0, 1, 2, 3}


def test_no_two_maps_are_traced_with_the_same_regions() -> None:
    regions = example_regions(4)
    assert len({id(each) for each in regions}) == len({len(each) for each in regions}) == 4


@pytest.mark.slow
def test_graphs_of_the_paper_size_find_what_torch_finds(tmp_path: Path) -> None:
    torch.manual_seed(0)
    detector = Detector("paper", "official").eval()
    torch.nn.init.normal_(detector.det.roi_heads.box_predictor.cls_score.weight, std=0.1)
    weights = tmp_path / "detector.safetensors"
    detector.save(weights)
    write_detector_graphs(detector, weights)
    rgb, latent = (
        np.random.default_rng(0).random((2, 3, 180, 360), np.float32),
        np.ones((2, 9, 484)),
    )
    latent = latent.astype(np.float32)
    expected = detector.find(rgb, latent)
    for found, other in zip(GraphDetector(weights).find(rgb, latent), expected, strict=True):
        assert len(found["scores"]) == len(other["scores"]) > 10
        # Random features are large, and so is what rounding makes of them.
        np.testing.assert_allclose(found["scores"], other["scores"], atol=0.02)
        np.testing.assert_allclose(found["energy_maps"], other["energy_maps"], atol=0.05)


def test_each_region_gets_its_own_values_back() -> None:
    detector = GraphDetector.__new__(GraphDetector)
    detector.pooled = [2, 3, 4, 5]

    def network(*inputs: np.ndarray, r: int) -> list[np.ndarray]:
        rows = np.concatenate(inputs[4:])
        assert len(rows) == r
        assert not rows[:, 0].any()  # a frame at a time
        return [np.full((len(rows), 1), inputs[0][0, 0]), rows[:, 1:3]]  # the frame, and the corner

    sides = np.array([10, 300, 120, 60, 250], np.float32)[:, None]
    corner = np.arange(10, dtype=np.float32).reshape(5, 2)
    boxes = np.hstack([corner, corner + sides])
    features = [np.arange(3, dtype=np.float32)[:, None]] * 4
    frames = detector.of_regions(network, features, [boxes[:3], boxes[:0], boxes[3:]])
    for number, (own, expected) in enumerate(
        zip(frames, (corner[:3], corner[:0], corner[3:]), strict=True)
    ):
        assert own[0].ravel().tolist() == [number] * len(expected)
        np.testing.assert_array_equal(own[1], expected)
