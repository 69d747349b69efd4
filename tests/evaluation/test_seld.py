"""The SELD metrics of DCASE beside their public code, a slow version, and what must hold."""

from __future__ import annotations

import json
import lzma
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import GOLDEN
from tests.reference.seld import counts as slow_counts

from saiseld.evaluation.seld import (
    SELD_METRICS,
    SourceOptions,
    count,
    evaluate_seld,
    evaluate_seld_systems,
    jackknife_intervals,
    score_counts,
)
from saiseld.formats.dcase_csv import SourceRows
from saiseld.runtime.errors import DataError

CASES = json.loads(lzma.decompress((GOLDEN / "seld_cases.json.xz").read_bytes()))
RATIOS = ("ER20", "F20", "LR")


def without_distance(text: str) -> str:
    return "".join(line.rpartition(",")[0] + "\n" for line in text.splitlines())


@pytest.fixture
def folders(tmp_path):
    """Return what writes {recording: CSV} of both sides to folders."""

    def written(predictions, labels):
        sides = []
        for name, files in (("system", predictions), ("metadata/dev-test", labels)):
            folder = tmp_path / name
            folder.mkdir(parents=True)
            for recording, text in files.items():
                (folder / f"{recording}.csv").write_text(text)
            sides.append(tmp_path / name.partition("/")[0])
        return sides

    return written


def flat(scores, rows: int) -> dict[str, list[float]]:
    names = list(scores.per_class[0])[1:]
    assert len(names) == rows
    found = {name: [value] for name, value in scores.headline().items()}
    found |= {f"{name}/interval": list(ends) for name, ends in scores.intervals.items()}
    return found | {name: [own[name] for own in scores.per_class] for name in names}


@pytest.mark.parametrize("metric", [*SELD_METRICS, "seld-2024-polar"])
@pytest.mark.parametrize("name", CASES)
def test_scores_are_those_of_the_public_code(folders, name, metric):
    case = CASES[name]
    if metric not in case["expected"]:
        return  # polar files are there for some cases
    polar, metric_of = metric.endswith("-polar"), metric.removesuffix("-polar")
    labels, predictions = case["labels"], case["polar" if polar else "predictions"]
    if metric == "seld-2022":  # whose CSVs have no distance
        labels, predictions = (
            {recording: without_distance(text) for recording, text in side.items()}
            for side in (labels, predictions)
        )
    theirs = dict(case["expected"][metric])
    per_class = theirs.pop("per_class")
    scores = evaluate_seld(
        *folders(predictions, labels),
        metric_of,
        options=SourceOptions("polar" if polar else "cartesian"),
        intervals=len(labels) > 1,
        reading="official",
    )
    ours = flat(scores, len(per_class))
    theirs = {key: value if isinstance(value, list) else [value] for key, value in theirs.items()}
    theirs |= dict(zip(list(scores.per_class[0])[1:], per_class, strict=True))
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        expected = np.array(value, float)
        # What is counted is equal; angles turn on the last digit of the machine's arc cosine.
        exact = key.removesuffix("_macro").removesuffix("_micro") in RATIOS
        np.testing.assert_allclose(
            ours[key], expected, rtol=0 if exact else 1e-11, atol=0 if exact else 1e-11, err_msg=key
        )


def rows_of(draw_rows):
    return SourceRows.of([(k, c, n, a, e, d) for n, (k, c, a, e, d) in enumerate(draw_rows)])


ROW = st.tuples(
    st.integers(0, 24),
    st.integers(0, 2),
    st.integers(-17, 17).map(lambda n: 10.0 * n + 0.3),
    st.integers(-8, 8).map(lambda n: 10.0 * n),
    st.integers(1, 5).map(float),
)


@pytest.mark.parametrize("metric", SELD_METRICS)
@given(reference=st.lists(ROW, min_size=1, max_size=40), estimate=st.lists(ROW, max_size=40))
@settings(derandomize=True, deadline=None, max_examples=30)
def test_counts_are_those_of_plain_loops(metric, reference, estimate):
    few = {}
    for row in reference + estimate:  # at most four of a class in a frame, or the loops take long
        few[row[:2]] = few.get(row[:2], 0) + 1
    if max(few.values()) > 4:
        return
    turned = [(*row[:2], row[2] + 3.7, *row[3:]) for row in estimate]  # no equal sums of angles
    fast = count(rows_of(reference), rows_of(turned), metric)
    slow = slow_counts(reference, turned, metric)
    for ours, theirs in (
        ("references", "references"),
        ("matched", "matched"),
        ("missed", "missed"),
        ("extra", "extra"),
    ):
        assert getattr(fast, ours).tolist() == slow[theirs].tolist(), ours
    assert fast.substitutions + fast.deletions + fast.insertions == slow["errors"]
    summed = np.bincount(fast.term_class, fast.angle_error, 13)
    np.testing.assert_allclose(summed, slow["degrees"], atol=1e-5)
    assert fast.wrong_place.tolist() == slow["wrong"].tolist()


SCENE = SourceRows.of(
    [
        (k, c, s, 50.0 * s - 90 + k, 10.0 * c - 50, 1 + s)
        for k in range(60)
        for c, s in ((1, 0), (1, 1), (8, 2))
    ]
)


@pytest.mark.parametrize("metric", SELD_METRICS)
def test_the_truth_itself_is_perfect(metric):
    scores = evaluate_seld({"a": SCENE}, {"a": SCENE}, metric)
    perfect = {"ER20": 0.0, "F20": 1.0, "LE_CD": 0.0, "DOAE": 0.0, "LR_CD": 1.0, "LR": 1.0}
    perfect |= {"DE_m": 0.0, "RDE": 0.0, "SELD": 0.0}
    assert scores.micro == pytest.approx({k: perfect[k] for k in scores.micro}, abs=1e-3)
    for class_id in (1, 8):
        own = dict(scores.per_class[class_id])
        assert own.pop("references") > 0
        own["SELD"] -= scores.micro["ER20"]
        assert own == pytest.approx({k: perfect[k] for k in own}, abs=1e-3)


@pytest.mark.parametrize("metric", SELD_METRICS)
def test_nothing_predicted_is_defined(metric):
    scores = evaluate_seld({"a": SourceRows.of([])}, {"a": SCENE}, metric)
    assert scores.micro["F20"] == 0 and scores.micro["ER20"] == pytest.approx(1)
    undefined = {k for k, value in scores.headline().items() if np.isnan(value)}
    assert undefined == (
        {f"{k}_{a}" for k in ("DOAE", "DE_m", "RDE") for a in ("macro", "micro")}
        if metric == "seld-2024"
        else set()
    )
    json.dumps(scores.as_dict(), allow_nan=False)


@pytest.mark.parametrize("metric", SELD_METRICS)
def test_in_a_silent_recording_every_prediction_is_an_error(metric):
    labels = {"a": SCENE, "b": SourceRows.of([])}
    quiet = evaluate_seld({"a": SCENE, "b": SourceRows.of([])}, labels, metric)
    loud = evaluate_seld({"a": SCENE, "b": SCENE}, labels, metric)
    assert quiet.micro["F20"] == 1 and loud.micro["F20"] == pytest.approx(2 / 3, abs=0.01)
    assert any("no source at all" in note for note in loud.notes)


@pytest.mark.parametrize("metric", SELD_METRICS)
@pytest.mark.parametrize("degrees", [90.0, 180.0])
def test_a_turned_scene_scores_the_same(metric, degrees):
    guess = replace(SCENE, azimuth=SCENE.azimuth + 9, distance_m=1.3 * SCENE.distance_m)
    turn = lambda rows: replace(rows, azimuth=rows.azimuth + degrees)  # noqa: E731
    plain = evaluate_seld({"a": guess}, {"a": SCENE}, metric).headline()
    assert evaluate_seld({"a": turn(guess)}, {"a": turn(SCENE)}, metric).headline() == (
        pytest.approx(plain)
    )


def test_distance_counts_in_2024_alone():
    far = replace(SCENE, distance_m=2.5 * SCENE.distance_m)
    f_score = {m: evaluate_seld({"a": far}, {"a": SCENE}, m).micro["F20"] for m in SELD_METRICS}
    assert f_score == {"seld-2022": 1.0, "seld-2023": 1.0, "seld-2024": 0.0}


def test_sources_without_distance_are_refused_in_2024():
    bare = replace(SCENE, distance_m=np.full(len(SCENE), np.nan))
    with pytest.raises(DataError) as error:
        evaluate_seld({"a": bare}, {"a": SCENE}, "seld-2024")
    assert error.value.place == "distance" and "seld-2023" in error.value.advice
    assert evaluate_seld({"a": bare}, {"a": SCENE}, "seld-2023").micro["F20"] == 1


def test_intervals_hold_no_number_of_one_recording_and_shrink_with_more():
    guess = replace(SCENE, azimuth=SCENE.azimuth + 9)
    one = count(SCENE, guess, "seld-2022")
    other = count(SCENE, SCENE, "seld-2022")
    assert jackknife_intervals([one], "seld-2022") == {}
    few, many = (jackknife_intervals([one, other] * n, "seld-2022") for n in (2, 8))
    width = lambda ends: ends[1] - ends[0]  # noqa: E731
    assert width(many["LE_CD_micro"]) < width(few["LE_CD_micro"])
    same = jackknife_intervals([one] * 4, "seld-2022")
    assert width(same["F20_micro"]) == pytest.approx(0, abs=1e-9)


def test_systems_are_scored_as_one_by_one():
    guess = replace(SCENE, azimuth=SCENE.azimuth + 30)
    labels = {"a": SCENE, "b": SCENE}
    systems = {"good": labels, "bad": {"a": guess, "b": guess}}
    together = evaluate_seld_systems(systems, labels, "seld-2023")
    alone = {name: evaluate_seld(system, labels, "seld-2023") for name, system in systems.items()}
    assert {k: v.headline() for k, v in together.items()} == {
        k: v.headline() for k, v in alone.items()
    }
    assert together["good"].micro["F20"] > together["bad"].micro["F20"]


def test_an_unknown_metric_and_nothing_to_score_are_refused():
    with pytest.raises(ValueError, match="seld-2022"):
        score_counts([count(SCENE, SCENE)], "seld-2019")
    with pytest.raises(ValueError, match="no recordings"):
        score_counts([], "seld-2024")
    with pytest.raises(DataError):
        evaluate_seld({"a": SCENE}, {"a": SourceRows.of([])}, "seld-2024")
