from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from tests.reference.perturbed_labels import perturbed, pure_noise, write_tree

from saiseld.decision.matchability import cross_fit
from saiseld.decision.systems import system_named
from saiseld.evaluation.corpus import labels_of
from saiseld.evaluation.scores import score
from saiseld.evaluation.uncertainty import FEWEST_RECORDINGS
from saiseld.formats.candidates import candidate_files, read_candidates, write_candidates
from saiseld.pipeline.calibrate import match_recordings
from saiseld.table1.output import print_table1
from saiseld.table1.table import MEASURED_SYSTEMS, PaperScores, cumulative_rank, table1
from saiseld.training.matchability.assessment import assess
from saiseld.training.matchability.development import (
    EMITTED,
    KIST2026,
    Reading,
    all_examples,
    measure_all,
    per_recording,
)

MASKS = Reading("all", "soft_iou")


def measured(folder):
    tables = candidate_files(folder / "candidates")
    labels = labels_of(tables, folder / "labels_dev")
    readings = (MASKS, EMITTED)
    return measure_all(tables, labels, MEASURED_SYSTEMS, folder / "cache", readings=readings)


@pytest.fixture(scope="module")
def recordings(judged_tree):
    return measured(judged_tree)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("five")
    tree = write_tree(folder, perturbed, rooms=FEWEST_RECORDINGS, frames=24)
    table = table1(measured(tree), data="made up", temporal=True, draws=20)
    return {row.name: row for row in (*table.rows, *table.beside, *table.suppression)}


@pytest.mark.slow
def test_matchability_raises_mAP_in_unseen_rooms_and_leaves_EFRQ(rows):
    for raw, ranked in (("TASK3B_3", "TASK3B_1"), ("TASK3B_4", "TASK3B_2")):
        assert rows[ranked].mAP.low > rows[raw].mAP.high
        assert rows[ranked].EFRQ.value == pytest.approx(rows[raw].EFRQ.value, abs=1e-12)
        assert rows[ranked].masks_per_frame == rows[raw].masks_per_frame


def test_fitting_on_the_same_split_is_not_worse_and_says_so(rows):
    optimistic = rows["TASK3B_1, same split (optimistic): all detections, mask IoU"]
    assert optimistic.mAP.value >= rows["TASK3B_1"].mAP.value
    assert optimistic.fitted == "same split (optimistic)"


def test_grids_beat_sparse_emission(rows):
    assert rows["TASK3B_3"].mAP.value > 10 * rows["Sparse peaks"].mAP.value
    assert rows["TASK3B_3"].EFRQ.value > rows["Sparse peaks"].EFRQ.value


def test_rows_carry_the_papers_figures(rows):
    assert rows["Baseline"].paper == PaperScores(mAP=0.0003, EFRQ=0.136)
    assert rows["TASK3B_1"].paper == PaperScores(mAP=0.0209, EFRQ=0.329)
    assert rows["cap 1"].paper is None


@pytest.mark.slow
def test_matchability_does_not_pretend_on_pure_noise(tmp_path):
    recordings = measured(write_tree(tmp_path, pure_noise, frames=90))
    table = table1(recordings, data="noise", draws=20)
    rows = {row.name: row for row in (*table.rows, *table.beside)}
    raw, honest = rows["TASK3B_3"].mAP, rows["TASK3B_1"].mAP
    assert abs(honest.value - raw.value) < 0.06
    assert (
        rows["TASK3B_1, same split (optimistic): all detections, mask IoU"].mAP.value
        > honest.value + 0.05
    )


def test_measured_systems_score_as_they_are_scored_alone(judged_tree, recordings, tmp_path):
    parts = per_recording(recordings, cross_fit(all_examples(recordings, MASKS)), MASKS)
    ranked = score([r.ranked("TASK3B_3", p, MASKS) for r, p in zip(recordings, parts, strict=True)])
    calibrated = {}
    for recording, part in zip(recordings, parts, strict=True):
        file = f"{recording.recording}.candidates.parquet"
        table = read_candidates(judged_tree / "candidates" / file)
        calibrated[recording.recording] = tmp_path / file
        write_candidates(calibrated[recording.recording], replace(table, matchability=part))
    labels = labels_of(calibrated, judged_tree / "labels_dev")
    alone = match_recordings(calibrated, labels, system_named("TASK3B_1"), judged_tree / "cache")
    assert score(alone).headline() == pytest.approx(ranked.headline(), abs=1e-6)


def test_assessment_improves_reliability_and_every_threshold(recordings):
    probability = cross_fit(all_examples(recordings, MASKS))
    found = assess(recordings, probability, "TASK3B_3", reading=MASKS)
    assert found.after.brier_score < found.before.brier_score
    assert found.after.expected_calibration_error < found.before.expected_calibration_error
    assert found.macro_ap["0.25"][1] > found.macro_ap["0.25"][0]
    assert sorted(found.importance.values(), reverse=True) == list(found.importance.values())


def test_both_readings_stand_in_the_table(judged_tree):
    tables = candidate_files(judged_tree / "candidates")
    labels = labels_of(tables, judged_tree / "labels_dev")
    recordings = measure_all(
        tables, labels, MEASURED_SYSTEMS, judged_tree / "cache", readings=(KIST2026, EMITTED)
    )
    table = table1(recordings, data="made up", draws=20)
    assert [row.reading for row in table.rows[-2:]] == ["all detections, box IoU"] * 2
    assert {row.reading for row in table.beside} == {str(KIST2026), str(EMITTED)}
    assert len(all_examples(recordings, KIST2026).matched) == sum(
        len(read_candidates(path)) for path in tables.values()
    )


def test_raw_rows_stand_alone_where_nothing_can_be_learned(tmp_path, capsys):
    recordings = measured(write_tree(tmp_path, perturbed, rooms=1, frames=20))
    table = table1(recordings, data="one room", temporal=True, draws=20)
    assert [row.name for row in table.rows] == ["Baseline", "Sparse peaks", "TASK3B_3", "TASK3B_4"]
    assert len(table.rank) == 4 and not table.beside
    assert set(table.unfitted) == {str(MASKS), str(EMITTED)}
    assert "two rooms or more" in table.unfitted[str(MASKS)]
    print_table1(table, Console(width=150))
    told = capsys.readouterr().out
    assert "Table 1, by raw score" in told
    assert "No intervals from fewer than 5 recordings" in told
    assert f"No rows that rank by matchability learned from {EMITTED}: " in told


def test_cumulative_rank_sums_places_and_shares_ties():
    scores = [[0.1, 0.2, 0.3], [0.3, 0.2, 0.1], [0.2, 0.1, np.nan]]
    assert cumulative_rank(scores) == (3 + 1 + 1, 1 + 1 + 2, 2 + 3 + 3)
