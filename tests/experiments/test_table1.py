import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from tests.reference.perturbed_labels import perturbed, pure_noise
from typer.testing import CliRunner

from saiseld.cli.main import build
from saiseld.decision.matchability import Matchability, cross_fit
from saiseld.decision.systems import system_named
from saiseld.evaluation.corpus import labels_of
from saiseld.evaluation.scores import score
from saiseld.experiments.table1 import MEASURED_SYSTEMS, PaperScores, cumulative_rank, table1
from saiseld.formats.annotation import write_annotations
from saiseld.formats.candidates import candidate_files, read_candidates, write_candidates
from saiseld.pipeline.calibrate import match_recordings
from saiseld.runtime.errors import DataError
from saiseld.training.matchability.assessment import assess
from saiseld.training.matchability.development import (
    all_examples,
    measure_all,
    per_recording,
)


def write_tree(folder, make, rooms=3, **options):
    for room in range(rooms):
        name = f"fold4_room{room}_mix001"
        table, labels = make(room, name, **options)
        write_candidates(folder / "candidates" / f"{name}.candidates.parquet", table)
        write_annotations(folder / "labels_dev" / "dev-test-sim" / f"{name}_std.json", labels)
    return folder


def measured(folder):
    tables = candidate_files(folder / "candidates")
    labels = labels_of(tables, folder / "labels_dev")
    return measure_all(tables, labels, MEASURED_SYSTEMS, folder / "cache")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return write_tree(tmp_path_factory.mktemp("tree"), perturbed, frames=40)


@pytest.fixture(scope="module")
def recordings(tree):
    return measured(tree)


@pytest.fixture(scope="module")
def rows(recordings):
    table = table1(recordings, data="made up", temporal=True, draws=20)
    return {row.name: row for row in (*table.rows, *table.beside, *table.suppression)}


def test_matchability_raises_mAP_in_unseen_rooms_and_leaves_EFRQ(rows):
    for raw, ranked in (("TASK3B_3", "TASK3B_1"), ("TASK3B_4", "TASK3B_2")):
        assert rows[ranked].mAP.low > rows[raw].mAP.high
        assert rows[ranked].EFRQ.value == pytest.approx(rows[raw].EFRQ.value, abs=1e-12)
        assert rows[ranked].masks_per_frame == rows[raw].masks_per_frame


def test_fitting_on_the_same_split_is_not_worse_and_says_so(rows):
    optimistic = rows["TASK3B_1, same split (optimistic)"]
    assert optimistic.mAP.value >= rows["TASK3B_1"].mAP.value
    assert optimistic.fitted == "same split (optimistic)"


def test_grids_beat_sparse_emission(rows):
    assert rows["TASK3B_3"].mAP.value > 10 * rows["Sparse peaks"].mAP.value
    assert rows["TASK3B_3"].EFRQ.value > rows["Sparse peaks"].EFRQ.value


def test_rows_carry_the_papers_figures(rows):
    assert rows["Baseline"].paper == PaperScores(mAP=0.0003, EFRQ=0.136)
    assert rows["TASK3B_1"].paper == PaperScores(mAP=0.0209, EFRQ=0.329)
    assert rows["cap 1"].paper is None


def test_matchability_does_not_pretend_on_pure_noise(tmp_path):
    recordings = measured(write_tree(tmp_path, pure_noise, frames=90))
    table = table1(recordings, data="noise", draws=20)
    rows = {row.name: row for row in (*table.rows, *table.beside)}
    raw, honest = rows["TASK3B_3"].mAP, rows["TASK3B_1"].mAP
    assert abs(honest.value - raw.value) < 0.06
    assert rows["TASK3B_1, same split (optimistic)"].mAP.value > honest.value + 0.05


def test_measured_systems_score_as_they_are_scored_alone(tree, recordings):
    known = all_examples(recordings)
    parts = per_recording(recordings, cross_fit(known))
    ranked = score([r.ranked("TASK3B_3", p) for r, p in zip(recordings, parts, strict=True)])
    calibrated = {}
    for recording, part in zip(recordings, parts, strict=True):
        file = f"{recording.recording}.candidates.parquet"
        table = read_candidates(tree / "candidates" / file)
        calibrated[recording.recording] = tree / "calibrated" / file
        write_candidates(calibrated[recording.recording], replace(table, matchability=part))
    labels = labels_of(calibrated, tree / "labels_dev")
    alone = match_recordings(calibrated, labels, system_named("TASK3B_1"), tree / "cache")
    assert score(alone).headline() == pytest.approx(ranked.headline(), abs=1e-6)


def test_assessment_improves_reliability_and_every_threshold(recordings):
    found = assess(recordings, cross_fit(all_examples(recordings)), "TASK3B_3")
    assert found.after.brier_score < found.before.brier_score
    assert found.after.expected_calibration_error < found.before.expected_calibration_error
    assert found.macro_ap["0.25"][1] > found.macro_ap["0.25"][0]
    assert sorted(found.importance.values(), reverse=True) == list(found.importance.values())


def test_cumulative_rank_sums_places_and_shares_ties():
    scores = [[0.1, 0.2, 0.3], [0.3, 0.2, 0.1], [0.2, 0.1, np.nan]]
    assert cumulative_rank(scores) == (3 + 1 + 1, 1 + 1 + 2, 2 + 3 + 3)


def run(*arguments):
    return CliRunner().invoke(build(), [str(a) for a in arguments])


def test_command_writes_text_json_and_figures(tree):
    out = tree / "out"
    result = run(
        "table1", "--data", tree, "--candidates", tree / "candidates", "-o", out,
        "--cache", tree / "cache", "--emissions",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    found = json.loads((out / "table1.json").read_text())
    assert [row["name"] for row in found["rows"]][:2] == ["Baseline", "Sparse peaks"]
    assert [row["name"] for row in found["emissions"]][-1] == "cap 1, blob"
    text = (out / "table1.txt").read_text()
    assert "cross-fitted by room" in text and "same split (optimistic)" in text
    assert f"{found['rows'][4]['mAP']['value']:.4f}" in text
    for figure in ("table1", "figure2", "figure3"):
        with Image.open(out / f"{figure}.png") as picture:
            assert min(picture.size) > 200


def test_train_calibrate_emit_end_to_end(tree, tmp_path, caplog):
    model = tmp_path / "m.skops"
    candidates, labels, cache = tree / "candidates", tree / "labels_dev", tree / "cache"
    result = run(
        "train", "matchability", candidates, labels, "-o", model, "--temporal", "--cache", cache
    )
    assert result.exit_code == 0, result.output
    report = json.loads(model.with_suffix(".json").read_text())
    assert report["training"]["recordings"] == sorted(candidate_files(candidates))
    assert Matchability.load(model).smoother is not None
    assert run("calibrate", candidates, "--model", model, "-o", tmp_path / "c").exit_code == 0
    calibrated = read_candidates(next(iter(candidate_files(tmp_path / "c").values())))
    assert np.isfinite(calibrated.matchability).all()
    for source, extra in ((tmp_path / "c", ()), (candidates, ("--model", model))):
        out = tmp_path / f"out{len(extra)}"
        assert run("emit", source, "--system", "TASK3B_2", "-o", out, *extra).exit_code == 0
    first, second = (
        [p.read_bytes() for p in sorted((tmp_path / f"out{k}").iterdir())] for k in (0, 2)
    )
    assert first == second and len(first) == 3
    assert not caplog.records
    learned = Matchability.load(model)
    training = replace(learned.training, examples_per_class=[0] * 13)
    replace(learned, training=training).save(model)
    assert run("calibrate", candidates, "--model", model, "-o", tmp_path / "c").exit_code == 0
    assert "the model was trained without: " in caplog.text


def test_risk_needs_recordings_the_model_has_not_seen(tree, tmp_path):
    model = tmp_path / "m.skops"
    args = (tree / "candidates", tree / "labels_dev", "-o", model, "--cache", tree / "cache")
    assert run("train", "matchability", *args).exit_code == 0
    risk = ("--risk", "fdr=0.5", "--cache", tree / "cache")
    result = run("calibrate", tree / "candidates", "--model", model, *risk)
    assert result.exit_code == 2
    assert "expected --labels to calibrate on" in result.output
    result = run(
        "calibrate", tree / "candidates", "--model", model, "--labels", tree / "labels_dev", *risk
    )
    assert "found 3 that it was, such as fold4_room0_mix001" in result.output


def test_missing_labels_name_the_recording(tree, tmp_path):
    tables = candidate_files(tree / "candidates")
    write_annotations(tmp_path / "fold4_room0_mix001.json", [])
    with pytest.raises(DataError, match=r"2 predictions without labels: fold4_room1"):
        labels_of(tables, tmp_path)


def test_table_of_another_schema_is_refused(tree, tmp_path, monkeypatch):
    monkeypatch.setattr("saiseld.formats.candidates.SCHEMA_VERSION", 99)
    table, _ = perturbed(0, "fold4_room0_mix001", frames=1)
    write_candidates(tmp_path / "a.candidates.parquet", table)
    monkeypatch.undo()
    result = run("emit", tmp_path, "--system", "TASK3B_3", "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert "schema_version: expected 1, found 99" in result.output
    assert not any((tmp_path / "out").glob("*.json"))


def test_energy_that_is_no_number_is_refused(tmp_path):
    table, _ = perturbed(0, "fold4_room0_mix001", frames=2)
    table.energy_map[5, 3, 3] = np.nan
    write_candidates(tmp_path / "a.candidates.parquet", table)
    result = run("emit", tmp_path, "--system", "TASK3B_3", "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert "energy_map, row 5: expected finite energies" in result.output
