"""``saiseld evaluate --metric seld-*`` on files: what is read, and what is said of it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from saiseld.cli.main import build
from saiseld.evaluation.seld import SELD_METRICS, evaluate_seld
from saiseld.formats.annotation import EnergyMask, write_annotations
from saiseld.formats.sound_events import SoundEvent, write_sound_events


def run(*arguments):
    return CliRunner().invoke(
        build("evaluate"), ["evaluate", *map(str, arguments)], catch_exceptions=False
    )


def rows(frames=range(40), class_id=8, tail=",40,10,150"):
    return "".join(f"{k},{class_id},0{tail}\n" for k in frames)


@pytest.fixture
def tree(tmp_path):
    """Folders of a system and of labels, with the recordings a and b."""
    for folder, tail in (("system", ",45,12,1.4"), ("labels/dev", ",40,10,150")):
        (tmp_path / folder).mkdir(parents=True)
        for recording in "ab":
            (tmp_path / folder / f"{recording}.csv").write_text(rows(tail=tail))
    return tmp_path / "system", tmp_path / "labels"


def notes_of(tree, tmp_path, *options, metric="seld-2024"):
    out = tmp_path / "scores.json"
    result = run(*tree, "--metric", metric, "--json", out, *options)
    assert result.exit_code == 0, result.output
    return json.loads(out.read_text())["notes"]


@pytest.mark.parametrize("metric", SELD_METRICS)
def test_the_json_holds_the_scores_and_the_table_shows_them(tree, tmp_path, metric):
    out = tmp_path / "scores.json"
    result = run(*tree, "--metric", metric, "--json", out, "--intervals")
    assert result.exit_code == 0
    scores = evaluate_seld(*tree, metric, intervals=True)
    assert json.loads(out.read_text()) == scores.as_dict()
    assert scores.micro["F20"] == 1 and "intervals" in scores.as_dict() and not scores.notes
    assert metric in result.stdout and "F20_macro" in result.stdout and "Bell" in result.stdout


def test_several_systems_are_scored_beside_each_other(tree, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for recording in "ab":
        (other / f"{recording}.csv").write_text(rows(tail=",90,12,1.4"))
    out = tmp_path / "scores.json"
    result = run(
        tree[0], other, tree[1], "--metric", "seld-2024", "--json", out, "--jobs", 2, "--intervals"
    )
    assert result.exit_code == 0
    scores = json.loads(out.read_text())
    assert (scores["system"]["F20_micro"], scores["other"]["F20_micro"]) == (1, 0)
    assert "jackknife" in result.stdout


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda s, t: (t / "dev/a.csv").write_text(rows() + "40,8"), "line 41"),
        (lambda s, t: (s / "a.csv").write_text(rows(tail=",1,2,1.5") + "40,8"), "line 41"),
        (lambda s, t: (t / "dev/a.csv").write_text(rows(class_id=13)), "line 1, class"),
        (lambda s, t: (s / "a.csv").unlink(), "1 recording without predictions: a"),
        (lambda s, t: (t / "dev/a.csv").unlink(), "1 recording without labels: a"),
        (lambda s, t: (t / "dev/a.csv").write_text(rows(tail=",40,10")), "distance"),
        (lambda s, t: (s / "a.csv").write_text(rows(tail=",40,10")), "distance"),
        (lambda s, t: [(t / f"dev/{n}.csv").write_text("") for n in "ab"], "labels"),
        (lambda s, t: (t / "a.csv").write_text(rows()), "recording a"),
        (lambda s, t: [path.unlink() for path in s.iterdir()], "DCASE CSVs"),
    ],
    ids=[
        "labels that end early",
        "a system's CSV that ends early",
        "class unknown",
        "recording without CSV",
        "CSV without recording",
        "labels without distance",
        "system without distance",
        "no source at all",
        "two files of one recording",
        "no files",
    ],
)
def test_what_cannot_be_scored_is_one_line(tree, saiseld, change, place):
    change(*tree)
    code, told = saiseld("evaluate", *tree, "--metric", "seld-2024")
    assert code == 2 and place in told
    assert told.count("error:") == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda s, t: (t / "dev/a.csv").write_text(rows() + rows(range(5))),
            "labels: rows that repeat frame, class and source; each counts as one source (5 in a)",
        ),
        (
            lambda s, t: (s / "a.csv").write_text(rows(range(0, 80, 2), tail=",45,12,1.4")),
            "predictions: rows after the last labelled frame, which do not count; are both files "
            "of this recording and at 10 frames a second? (20 in a)",
        ),
        (
            lambda s, t: (t / "dev/a.csv").write_text(rows(range(400))),
            "predictions: nothing in the second half; does the file end early, or has it another "
            "frame rate? (1 in a)",
        ),
        (
            lambda s, t: (t / "dev/b.csv").write_text(""),
            "labels: no source at all; every prediction there is an error (1 in b)",
        ),
        (
            lambda s, t: (s / "b.csv").write_text(rows(tail=",45,12,140")),
            "predictions: distances of 140 m and more; are they centimetres "
            "(--distance-unit cm)? (1 in b)",
        ),
        (
            lambda s, t: (s / "b.csv").write_text(rows(tail=",45,12,1.5").rstrip("\n")),
            "predictions: the last line has no line break: was the file cut off? (1 in b)",
        ),
    ],
    ids=[
        "overlapping rows of one source",
        "another frame rate",
        "ends early",
        "silent recording",
        "distances in centimetres",
        "cut in the last number",
    ],
)
def test_what_looks_wrong_is_said_once(tree, tmp_path, change, said):
    change(*tree)
    assert notes_of(tree, tmp_path) == [said]


def test_recordings_without_partner_are_left_out_on_request(tree, tmp_path):
    (tree[0] / "a.csv").unlink()
    assert notes_of(tree, tmp_path, "--allow-missing") == [
        "left out, 1 recording without predictions: a"
    ]


def test_unknown_classes_are_left_out_by_the_official_reading(tree, tmp_path):
    (tree[1] / "dev" / "a.csv").write_text(rows() + rows(class_id=13))
    assert notes_of(tree, tmp_path, "--reading", "official") == [
        "labels: rows of classes beyond 0-12, left out (40 in a)"
    ]


def test_what_these_metrics_lack_is_refused(tree, tmp_path):
    for option in (("--report", tmp_path / "page"), ("--threshold", 0.5)):
        assert run(*tree, "--metric", "seld-2024", *option).exit_code == 2


BLOB = np.array([[135.0, 78.0, 1.0], [136.0, 80.0, 1.0], [134.0, 79.0, 1.0]])


def test_masks_and_events_are_sources_too(tree, tmp_path):
    masks = [EnergyMask(k, 3, 8, (BLOB,), 140.0, 0.9) for k in range(40)]
    weak = [EnergyMask(k, 4, 2, (BLOB,), 140.0, 0.1) for k in range(40)]
    from_masks = tmp_path / "masks"
    from_masks.mkdir()
    event = SoundEvent(1, 8, "Music", 0.0, 4.0, 45.0, 12.0, 140.0, 0.9)
    from_events = tmp_path / "events"
    from_events.mkdir()
    for recording in "ab":
        write_annotations(from_masks / f"{recording}.json", masks + weak)
        write_sound_events(from_events / f"{recording}.events.csv", [event])
    for folder, kind in ((from_masks, "masks"), (from_events, "sound events")):
        said = notes_of((folder, tree[1]), tmp_path, "--min-score", 0.5)
        assert said == [f"predictions are read from {kind} ({folder})"]
        assert json.loads((tmp_path / "scores.json").read_text())["F20_micro"] == 1
    labelled = tmp_path / "std"
    labelled.mkdir()
    for recording in "ab":
        bare = [EnergyMask(0, 0, 8, ())]
        truths = [EnergyMask(k, 3, 8, (BLOB,), 140.0) for k in range(40)]
        write_annotations(labelled / f"{recording}_std.json", truths + bare)
    said = notes_of((tree[0], labelled), tmp_path)
    assert said == [
        f"labels are read from masks ({labelled})",
        "labels: masks without energy, which have no direction, left out (2 in a, b)",
    ]
