"""A 14th class, added to a copy of the package as CONTRIBUTING says, from labels to scores."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import saiseld

SOURCE = Path(saiseld.__file__).parent

ADDED = {
    "conventions/taxonomy.py": (
        '    SoundClass("Knock", "knock", (250, 190, 212), -1.0),\n',
        '    SoundClass("Whistle", "whistle", (10, 90, 60), -3.0),\n',
    ),
    "simulation/sounds/synthesis.py": ("    _knock,\n", "    _bell,\n"),
    "simulation/pictures/objects.py": ("    _knocker,\n", "    _bell,\n"),
    "simulation/scene.py": ("    (1.20, 1.45),\n", "    (1.0, 1.7),\n"),
    "simulation/builtin/sim26.toml": ("[0.8, 2],\n", "  [1, 2],\n"),
}
"""In each file: after what the new class's line goes."""

PROGRAM = """
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from saiseld import evaluate
from saiseld.conventions.taxonomy import CLASS_NAMES, NUM_CLASSES
from saiseld.decision.matchability import Matchability
from saiseld.formats.annotation import write_annotations
from saiseld.formats.events import read_events
from saiseld.labels.annotate import annotate
from saiseld.pipeline.weights import find_weights
from saiseld.runtime.errors import CheckpointError, RecipeError
from saiseld.seld.audio_branch import AudioBranch
from saiseld.simulation.recipes import read_recipe as simulated
from saiseld.training.detector.recipes import read_recipe as detector
from saiseld.training.seld.recipes import read_recipe as seld

folder = Path(sys.argv[1])
assert NUM_CLASSES == 14 and CLASS_NAMES[13] == "Whistle"

(folder / "events.csv").write_text("0,13,0,30,10,150\\n1,12,1,-60,0,90\\n")
maps = np.full((2, 484), 1e-3)
for name, end in (("labels", "_std"), ("predictions", "")):
    masks = annotate(maps, read_events(folder / "events.csv"))
    assert [mask.class_id for mask in masks] == [13, 12]
    (folder / name).mkdir()
    scored = [replace(mask, score=None if end else 0.5) for mask in masks]
    write_annotations(folder / name / f"fold4_room1_mix001{end}.json", scored)
scores = evaluate(folder / "predictions", folder / "labels")
assert len(scores.per_class) == 14 and scores.per_class[13].mAP == 1

ranges = seld("compact").scenes
assert len(ranges.level_db) == len(ranges.class_weights) == 14
assert detector("compact").epochs and len(simulated("tiny").level_db) == 14
for changes, name in ((["scenes.level_db=[0, 1]"], "level_db"),):
    with pytest.raises(RecipeError) as caught:
        seld("compact", changes)
    assert name in str(caught.value) and "14" in str(caught.value)

weights = find_weights()
for load, path in ((AudioBranch.load, weights.seld), (Matchability.load, weights.matchability)):
    with pytest.raises(CheckpointError) as caught:
        load(path)
    assert caught.value.place == "classes", caught.value
"""


@pytest.mark.slow
def test_a_class_is_added_in_a_few_lines(tmp_path: Path) -> None:
    copy = tmp_path / "src" / "saiseld"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("assets"))
    (copy / "assets").symlink_to(SOURCE / "assets")
    for name, (before, line) in ADDED.items():
        text = (copy / name).read_text()
        assert text.count(before) == 1, name
        (copy / name).write_text(text.replace(before, before + line))
    path = copy / "simulation/builtin/sim26.toml"
    text = (
        path.read_text().replace("5, 4, 4]", "5, 4, 4, 4]").replace("-5, -2, -1]", "-5, -2, -1, 0]")
    )
    path.write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(copy.parent)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
