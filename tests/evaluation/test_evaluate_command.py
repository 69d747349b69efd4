from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from saiseld.annotation import write_annotations
from saiseld.cli.main import build
from saiseld.evaluation import evaluate


@pytest.fixture
def tree(tmp_path, small_case, monkeypatch):
    """Return (predictions, labels) folders; caches stay in the test's folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folders = tmp_path / "system", tmp_path / "labels"
    for folder, side in zip(folders, small_case, strict=True):
        for name, masks in side.items():
            write_annotations(folder / f"{name}.json", masks)
    return folders


def run(*arguments):
    return CliRunner().invoke(build(), ["evaluate", *map(str, arguments)], catch_exceptions=False)


@pytest.mark.parametrize("metric", ["2026-06-30", "2026-05-28", "2026-04-02"])
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


def test_the_cache_is_the_users(tree, tmp_path):
    run(*tree)
    assert len(list((tmp_path / "cache/saiseld/drawn-labels").iterdir())) == 2
    run(*tree, "--cache", tmp_path / "mine")
    assert len(list((tmp_path / "mine").iterdir())) == 2


def test_what_was_left_out_is_said(tree):
    next(tree[0].iterdir()).unlink()
    assert "labels without predictions were left out" in run(*tree, "--allow-missing").stdout
