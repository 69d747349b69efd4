from __future__ import annotations

import numpy as np
import torch

from saiseld.decision.selection import emittable
from saiseld.detector.detect import detect_frames, peak_direction
from saiseld.detector.model import Detector
from saiseld.formats.candidates import read_candidates, write_candidates


def test_table_of_a_recording(tmp_path) -> None:
    torch.manual_seed(0)
    detector = Detector("compact", "great_circle").eval()
    rgb = np.random.default_rng(0).integers(0, 256, (3, 3, 180, 360), np.uint8)
    latent = np.random.default_rng(1).random((3, 9, 484), np.float32)
    batches = [(latent[:2], rgb[:2]), (latent[2:], rgb[2:])]
    table = detect_frames(
        detector, "room1", batches, keep=emittable, provenance={"video": "absent"}
    )
    assert table.frames == 3
    assert table.provenance["video"] == "absent"
    assert table.provenance["score_threshold"] == 0.01
    frames = detector.find(rgb, latent, keep=emittable)
    for number, found in enumerate(frames):
        rows = table.frame == number
        np.testing.assert_allclose(table.score[rows], found["scores"], rtol=1e-4)
        assert table.has_map[rows].sum() == found["measured"].sum()
    assert np.isfinite(table.distance_cm[table.has_map]).all()
    path = tmp_path / f"{table.recording}.candidates.parquet"
    write_candidates(path, table)
    assert len(read_candidates(path)) == len(table)


def test_no_frames_and_no_detections() -> None:
    detector = Detector("compact").eval()
    detector.det.roi_heads.score_thresh = 1.1
    assert len(detect_frames(detector, "none", [])) == 0
    batch = (np.zeros((2, 9, 484), np.float32), np.zeros((2, 3, 180, 360), np.float32))
    table = detect_frames(detector, "silent", [batch])
    assert (len(table), table.frames) == (0, 2)


def test_peak_direction_by_hand() -> None:
    energy = np.zeros((2, 28, 28), np.float32)
    energy[:, 0, 27] = 1  # upper right cell
    box = np.array([[-14, 76, 14, 104], [-14, 76, 14, 104]], np.float32)
    azimuth, elevation = peak_direction(box, energy, np.array([True, False]))
    np.testing.assert_allclose(azimuth, [180 - 13.5, -180], atol=1e-4)
    np.testing.assert_allclose(elevation, [90 - 76.5, 0], atol=1e-4)
