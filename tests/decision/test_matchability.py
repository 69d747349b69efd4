import copy
import inspect
import zipfile
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tests.errors import raises
from tests.memory import allocations
from tests.reference.perturbed_labels import perturbed, pure_noise

from saiseld.data.label_columns import label_columns
from saiseld.decision.detection_features import FEATURE_NAMES, detection_features
from saiseld.decision.folds import room_of
from saiseld.decision.matchability import (
    Matchability,
    cross_fit,
    example_rows,
    examples,
    fit,
    importances,
    joined,
)
from saiseld.decision.selection import emittable
from saiseld.evaluation.rendering import render_masks
from saiseld.formats.annotation import write_annotations
from saiseld.runtime.errors import CandidateError, CheckpointError, DataError
from saiseld.training.matchability.targets import best_box_iou, best_mask_iou, proposed_box_iou


def known_of(make, rooms=4, **options):
    tables, parts = [], []
    for room in range(rooms):
        table, labels = make(room, f"fold4_room{room}_mix001", **options)
        tables.append(table)
        # Box targets of half need no drawing; what is learned is tested on drawn masks elsewhere.
        best = best_box_iou(table, columns_of(labels)) / 2
        parts.append(examples(table, best, example_rows(table, "all")))
    return tables, joined(parts)


def columns_of(labels):
    with TemporaryDirectory() as folder:
        write_annotations(Path(folder) / "labels.json", labels)
        return label_columns(Path(folder) / "labels.json", folder)


@pytest.fixture(scope="module")
def telling():
    return known_of(perturbed)


@pytest.fixture(scope="module")
def model(telling):
    return fit(telling[1], recordings=[])


def test_the_linear_model_is_logistic_regression(telling, tmp_path):
    _, known = telling
    rows = known.features.astype(float)
    rows[:, 0] = np.log(rows[:, 0])
    expected = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    expected.fit(rows, known.matched)
    model = fit(known, recordings=[], kind="linear")
    found = model.probability(known.features)
    np.testing.assert_allclose(found, expected.predict_proba(rows)[:, 1], atol=1e-5)
    model.save(tmp_path / "m.skops")
    loaded = Matchability.load(tmp_path / "m.skops")
    np.testing.assert_array_equal(loaded.probability(known.features), found)


def test_the_linear_model_tells_right_from_wrong_in_unseen_rooms(telling):
    _, known = telling
    raw = roc_auc_score(known.matched, known.features[:, 0])
    assert roc_auc_score(known.matched, cross_fit(known, "linear")) > raw + 0.2
    assert importances(known, "linear").shape == (16,)


@pytest.mark.parametrize(
    "change",
    [
        {"weight": np.zeros(15)},
        {"bias": np.array([np.nan])},
        {"scale": np.zeros(16)},
        {"other": np.zeros(16)},
    ],
)
def test_a_linear_model_that_is_none_is_refused(telling, tmp_path, change):
    model = fit(telling[1], recordings=[], kind="linear")
    model.save(tmp_path / "m.skops")
    content = skops.io.load(tmp_path / "m.skops")
    content["classifier"] |= change
    skops.io.dump(content, tmp_path / "m.skops")
    with raises(CheckpointError, expected="a matchability model"):
        Matchability.load(tmp_path / "m.skops")


def test_cross_fitting_tells_right_from_wrong_in_unseen_rooms(telling):
    _, known = telling
    probability = cross_fit(known)
    raw = known.features[:, 0]
    assert roc_auc_score(known.matched, probability) > roc_auc_score(known.matched, raw) + 0.3
    assert brier_score_loss(known.matched, probability) < known.matched.var()


def test_cross_fitting_does_not_pretend_on_pure_noise_where_one_split_does():
    _, known = known_of(pure_noise, frames=150)
    honest = roc_auc_score(known.matched, cross_fit(known))
    optimistic = fit(known, recordings=[]).classifier.predict_proba(known.features)[:, 1]
    assert abs(honest - 0.5) < 0.06
    assert roc_auc_score(known.matched, optimistic) > 0.6


def test_no_detection_is_scored_by_a_model_that_saw_its_room(telling):
    _, known = telling
    flipped = replace(known, matched=np.where(known.room == "room0", ~known.matched, known.matched))
    held_out = known.room == "room0"
    np.testing.assert_array_equal(cross_fit(known)[held_out], cross_fit(flipped)[held_out])
    assert not np.array_equal(cross_fit(known)[~held_out], cross_fit(flipped)[~held_out])


def test_importances_find_what_tells(telling):
    found = importances(telling[1], repeats=2)
    maps = found[[k for k, name in enumerate(FEATURE_NAMES) if name.startswith("map")]]
    assert maps.max() > 0.05
    assert abs(found[FEATURE_NAMES.index("closure")]) < 1e-12


def test_nothing_of_the_labels_reaches_inference(telling):
    """Gates may carry truth into training; a prediction is the same whatever they say."""
    tables, known = telling
    leaking = replace(known, features=known.features.copy())
    leaking.features[:, -1] = known.matched
    model = fit(leaking, recordings=[])
    assert roc_auc_score(known.matched, model.classifier.predict_proba(leaking.features)[:, 1]) == 1
    table = tables[0]
    truthful = known.matched[: len(table)].astype(np.float32)
    leaked = replace(table, closure=truthful, diffuseness=truthful, matchability=truthful)
    np.testing.assert_array_equal(model.predict(leaked), model.predict(table))
    for function in (Matchability.predict, Matchability.calibrate, detection_features):
        assert set(inspect.signature(function).parameters) <= {"self", "table"}


def test_rows_without_a_map_are_counted_but_not_scored(model, telling):
    table = telling[0][0]
    has_map = np.arange(len(table)) % 3 > 0
    partial = replace(table, has_map=has_map)
    predicted = model.predict(partial)
    assert np.isnan(predicted[~has_map]).all()
    np.testing.assert_array_equal(predicted[has_map], model.predict(table)[has_map])


def test_a_pool_is_what_can_be_emitted_or_everything(telling):
    table = telling[0][0]
    able = emittable(table.score, table.class_id, table.frame)
    assert 0 < able.sum() < len(table)
    np.testing.assert_array_equal(example_rows(table, "emittable"), np.flatnonzero(able))
    np.testing.assert_array_equal(example_rows(table, "all"), np.arange(len(table)))
    partial = replace(table, has_map=able)
    np.testing.assert_array_equal(example_rows(partial, "emittable"), np.flatnonzero(able))
    with raises(CandidateError, advice="--all-maps"):
        example_rows(partial, "all")
    some = examples(table, np.where(able, 0.3, 0.2), example_rows(table, "emittable"))
    assert len(some.matched) == able.sum() and some.matched.all()


def test_saved_model_predicts_the_same(model, telling, tmp_path):
    model.save(tmp_path / "m.skops")
    loaded = Matchability.load(tmp_path / "m.skops")
    np.testing.assert_array_equal(loaded.predict(telling[0][1]), model.predict(telling[0][1]))
    assert loaded.training == model.training


def test_model_of_other_features_is_refused(model, tmp_path):
    path = tmp_path / "m.skops"
    model.save(path)
    content = skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))
    content["header"] = content["header"].replace('"raw score"', '"loudness"')
    skops.io.dump(content, path)
    with raises(CheckpointError, "features", found="loudness, raw score", advice="Train the model"):
        Matchability.load(tmp_path / "m.skops")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"not a zip"])
def test_damaged_model_is_refused(content, tmp_path):
    path = tmp_path / "m.skops"
    path.write_bytes(content)
    with raises(CheckpointError, expected="a matchability model"):
        Matchability.load(path)


def test_missing_model_names_the_command_that_makes_one(tmp_path):
    with raises(CheckpointError, found="no such file", advice="Train one with"):
        Matchability.load(tmp_path / "m.skops")


class Innocent:
    pass


def test_model_file_with_another_type_is_refused(model, tmp_path):
    path = tmp_path / "m.skops"
    skops.io.dump({"header": "{}", "classifier": Innocent()}, path)
    with raises(CheckpointError, expected="no other type"):
        Matchability.load(path)


def test_another_estimator_is_refused(model, telling, tmp_path):
    known = telling[1]
    other = GradientBoostingClassifier(n_estimators=1).fit(known.features, known.matched)
    replace(model, classifier=other).save(tmp_path / "m.skops")
    with raises(CheckpointError, tmp_path / "m.skops"):
        Matchability.load(tmp_path / "m.skops")


@pytest.mark.parametrize("field, value", [("left", 10_000), ("right", 0), ("feature_idx", 99)])
def test_trees_that_lead_out_of_bounds_are_refused(telling, tmp_path, field, value):
    model = fit(telling[1], recordings=[])
    model.classifier._predictors[0][0].nodes[field][0] = value
    model.save(tmp_path / "m.skops")
    with raises(CheckpointError, place="classifier"):
        Matchability.load(tmp_path / "m.skops")


@pytest.mark.parametrize(
    "change",
    [
        lambda trees: trees.__dict__.pop("_baseline_prediction"),
        lambda trees: setattr(trees, "_baseline_prediction", np.full((1, 1), np.nan)),
        lambda trees: setattr(trees, "_baseline_prediction", np.zeros((3, 7))),
        lambda trees: setattr(trees, "_baseline_prediction", "x"),
        lambda trees: setattr(trees, "classes_", np.array([0, 1, 2])),
        lambda trees: setattr(trees, "n_trees_per_iteration_", 7),
        lambda trees: trees.__dict__.pop("_loss"),
        lambda trees: trees.__dict__.pop("classes_"),
        lambda trees: trees._predictors[0].clear(),
        lambda trees: trees._predictors[0][0].nodes["value"].fill(np.nan),
        lambda trees: trees._predictors[0][0].nodes["value"].fill(np.inf),
    ],
)
def test_trees_that_fail_in_predict_are_refused_where_they_are_read(model, tmp_path, change):
    model = replace(model, classifier=copy.deepcopy(model.classifier))
    change(model.classifier)
    model.save(tmp_path / "m.skops")
    with raises(CheckpointError, tmp_path / "m.skops"):
        Matchability.load(tmp_path / "m.skops")


def test_an_archive_that_unpacks_to_far_more_is_refused_unread(tmp_path):
    path = tmp_path / "m.skops"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", bytes(128 << 20))
    assert path.stat().st_size < 1 << 20
    with (
        allocations() as peak,
        raises(CheckpointError, expected="at most 67108864", found="134217728"),
    ):
        Matchability.load(path)
    assert peak() < 16 << 20


def test_too_few_matches_are_refused():
    _, known = known_of(perturbed, rooms=2, frames=8)
    with raises(DataError, expected="at least 10 candidates that match them", found="0 and"):
        fit(replace(known, matched=np.zeros_like(known.matched)), recordings=[])


def test_one_room_cannot_be_cross_fitted():
    _, known = known_of(perturbed, rooms=1)
    with raises(DataError, expected="two rooms or more", found="only room0"):
        cross_fit(known)


def test_class_never_seen_in_training_is_named(model, telling):
    table = telling[0][0]
    training = replace(model.training, examples_per_class=[5, 0, *[5] * 11])
    seen = replace(model, training=training)
    assert seen.unseen_classes(replace(table, class_id=np.full(len(table), 1, np.int8))) == [1]
    assert seen.unseen_classes(replace(table, class_id=np.full(len(table), 0, np.int8))) == []


def test_targets_are_the_best_overlap_of_the_same_class():
    table, labels = perturbed(0, "fold4_room1_mix001", frames=3)
    mask_iou = best_mask_iou(table, render_masks(labels), "grid3")
    box_iou = best_box_iou(table, columns_of(labels))
    # By construction: per event a find, a duplicate 15 degrees off, a wrong class.
    for iou, least in ((mask_iou, 0.4), (box_iou, 0.5)):
        assert (iou[[0, 3, 8, 11, 16, 19]] > least).all()
        assert (iou[[2, 5, 10, 13, 18, 21]] == 0).all()
    assert (mask_iou[[1, 4, 9, 12]] < mask_iou[[0, 3, 8, 11]]).all()


def test_target_of_a_row_without_a_map_is_no_mask():
    table, labels = perturbed(0, "fold4_room1_mix001", frames=1)
    bare = replace(table, has_map=np.zeros(len(table), bool))
    assert (best_mask_iou(bare, render_masks(labels), "grid3") == 0).all()


def test_recall_ceiling_counts_every_proposal():
    table, labels = perturbed(0, "fold4_room1_mix001", frames=10)
    truth = columns_of(labels)
    assert (proposed_box_iou(table, truth) > 0.5).all()
    unmapped = replace(table, has_map=np.zeros(len(table), bool))
    np.testing.assert_array_equal(proposed_box_iou(unmapped, truth), proposed_box_iou(table, truth))
    nothing = table.take(np.zeros(0, int))
    assert proposed_box_iou(nothing, truth).tolist() == [0] * len(labels)


def test_room_is_the_number_in_the_name():
    assert room_of("fold4_room23_mix001") == "room23"
    assert room_of("kitchen") == "kitchen"
