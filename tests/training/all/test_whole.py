"""From recordings with masks to a folder of weights that images, every command run for real."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tests.training.annotated_corpus import PLACES, write_corpus

from saiseld.conventions.sphere import HEIGHT, WIDTH
from saiseld.formats.annotation import EnergyMask, read_annotations, write_annotations
from saiseld.pipeline.weights import PACKAGED
from saiseld.training.all.page import write_page
from saiseld.training.all.plan import Choices, read_plan
from saiseld.training.all.stages import run_stages

RECIPE = """
steps = 1
batch_size = 2
fresh = 1
learning_rate = 1e-3
points = 16
selection_scenes = 1
selection_every = 1
precision = "no"
"""


def write_masks(folder: Path) -> None:
    """Write a square round each source, as its label."""
    for events in sorted((folder / "metadata_dev").rglob("*.csv")):
        masks = []
        for line in events.read_text().splitlines():
            frame, class_id, *_ = (int(float(part)) for part in line.split(","))
            azimuth, elevation = PLACES[class_id]
            x, y = (180 - azimuth) * WIDTH / 360, (90 - elevation) * HEIGHT / 180
            grid = np.mgrid[-6:7, -6:7].reshape(2, -1).T
            points = np.column_stack([grid + np.round((x, y)), np.full(len(grid), 0.8)])
            masks.append(EnergyMask(frame, 0, class_id, (points,), 150.0))
        labels = folder / "labels_dev" / events.parent.name / f"{events.stem}_std.json"
        labels.parent.mkdir(parents=True, exist_ok=True)
        write_annotations(labels, masks)


def test_an_audio_branch_is_made_scored_and_used(tmp_path, saiseld) -> None:
    data, weights = write_corpus(tmp_path / "data"), tmp_path / "weights"
    write_masks(data)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    plan = read_plan(
        data,
        weights,
        Choices(str(PACKAGED / "uplam.safetensors"), str(tmp_path / "recipe.toml"), device="cpu"),
    )

    def run(arguments: Sequence[str]) -> None:
        if arguments[0] == "export":  # takes longer than all else; tests/seld/test_graphs.py
            return
        code, said = saiseld(*arguments)
        assert code == 0, said

    write_page(weights, plan, run_stages(plan.stages, weights, run), data)
    assert not (weights / "uplam.safetensors").exists()
    scores = json.loads((weights / "report/scores.json").read_text())
    assert scores["recordings"] == 1

    recording = next((data / "mic_dev/dev-test-a").glob("*.wav"))
    out = tmp_path / "out"
    line = ["image", recording, "--weights", weights, "--system", "audio", "--no-overlay"]
    run([*map(str, line), "-o", str(out)])
    assert list(read_annotations(out / f"{recording.stem}.json"))

    def never(arguments: Sequence[str]) -> None:
        pytest.fail(f"run again: {arguments}")

    run_stages(plan.stages, weights, never)
