"""Every input that cannot be scored is one clear error that names file, place and remedy."""

from __future__ import annotations

import json
import re

import pytest
from tests.errors import raises

from saiseld.evaluation import evaluate
from saiseld.evaluation.corpus import labels_of
from saiseld.formats.annotation import write_annotations
from saiseld.formats.candidates import candidate_files
from saiseld.runtime.errors import DataError, SaiseldError

TRIANGLE = [[[10.0, 20.0, 0.5], [30.0, 20.0, 1.0], [20.0, 40.0, 0.2]]]


def annotation(**changes):
    fields = {"metadata_frame_index": 0, "instance_id": 0, "category_id": 1, "distance": 100.0}
    return {**fields, "score": 0.5, "segmentation": TRIANGLE, **changes}


ONE_ANNOTATION = json.dumps({"annotations": [annotation()]})


def write(folder, name, annotations):
    folder.mkdir(exist_ok=True, parents=True)
    path = folder / name
    path.write_text(
        annotations
        if isinstance(annotations, str)
        else json.dumps({"annotations": annotations}, allow_nan=True)
    )
    return path


@pytest.fixture
def tree(tmp_path):
    """Return (predictions, labels) of two recordings that score 1."""
    for name in ("take1", "take2"):
        write(tmp_path / "predictions", f"{name}.json", [annotation()])
        write(tmp_path / "labels" / "room", f"{name}_std.json", [annotation()])
    return tmp_path / "predictions", tmp_path / "labels"


def expect(message, tree, **options):
    with pytest.raises(SaiseldError, match=re.escape(message)):
        evaluate(*tree, **options)


def test_the_tree_itself_is_good(tree):
    scores = evaluate(*tree)
    assert scores.macro_mAP == pytest.approx(1)
    assert scores.notes == ()


def test_a_missing_prediction_file(tree):
    (tree[0] / "take2.json").unlink()
    expect("found 1 recording without predictions: take2. Recordings without a partner", tree)
    scores = evaluate(*tree, allow_missing=True)
    assert scores.notes == ("left out, 1 recording without predictions: take2",)
    assert scores.micro.n_gt == 1


def test_a_missing_label_file(tree):
    (tree[1] / "room" / "take1_std.json").unlink()
    expect("found 1 recording without labels: take1", tree)
    assert evaluate(*tree, allow_missing=True).notes == (
        "left out, 1 recording without labels: take1",
    )


def test_no_recording_in_common(tree):
    for name in ("take1", "take2"):
        (tree[0] / f"{name}.json").rename(tree[0] / f"other_{name}.json")
    expect("found none in common", tree, allow_missing=True)


def test_a_duplicate_recording(tree):
    write(tree[1] / "elsewhere", "take1.json", [annotation()])
    expect("recording take1: expected one file, found", tree)


def test_a_duplicate_prediction(tree):
    write(tree[0], "take1_inference.json", [annotation()])
    expect("recording take1: expected one file, found", tree)


def test_a_name_the_official_scorer_skips_is_said(tree):
    (tree[0] / "take1.json").rename(tree[0] / "take1_inference.json")
    assert evaluate(*tree).notes == (
        "the official scorer would skip 1 files not named <recording>.json: take1_inference.json",
    )


def test_labels_before_standardisation_are_no_labels(tree):
    write(tree[1] / "room", "take1_raw.json", [annotation()])
    assert evaluate(*tree).notes == ()


def test_a_folder_without_json(tree, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    expect("expected annotation files (<recording>.json), found none", (empty, tree[1]))
    expect("expected annotation files (<recording>.json), found none", (tree[0], empty))


def test_a_folder_that_is_not_there(tree, tmp_path):
    expect("found no such folder", (tmp_path / "nowhere", tree[1]))


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        (
            [annotation(), annotation(segmentation=[[[360.5, 20, 1]]])],
            "annotation 1, segmentation 0, point 0: expected x in [0, 360], y in [0, 180]",
        ),
        ([annotation(segmentation=[[[10, -0.1, 1]]])], "found [10.0, -0.1, 1.0]"),
        (
            [annotation(segmentation=[[[10, 20]]])],
            "annotation 0: expected the fields of an annotation",
        ),
        (
            [annotation(segmentation=[[10, 20, 1]])],
            "annotation 0: expected the fields of an annotation",
        ),
        ([annotation(segmentation=[[[10, 20, float("nan")]]])], "with finite numbers"),
        ([annotation(segmentation=[[[10, 20, float("inf")]]])], "with finite numbers"),
        ([annotation(segmentation=[[[10, 20, 1e39]]])], "point 0: expected"),
        ([annotation(score=float("nan"))], "with finite numbers"),
        (ONE_ANNOTATION.replace('"score": 0.5', '"score": 1e999'), "out of range"),
        ([annotation(score="high")], "annotation 0: expected the fields of an annotation, found"),
        ([annotation(score=None)], "annotation 0, score: expected a finite number, found nothing"),
        (
            [annotation(category_id=2**40)],
            "annotation 0: expected the fields of an annotation, found",
        ),
        ([annotation(metadata_frame_index=-1)], "expected a frame of 0 or more, found -1"),
        (ONE_ANNOTATION[:50], 'expected JSON of the form {"annotations": [...]}'),
        ("[]", 'expected JSON of the form {"annotations": [...]}'),
    ],
)
@pytest.mark.parametrize("metric", ["2026-06-30", "2026-04-02"])
def test_a_broken_prediction(tree, annotations, message, metric):
    write(tree[0], "take2.json", annotations)
    with pytest.raises(SaiseldError, match=re.escape(message)) as caught:
        evaluate(*tree, metric)
    assert "take2.json" in str(caught.value)


def test_a_broken_label(tree):
    write(tree[1] / "room", "take1_std.json", [annotation(segmentation=[[[400, 20, 1]]])])
    expect("take1_std.json: annotation 0, segmentation 0, point 0: expected x in [0, 360]", tree)


@pytest.mark.slow
def test_a_broken_file_met_by_another_process(tree):
    write(tree[0], "take2.json", [annotation(score="high")])
    expect("take2.json: annotation 0", tree, jobs=2)


def test_category_13_is_left_out_and_said(tree):
    write(tree[0], "take2.json", [annotation(), annotation(category_id=13)])
    scores = evaluate(*tree)
    assert scores.macro_mAP == pytest.approx(1)
    assert scores.notes == (
        "1 annotation with category ids outside 0-12 (13) ignored, as by the official scorer",
    )


def test_a_prediction_file_over_the_limit(tree):
    path = tree[0] / "take2.json"
    path.write_text(path.read_text() + " " * 20 * 1024**2)
    expect("take2.json: expected at most 20971520 bytes, found", tree)


def test_a_label_file_may_be_larger(tree):
    path = tree[1] / "room" / "take2_std.json"
    path.write_text(path.read_text() + " " * 20 * 1024**2)
    assert evaluate(*tree).macro_mAP == pytest.approx(1)


def test_empty_annotations(tree):
    write(tree[0], "take2.json", [])
    assert evaluate(*tree).micro.n_det == 1
    write(tree[1] / "room", "take2_std.json", [])
    assert evaluate(*tree).notes == ("1 recording without ground truth: take2",)
    write(tree[1] / "room", "take1_std.json", [])
    expect("labels: expected at least one annotation of the 13 classes, found none", tree)


def test_masks_in_memory_need_scores(golden_case):
    _, labels = golden_case
    expect("predictions: mask 0: expected a finite score, found none", (labels, labels))


def test_missing_labels_name_the_recording(judged_tree, tmp_path):
    tables = candidate_files(judged_tree / "candidates")
    write_annotations(tmp_path / "fold4_room0_mix001.json", [])
    with raises(DataError, found="2 recordings without labels: fold4_room1"):
        labels_of(tables, tmp_path)
