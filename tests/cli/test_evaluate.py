from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from saiseld.cli.main import build
from saiseld.data.label_columns import box_of
from saiseld.evaluation import evaluate, uncertainty
from saiseld.formats.annotation import write_annotations
from saiseld.formats.candidates import CANDIDATES_SUFFIX, Candidates, write_candidates
from saiseld.runtime.cache import CHECKSUM_SUFFIX


@pytest.fixture
def tree(tmp_path, small_case, monkeypatch):
    """Return (predictions, labels) folders; caches stay in the test's folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folders = tmp_path / "system", tmp_path / "labels"
    for folder, side in zip(folders, small_case, strict=True):
        for name, masks in side.items():
            write_annotations(folder / f"{name}.json", [mask for mask in masks if mask.frame < 5])
    return folders


def run(*arguments):
    return CliRunner().invoke(
        build("evaluate"), ["evaluate", *map(str, arguments)], catch_exceptions=False
    )


@pytest.mark.parametrize("metric", ["2026-06-30", "2026-05-28", "2026-05-18", "2026-04-02"])
def test_the_json_holds_the_scores(tree, tmp_path, metric):
    out = tmp_path / "scores.json"
    result = run(*tree, "--metric", metric, "--json", out)
    assert result.exit_code == 0
    assert json.loads(out.read_text()) == evaluate(*tree, metric).as_dict()
    assert "mAP" in result.stdout


def test_several_systems_in_one_pass(tree, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for path in tree[0].iterdir():
        (other / path.name).write_text(path.read_text().replace('"score":0.', '"score":0.0'))
    out = tmp_path / "scores.json"
    result = run(tree[0], other, tree[1], "--json", out, "--jobs", 2, "--threshold", 0.5)
    assert result.exit_code == 0
    written = json.loads(out.read_text())
    assert written == {
        folder.name: evaluate(folder, tree[1], thresholds=(0.5,)).as_dict()
        for folder in (tree[0], other)
    }


def entries(cache: Path) -> list[Path]:
    return [path for path in cache.iterdir() if path.suffix != CHECKSUM_SUFFIX]


def test_the_cache_is_the_users(tree, tmp_path):
    run(*tree)
    assert len(entries(tmp_path / "cache/saiseld/drawn-labels")) == 2
    run(*tree, "--cache", tmp_path / "mine")
    assert len(entries(tmp_path / "mine")) == 2


def test_what_was_left_out_is_said(tree):
    next(tree[0].iterdir()).unlink()
    assert "1 recording without predictions" in run(*tree, "--allow-missing").stdout


def test_few_recordings_have_no_intervals_and_it_says_why(tree):
    assert "no intervals: 2 recordings, of 5" in run(*tree, "--intervals").stdout


def test_intervals_and_the_paired_difference(tree, tmp_path, monkeypatch):
    for function in (uncertainty.confidence_intervals, uncertainty.compare):
        monkeypatch.setitem(function.__kwdefaults__, "resamples", 50)
    for path in [path for folder in tree for path in folder.iterdir()]:
        for copy in "ab":
            shutil.copy(path, path.with_stem(path.stem + copy))
    out = tmp_path / "scores.json"
    assert run(tree[0], tree[0], tree[1], "--intervals", "--json", out).exit_code == 0
    written = json.loads(out.read_text())
    assert set(written) == {"system", "system-2"}
    low, high = written["system"]["intervals"]["macro_mAP"]
    assert low <= written["system"]["macro_mAP"] <= high
    assert written["system-2"]["difference"]["to"] == "system"
    assert written["system-2"]["difference"]["macro_mAP"] == [0, 0, 0, 1]


def test_report_over_pictures_with_the_ceiling(tree, tmp_path, small_case):
    _, labels = small_case
    videos, tables = tmp_path / "frames", tmp_path / "tables"
    for name, masks in labels.items():
        write_candidates(tables / f"{name}{CANDIDATES_SUFFIX}", boxes_of(name, masks))
        (videos / name).mkdir(parents=True)
        for frame in range(10):
            Image.new("RGB", (360, 180), "teal").save(videos / name / f"{name}_{frame:04}.png")
    out, page = tmp_path / "scores.json", tmp_path / "report"
    result = run(
        *tree, "--report", page, "--pictures", videos, "--candidates", tables, "--json", out
    )
    assert result.exit_code == 0
    assert json.loads(out.read_text())["recall_ceiling"]["IoU50"] == 1
    assert "Recall if every candidate" in (page / "index.html").read_text()
    with Image.open(page / "best_1.png") as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(10**6)}
    assert (0, 128, 128) in colours


def boxes_of(recording, masks):
    """Return the candidates of a detector that finds every box."""
    masks = sorted(masks, key=lambda mask: mask.frame)
    rows = len(masks)
    points = [np.concatenate(mask.segmentation) for mask in masks]
    some = np.zeros(rows, np.float32)
    return Candidates(
        recording=recording,
        frames=10,
        frame=np.array([m.frame for m in masks], np.int32),
        class_id=np.array([m.class_id for m in masks], np.int8),
        score=some,
        box=np.array([box_of(p[:, 0], p[:, 1]) for p in points], np.float32),
        azimuth=some,
        elevation=some,
        distance_cm=some,
        has_map=np.zeros(rows, bool),
        energy_map=np.zeros((rows, 28, 28), np.float16),
        closure=some,
        diffuseness=some,
        matchability=some,
    )


@pytest.mark.parametrize("name", [r"p$\alpha_$", r"$\frac{", "[red]a", "a\x1b[2Jb"])
def test_nothing_of_a_folders_name_takes_effect(tree, tmp_path, name):
    system = tree[0].rename(tmp_path / name)
    other = tmp_path / "other"
    shutil.copytree(system, other)
    out = tmp_path / "scores.json"
    result = run(system, other, tree[1], "--json", out)
    assert result.exit_code == 0
    assert list(json.loads(out.read_text())) == [name, "other"]
    assert "\x1b" not in result.stdout
    # A narrow terminal may cut a long name, never leave out its brackets.
    assert name[:3].replace("\x1b", "\\x1b") in result.stdout


def test_nothing_of_a_folders_name_takes_effect_in_a_report(tree, tmp_path):
    name = "$\\frac{ p$\\alpha_$ [red]<b>\x1b[2J"
    system, page = tree[0].rename(tmp_path / name), tmp_path / "report"
    result = run(system, tree[1], "--report", page)
    assert result.exit_code == 0 and "\x1b" not in result.stdout
    assert "[red]&lt;b&gt;" in (page / "index.html").read_text()


def test_where_nothing_can_be_written_nothing_is_scored(tree, tmp_path, saiseld, monkeypatch):
    monkeypatch.setattr("saiseld.evaluation.comparison.compare_systems", None)
    (tmp_path / "file").write_text("")
    for option in ("--json", "--report"):
        code, told = saiseld("evaluate", *tree, option, tmp_path / "file" / "scores.json")
        assert code == 2 and "expected a folder that can be written" in told


def test_the_old_metric_has_no_report(tree, tmp_path):
    result = run(*tree, "--metric", "2026-04-02", "--report", tmp_path / "report")
    assert result.exit_code == 2
    assert "expected a metric of soft IoU" in result.output
    assert "found 2026-04-02" in result.output


def test_a_bad_input_is_one_line(tree):
    (tree[0] / "extra.json").write_text("{}")
    result = run(*tree)
    assert result.exit_code == 2
    assert "1 recording without labels: extra" in result.output
    assert "Traceback" not in result.output
