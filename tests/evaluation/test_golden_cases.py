"""48 random and hostile cases beside what the official scorers gave for them."""

from __future__ import annotations

import json
import lzma

import pytest
from tests import GOLDEN

from saiseld.conventions.taxonomy import CLASS_NAMES
from saiseld.evaluation import evaluate, match_systems

EXPECTED = json.loads((GOLDEN / "evaluation_cases_expected.json").read_text())
OF_2026_05_18 = "evaluation_cases_expected_2026_05_18.json.xz"
for _case, _scores in json.loads(lzma.decompress((GOLDEN / OF_2026_05_18).read_bytes())).items():
    EXPECTED[_case]["2026-05-18"] = _scores
STRICT = {case for case in EXPECTED if case.startswith("schema_")} - {"schema_distance_null"}
"""Cases that only the official reading accepts, or none."""
SCORED = sorted(set(EXPECTED) - STRICT - {"no_gt_at_all"})


def numbers(scores) -> dict[str, float]:
    """Flatten scores to the names of the expected file; classes by their place."""
    content = scores.as_dict()
    flat = {k: v for k, v in content.items() if isinstance(v, float)}
    for class_id, name in enumerate(CLASS_NAMES):
        for key, value in content["per_class"][name].items():
            if value is not None:
                flat[f"{class_id}/{key}"] = value
    return flat


def expected(case: str, metric: str) -> dict[str, float]:
    places: dict[str, int] = {}
    flat = {}
    for key, value in EXPECTED[case][metric].items():
        if "/" in key:
            name, key = key.rsplit("/", 1)
            key = f"{places.setdefault(name, len(places))}/{key}"
        if value is not None:
            flat[key] = value
    return flat


@pytest.mark.parametrize("case", SCORED)
def test_soft_iou_scores_are_the_official_ones_to_the_last_digit(cases, case):
    matched = match_systems({case: cases / case / "pred"}, cases / case / "gt")[case]
    for metric in ("2026-06-30", "2026-05-28", "2026-05-18"):
        ours, theirs = numbers(matched.score(metric)), expected(case, metric)
        assert {k: ours[k] for k in theirs} == pytest.approx(theirs, abs=1e-12, rel=0)
        aps = [k for k in theirs if "AP" in k]
        assert {k: ours[k] for k in aps} == {k: theirs[k] for k in aps}
        assert {k for k in ours if "AP" in k or "pearson_r" in k} <= set(theirs)


@pytest.mark.parametrize("case", SCORED)
def test_2026_04_02_scores_are_the_official_ones(cases, case):
    theirs = expected(case, "2026-04-02")
    if "error" in theirs:  # a distance of null, which only we read
        return
    ours = numbers(evaluate(cases / case / "pred", cases / case / "gt", "2026-04-02"))
    assert {k: ours[k] for k in theirs} == pytest.approx(theirs, abs=1e-12, rel=1e-12)
    assert {k for k in ours if "AP" in k or k in ("pearson_r", "distance_error_percent")} <= (
        set(theirs) | {k for k in ours if k.endswith("/AP50")}
    )
