"""Thresholds of classes: best on what they are chosen on, and files that say so."""

from __future__ import annotations

import json

import numpy as np
import pytest

from saiseld.conventions.taxonomy import CLASS_NAMES
from saiseld.decision.class_thresholds import ClassThresholds, choose_class_thresholds
from saiseld.evaluation.seld import SELD_METRICS, count, score_counts
from saiseld.formats.dcase_csv import SourceRows
from saiseld.runtime.errors import DataError

FRAMES = range(600)
TRUE_ROWS = [(k, c, 0, 40.0, 0.0, 2.0) for k in FRAMES for c in (1, 8)]
TRUTH = SourceRows.of(TRUE_ROWS)


def noisy(more=()):
    """Class 1 is right from 0.3 on, class 8 from 0.7 on; class 5 never sounds."""
    rng = np.random.default_rng(3)
    rows, scores = [], []
    for k in FRAMES:
        for class_id, level in ((1, 0.3), (8, 0.7), (5, 0.9)):
            score = rng.uniform()
            azimuth = 40.0 if score >= level and class_id != 5 else 120.0
            rows.append((k, class_id, 0, azimuth, 0.0, 2.0))
            scores.append(score)
    return SourceRows.of([*rows, *more]), np.r_[scores, np.linspace(0.95, 0.99, len(more))]


@pytest.mark.parametrize("metric", SELD_METRICS)
def test_each_class_gets_its_best_threshold(metric):
    rows, scores = noisy()
    chosen = choose_class_thresholds({"a": (rows, scores)}, {"a": TRUTH}, metric, "audio")
    assert chosen.recordings == ["a"] and chosen.system == "audio"
    kept = scores >= np.array([chosen.of_class(c) for c in rows.class_id])
    found = score_counts([count(TRUTH, rows.take(kept), metric)], metric)
    for class_id in (1, 8):
        own = chosen.f20[CLASS_NAMES[class_id]]
        assert found.per_class[class_id]["F20"] == pytest.approx(own)
        for other in np.linspace(0, 1, 21):
            tried = rows.take(scores >= other)
            score = score_counts([count(TRUTH, tried, metric)], metric).per_class[class_id]["F20"]
            assert score <= own + 0.03  # between two thresholds of the grid
    assert chosen.f20[CLASS_NAMES[5]] is None
    if metric == "seld-2024":
        assert chosen.of_class(1) < chosen.of_class(8)
        assert chosen.of_class(5) > chosen.of_class(0)  # false alarms raise it


def test_a_class_of_few_frames_goes_with_the_others():
    """Its five sources, all right and scored 0.95 and more, would allow any threshold to 0.95."""
    few = [(k, 2, 0, 40.0, 0.0, 2.0) for k in range(5)]
    rows, scores = noisy(few)
    truth = SourceRows.of([*TRUE_ROWS, *few])
    chosen = choose_class_thresholds({"a": (rows, scores)}, {"a": truth}, "seld-2024", "audio")
    assert chosen.of_class(2) < chosen.of_class(8) < 0.8


def test_nothing_to_choose_on_is_an_error():
    rows, scores = noisy()
    empty = SourceRows.of([])
    for estimates, references in (
        ({"a": (empty, np.zeros(0))}, {"a": TRUTH}),
        ({"a": (rows, scores)}, {"a": empty}),
        ({}, {}),
    ):
        with pytest.raises(DataError):
            choose_class_thresholds(estimates, references, "seld-2024", "audio")


def test_a_file_is_read_again_and_another_refused(tmp_path):
    rows, scores = noisy()
    chosen = choose_class_thresholds({"a": (rows, scores)}, {"a": TRUTH}, "seld-2024", "audio")
    path = tmp_path / "thresholds.json"
    chosen.save(path)
    assert ClassThresholds.load(path) == chosen
    content = json.loads(path.read_text())
    for wrong in (
        [],
        content | {"metric": "seld-2019"},
        content | {"thresholds": {"Bell": 0.5}},
        content | {"thresholds": content["thresholds"] | {"Bell": 1.5}},
    ):
        path.write_text(json.dumps(wrong))
        with pytest.raises(DataError):
            ClassThresholds.load(path)
