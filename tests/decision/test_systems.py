import json
from dataclasses import replace

import numpy as np
import pytest
from tests.errors import raises
from tests.reference.perturbed_labels import perturbed

from saiseld.decision.detection_features import detection_features
from saiseld.decision.fusion import Fusion
from saiseld.decision.systems import (
    DENSE,
    KIST_SUBMISSION,
    OLD_NAMES,
    SYSTEMS,
    DecisionModels,
    decide,
    ranked,
    system_named,
    system_of_json,
)
from saiseld.formats.annotation import encode_annotations, read_annotations, write_annotations
from saiseld.formats.candidates import joined, read_candidates, write_candidates
from saiseld.pipeline.emit import emit_recording
from saiseld.pipeline.weights import find_weights
from saiseld.runtime.errors import CandidateError, OutputError, RecipeError

FILE = "fold4_room1_mix001.candidates.parquet"


@pytest.fixture(scope="module")
def table():
    table, _ = perturbed(0, "fold4_room1_mix001", frames=20)
    chance = np.random.default_rng(0).random(len(table)).astype(np.float32)
    return replace(table, matchability=chance)


@pytest.fixture(scope="module")
def both(table):
    """The table with the same rows in the audio branch, and the packaged fusion model."""
    audio = replace(table, branches=("audio",), branch=np.full(len(table), "audio"), provenance={})
    fusion = Fusion.load(find_weights().fusion).as_json()
    return joined([replace(table, provenance={"fusion": fusion}), audio])


def kept(masks):
    return [(m.frame, m.class_id, m.segmentation[0].tobytes()) for m in masks]


def test_portfolio_is_two_rankings_by_two_caps():
    found = {(SYSTEMS[name].ranking, SYSTEMS[name].max_per_class) for name in KIST_SUBMISSION}
    assert found == {(r, c) for r in ("raw", "matchability") for c in (1, 3)}
    assert {SYSTEMS[name].emission for name in KIST_SUBMISSION} == {"grid3"}


@pytest.mark.parametrize("raw, matchability", [("TASK3B_3", "TASK3B_1"), ("TASK3B_4", "TASK3B_2")])
def test_ranking_moves_only_the_scores(table, raw, matchability):
    by_score, by_match = (decide(table, system_named(name)) for name in (raw, matchability))
    assert kept(by_score) == kept(by_match)
    assert [m.score for m in by_score] != [m.score for m in by_match]
    assert {m.score for m in by_match} <= set(table.matchability.tolist())


def test_caps_and_budget_hold(table):
    for name in KIST_SUBMISSION:
        masks = decide(table, system_named(name))
        frames = np.array([m.frame for m in masks])
        groups = frames * 13 + [m.class_id for m in masks]
        assert np.unique(groups, return_counts=True)[1].max() <= system_named(name).max_per_class
        assert np.unique(frames, return_counts=True)[1].max() <= 6
        assert len({(m.frame, m.instance_id) for m in masks}) == len(masks)


def test_frame_without_detections_emits_nothing(table):
    gap = table.take((table.frame < 5) | (table.frame > 9))
    frames = {m.frame for name in KIST_SUBMISSION for m in decide(gap, system_named(name))}
    assert frames == set(range(20)) - set(range(5, 10))


@pytest.mark.parametrize("name", list(SYSTEMS))
def test_recording_without_detections_is_an_empty_file(both, name, tmp_path):
    write_candidates(tmp_path / FILE, both.take(np.zeros(0, int)))
    emit_recording(tmp_path / FILE, {system_named(name): tmp_path})
    assert read_annotations(tmp_path / "fold4_room1_mix001.json", predictions=True) == []


def test_threshold_leaves_out_lower_scores(table):
    masks = decide(table, system_named("TASK3B_2"), threshold=0.6)
    assert masks == [] or min(m.score for m in masks) >= 0.6
    everything = decide(table, system_named("TASK3B_2"))
    assert len(masks) == sum(m.score >= 0.6 for m in everything) > 0


def test_short_tracks_are_left_out_where_asked(table):
    system = system_named("TASK3B_4")
    persistent = decide(table, replace(system, min_hits=5))
    assert 0 < len(persistent) < len(decide(table, system))
    assert set(kept(persistent)) <= set(kept(decide(table, system)))


def test_missing_matchability_is_one_clear_error(table):
    bare = replace(table, matchability=np.full(len(table), np.nan, np.float32))
    with raises(
        CandidateError, place="matchability, row 0", expected="a probability", advice="model"
    ):
        decide(bare, system_named("TASK3B_1"))


def test_unknown_system_names_the_known_ones():
    with pytest.raises(RecipeError) as refused:
        system_named("TASK3B_5")
    assert refused.value.expected == f"one of {', '.join(SYSTEMS)}"


def test_old_names_are_taken_with_a_notice(caplog):
    for old, new in OLD_NAMES.items():
        assert system_named(old) is SYSTEMS[new]
        assert new in caplog.records[-1].getMessage()


def test_a_system_is_what_a_table_says_of_it():
    for system in SYSTEMS.values():
        assert system_of_json(json.loads(json.dumps(system.as_json()))) == system
    with pytest.raises(RecipeError) as refused:
        system_of_json({"name": "x"})
    assert refused.value.source == "system"


def test_branches_are_taken_apart(table, both):
    for name in ("TASK3B_3", "TASK3B_2", "Baseline"):
        alone, of_both = (decide(one, system_named(name)) for one in (table, both))
        assert encode_annotations(alone) == encode_annotations(of_both)
    fused = ranked(both, system_named("audiovisual"))
    assert set(fused.branch) <= {"both", "audio", "detector"} and "both" in set(fused.branch)


def test_a_missing_branch_is_refused_and_says_what_to_run(both):
    for branch, name in (("detector", "audio"), ("audio", "TASK3B_3"), ("audio", "audiovisual")):
        with pytest.raises(CandidateError) as refused:
            decide(both.of_branch(branch), system_named(name))
        error = refused.value
        assert error.place == "branch" and branch in error.found and "saiseld" in error.advice


def test_without_a_picture_the_audio_branch_decides(both):
    blind = replace(both, pictured=np.zeros(len(both), bool))
    together = ranked(blind, SYSTEMS["audiovisual"])
    alone = ranked(both, SYSTEMS["audio"])
    np.testing.assert_array_equal(together.score, alone.score)
    assert len(decide(blind.of_branch("audio"), SYSTEMS["audiovisual"])) > 0
    some = replace(both, pictured=both.frame < 10)
    late = ranked(some, SYSTEMS["audiovisual"])
    np.testing.assert_array_equal(late.score[late.frame >= 10], alone.score[alone.frame >= 10])


def test_a_fusion_model_is_needed_and_taken_from_the_table_or_given(both):
    bare, models = replace(both, provenance={}), DecisionModels(Fusion.load(find_weights().fusion))
    with pytest.raises(CandidateError) as refused:
        decide(bare, SYSTEMS["audiovisual"])
    assert refused.value.place == "fusion"
    given = decide(bare, SYSTEMS["audiovisual"], models)
    own = decide(both, SYSTEMS["audiovisual"])
    assert encode_annotations(given) == encode_annotations(own)


def test_written_masks_are_the_decided_ones(both, tmp_path):
    """A scorer that reads the file sees the very numbers that were decided."""
    write_candidates(tmp_path / FILE, both)
    systems = {system: tmp_path / name for name, system in SYSTEMS.items()}
    sizes = emit_recording(tmp_path / FILE, systems)
    for system, folder in systems.items():
        path = folder / "fold4_room1_mix001.json"
        assert path.stat().st_size == sizes[system.name]
        for read, made in zip(read_annotations(path), decide(both, system), strict=True):
            assert kept([read]) == kept([made])
            assert read.score == pytest.approx(made.score, abs=1e-9)


def test_only_the_baseline_tells_full_width_from_what_a_file_keeps(table, tmp_path):
    chance = np.random.default_rng(1)
    maps = chance.random(table.energy_map.shape, np.float32)
    wide = replace(table, energy_map=maps, distance_cm=500 * chance.random(len(table)))
    write_candidates(tmp_path / FILE, wide)
    stored = read_candidates(tmp_path / FILE)
    for name in (*KIST_SUBMISSION, "Baseline"):
        direct, filed = (
            encode_annotations(decide(own, system_named(name))) for own in (wide, stored)
        )
        assert (direct == filed) == (name != "Baseline")
    assert np.array_equal(detection_features(wide), detection_features(stored))
    mask = decide(wide, system_named("Baseline"))[0]
    row = np.flatnonzero((table.frame == mask.frame) & (table.class_id == mask.class_id))
    assert mask.distance_cm in wide.distance_cm[row]
    assert np.isin(mask.segmentation[0][:, 2], np.round(maps[row].astype(float), 6)).all()


@pytest.mark.parametrize("limit", [40_000, pytest.param(80_000, marks=pytest.mark.slow)])
def test_dense_system_fills_the_limit_and_keeps_it(table, limit):
    size = len(encode_annotations(decide(table, DENSE, max_bytes=limit)))
    assert 0.95 * limit < size <= limit


@pytest.mark.parametrize("name", ["TASK3B_2", "Baseline", "dense"])
def test_blocks_give_what_the_whole_gives(table, name, tmp_path):
    write_candidates(tmp_path / FILE, table)
    system = system_named(name)
    emit_recording(tmp_path / FILE, {system: tmp_path / "blocks"})
    write_annotations(tmp_path / "whole.json", decide(table, system))
    file = tmp_path / "blocks" / "fold4_room1_mix001.json"
    assert file.read_bytes() == (tmp_path / "whole.json").read_bytes()


def test_a_limit_is_kept_or_told(table, tmp_path):
    write_candidates(tmp_path / FILE, table)
    folders = {system_named("TASK3B_4"): tmp_path}
    with raises(OutputError, expected="at most 500 bytes", found="more", advice="--threshold"):
        emit_recording(tmp_path / FILE, folders, max_bytes=500)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
