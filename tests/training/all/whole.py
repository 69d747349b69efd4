"""From recordings with masks to a folder of weights that images, every command run for real.

``make train-check`` runs it: it takes too long for ``make test``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from tests.training.annotated_corpus import write_scenes

from saiseld.formats.annotation import read_annotations
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


def test_an_audio_branch_is_made_scored_and_used(tmp_path, saiseld) -> None:
    data, weights = write_scenes(tmp_path / "data"), tmp_path / "weights"
    (tmp_path / "recipe.toml").write_text(RECIPE)
    plan = read_plan(
        data,
        weights,
        Choices(str(PACKAGED / "uplam.safetensors"), str(tmp_path / "recipe.toml"), device="cpu"),
    )

    def run(arguments: Sequence[str]) -> None:
        code, said = saiseld(*arguments)
        assert code == 0, said

    write_page(weights, plan, run_stages(plan.stages, weights, run), data)
    assert not (weights / "uplam.safetensors").exists()
    scores = json.loads((weights / "report/scores.json").read_text())
    assert 0 <= scores["macro_mAP"] <= 1

    recording = next((data / "mic_dev/dev-test-a").glob("*.wav"))
    out = tmp_path / "out"
    line = ["image", recording, "--weights", weights, "--system", "audio", "--no-overlay"]
    run([*map(str, line), "-o", str(out)])
    read_annotations(out / f"{recording.stem}.json")

    def never(arguments: Sequence[str]) -> None:
        pytest.fail(f"run again: {arguments}")

    run_stages(plan.stages, weights, never)
