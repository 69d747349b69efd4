"""Golden scores: three recordings under each metric version, and sixty pairs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from saiseld.formats.annotation import EnergyMask

GOLDEN = Path(__file__).parent / "golden"


def to_masks(annotations) -> list[EnergyMask]:
    return [
        EnergyMask(
            frame=a["metadata_frame_index"],
            instance_id=a["instance_id"],
            class_id=a["category_id"],
            segmentation=tuple(np.array(b, float).reshape(-1, 3) for b in a["segmentation"]),
            distance_cm=a["distance"],
            score=a.get("score"),
        )
        for a in annotations
    ]


@pytest.fixture(scope="session")
def golden():
    return json.loads((GOLDEN / "evaluation_expected.json").read_text())


@pytest.fixture(scope="session")
def golden_case():
    """Return (predictions, labels): recording to masks."""
    case = json.loads((GOLDEN / "evaluation_case.json").read_text())
    return tuple(
        {recording: to_masks(annotations) for recording, annotations in case[side].items()}
        for side in ("predictions", "ground_truth")
    )


@pytest.fixture(scope="session")
def small_case(golden_case):
    """Return (predictions, labels) of the first frames of two golden recordings."""
    return tuple(
        {name: [m for m in side[name] if m.frame < 10] for name in sorted(side)[:2]}
        for side in golden_case
    )
