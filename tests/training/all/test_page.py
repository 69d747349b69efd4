"""The page that says how good a system is: every number on it is from the scores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.page_structure import faults_of

from saiseld.conventions.taxonomy import CLASS_NAMES
from saiseld.runtime.errors import DataError
from saiseld.training.all.page import write_page
from saiseld.training.all.plan import Plan
from saiseld.training.all.stages import StageRecord


def scores(value: float) -> dict[str, object]:
    rows = ("macro_mAP", "macro_AP50", "macro_AP75", "macro_pearson_r")
    return {
        **dict.fromkeys(rows, value),
        "per_class": {name: {"mAP": None if value < 0.2 else value} for name in CLASS_NAMES},
        "intervals": {"macro_mAP": [value - 0.05, value + 0.05]},
        "difference": {"to": "audiovisual", "macro_mAP": [-0.111, -0.2, -0.05, 0.01]},
    }


def page(folder: Path, found: object, *, is_optimistic: bool = False) -> str:
    (folder / "report").mkdir()
    (folder / "report/scores.json").write_text(json.dumps(found))
    rooms = {"train": ["room1"], "score": ["room9"]}
    plan = Plan((), (), is_optimistic, rooms, has_detector=True)
    records = {"fusion": StageRecord(["saiseld train fusion <a> b"], 12.3, {})}
    return write_page(folder, plan, records, Path("data")).read_text()


def test_scores_intervals_classes_rooms_and_commands_are_on_it(tmp_path) -> None:
    text = page(tmp_path, {"audiovisual": scores(0.412), "audio": scores(0.137)})
    for part in (
        "0.412 (0.362–0.462)",
        "0.137 (0.087–0.187)",
        "-0.111 (-0.200 to -0.050)",
        "without the detector",
    ):
        assert part in text
    assert f"--weights {tmp_path}" in text and "room9" in text
    assert "train fusion &lt;a&gt; b" in text
    assert all(name in text for name in CLASS_NAMES)
    assert "Optimistic" not in text
    assert faults_of(text, tables=5) == []


def test_one_system_alone_and_rooms_of_selection_are_said(tmp_path) -> None:
    text = page(tmp_path, scores(0.3), is_optimistic=True)
    assert "Optimistic" in text and "0.300" in text


def test_no_scores_are_told(tmp_path) -> None:
    with pytest.raises(DataError) as caught:
        write_page(tmp_path, Plan((), (), False, {}, has_detector=False), {}, Path("data"))
    assert caught.value.source.endswith("scores.json")
