import json
from pathlib import Path

import numpy as np
import pytest

from saiseld.decision.tracking import baseline_annotations

GOLDEN = Path(__file__).parents[1] / "golden"


def golden_frames():
    arrays = np.load(GOLDEN / "decision_input.npz")
    names = ("boxes", "labels", "scores", "energy_maps", "dist_pred")
    return [{n: arrays[f"{k:02d}_{n}"] for n in names} for k in range(len(arrays.files) // 5)]


def by_frame_class_score(annotations):
    key = ("metadata_frame_index", "category_id", "score")
    return sorted(annotations, key=lambda a: tuple(a[k] for k in key))


def test_public_baseline_is_reproduced():
    found = by_frame_class_score(baseline_annotations(golden_frames()))
    expected = by_frame_class_score(
        json.loads((GOLDEN / "decision_baseline.json").read_text())["annotations"]
    )
    assert len(found) == len(expected)
    renamed = {}
    for ours, theirs in zip(found, expected, strict=True):
        for key in ("metadata_frame_index", "category_id"):
            assert ours[key] == theirs[key]
        assert ours["score"] == pytest.approx(theirs["score"], abs=1e-6)
        assert ours["distance"] == pytest.approx(theirs["distance"], abs=1e-3)
        np.testing.assert_allclose(ours["segmentation"], theirs["segmentation"], atol=1e-4)
        assert (
            renamed.setdefault(ours["instance_id"], theirs["instance_id"]) == theirs["instance_id"]
        )
    assert len(set(renamed.values())) == len(renamed)
