import json

import numpy as np
from tests import GOLDEN

from saiseld.conventions.sphere import angles_of_pixel
from saiseld.conventions.taxonomy import class_of_label
from saiseld.decision.tracking import baseline_masks
from saiseld.detector.detections import DISTANCE_UNIT_CM
from saiseld.formats.annotation import encode_annotations
from saiseld.formats.candidates import MAP_SIZE, Candidates


def golden_frames():
    arrays = np.load(GOLDEN / "decision_input.npz")
    names = ("boxes", "labels", "scores", "energy_maps", "dist_pred")
    return [{n: arrays[f"{k:02d}_{n}"] for n in names} for k in range(len(arrays.files) // 5)]


def table_of(frames):
    """Return a detector's raw output as a table; distances are in its unit, labels class id + 1."""

    def column(name, shape=()):
        parts = [np.asarray(frame[name]).reshape(-1, *shape) for frame in frames]
        return np.concatenate([np.empty((0, *shape)), *parts])

    labels, box = column("labels"), column("boxes", (4,))
    azimuth, elevation = angles_of_pixel(box[:, ::2].mean(axis=1), box[:, 1::2].mean(axis=1))
    zeros = np.zeros(len(labels), np.float32)
    return Candidates(
        recording="detections",
        frames=len(frames),
        frame=np.repeat(np.arange(len(frames)), [np.size(f["labels"]) for f in frames]),
        class_id=np.array([class_of_label(int(label)) for label in labels], np.int8),
        score=column("scores"),
        box=box,
        azimuth=azimuth.astype(np.float32),
        elevation=elevation.astype(np.float32),
        distance_cm=DISTANCE_UNIT_CM * column("dist_pred"),
        has_map=np.ones(len(labels), bool),
        # Kept at full width: the rounding of a stored table would show.
        energy_map=column("energy_maps", (MAP_SIZE, MAP_SIZE)).astype(np.float32),
        closure=zeros,
        diffuseness=zeros,
        matchability=zeros,
    )


def test_public_baseline_is_reproduced_number_for_number():
    found = json.loads(encode_annotations(baseline_masks(table_of(golden_frames()))))
    assert found == json.loads((GOLDEN / "decision_baseline.json").read_text())
