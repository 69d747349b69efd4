"""What the official scorer accepts and the format does not: scored, said, or refused by both."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from tests.errors import raises
from tests.evaluation.test_golden_cases import expected, numbers

from saiseld.evaluation import evaluate
from saiseld.runtime.errors import AnnotationError, DataError

LENIENT = {
    "schema_category_float": "no integers",
    "schema_frame_float": "no integers",
    "schema_instance_string": "",
    "schema_score_missing": "missing scores are 0",
    "schema_seg_missing": "empty masks",
    "schema_e_nan": "not finite",
    "schema_e_1e39": "not finite",
    "schema_no_annotations_key": "hold nothing",
}
REFUSED = ("schema_pair", "schema_score_null", "schema_x_negative")


@pytest.fixture
def case(cases, tmp_path):
    """Return what copies a case and lets its predictions be changed: folders (pred, gt)."""

    def copied(name, change=lambda content: None):
        folder = tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(cases / name, folder)
        path = folder / "pred" / "rec0.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))
        return folder / "pred", folder / "gt"

    return copied


@pytest.mark.parametrize("name", LENIENT)
def test_the_strict_reading_refuses_and_the_official_scores_and_says_how(case, name):
    folders = case(name)
    with pytest.raises(AnnotationError):
        evaluate(*folders)
    scores = evaluate(*folders, reading="official")
    assert scores.micro.n_gt > 0
    assert LENIENT[name] in "".join(scores.notes)
    old = evaluate(*folders, "2026-04-02", reading="official")
    assert LENIENT[name] in "".join(old.notes)


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_official_scorer_falls_over_is_an_error_in_both(case, name):
    folders = case(name)
    for reading in ("strict", "official"):
        with raises(AnnotationError, place="annotation 0"):
            evaluate(*folders, reading=reading)


@pytest.mark.parametrize(
    "name", ["schema_category_float", "schema_frame_float", "schema_instance_string"]
)
def test_ids_and_frames_of_other_types_change_no_number(case, name):
    theirs = expected("schema_distance_null", "2026-06-30")  # the same file but for its distances
    ours = numbers(evaluate(*case(name), reading="official"))
    assert {k: ours[k] for k in theirs} == pytest.approx(theirs, abs=1e-12)


def _as_text(content):
    for annotation in content["annotations"]:
        for name in ("metadata_frame_index", "category_id", "score"):
            annotation[name] = str(annotation[name])


def test_numbers_as_text_are_numbers(case):
    theirs = expected("schema_distance_null", "2026-06-30")
    scores = evaluate(*case("schema_distance_null", _as_text), reading="official")
    ours = numbers(scores)
    assert {k: ours[k] for k in theirs} == pytest.approx(theirs, abs=1e-12)
    assert "scores as text are numbers" in "".join(scores.notes)


def test_a_score_that_is_not_a_number_ranks_last(case):
    def unscored(content):
        for annotation in content["annotations"][::2]:
            annotation["score"] = float("nan")

    def worst(content):
        for annotation in content["annotations"][::2]:
            annotation["score"] = -1.0

    last = evaluate(*case("schema_distance_null", unscored), reading="official")
    assert last.headline() == evaluate(*case("schema_distance_null", worst)).headline()
    assert "rank last" in "".join(last.notes)


def test_points_anywhere_are_for_the_scorer_of_2026_04_02_alone(case):
    folders = case("schema_x_negative")
    theirs = 0.76024163140793388  # r that the public scorer of 2026-04-02 gives for this case
    assert evaluate(*folders, "2026-04-02", reading="official").pearson_r == pytest.approx(theirs)


def test_without_any_ground_truth_nothing_is_defined(case):
    folders = case("no_gt_at_all")
    with raises(DataError, expected="at least one annotation"):
        evaluate(*folders)
    scores = evaluate(*folders, reading="official")
    assert np.isnan([*scores.headline().values()]).all()
    assert "without ground truth" in "".join(scores.notes)
    assert evaluate(*folders, "2026-04-02", reading="official").notes == scores.notes


def test_a_file_of_the_format_reads_the_same_both_ways(case):
    folders = case("seam")
    assert evaluate(*folders, reading="official") == evaluate(*folders)
