import os
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import yaml
from tests.reference.perturbed_labels import perturbed

from saiseld.decision.systems import SUBMITTED, decide, system_named
from saiseld.evaluation.scores import score
from saiseld.evaluation.systems import match_systems
from saiseld.formats.annotation import MAX_PREDICTION_BYTES
from saiseld.formats.candidates import write_candidates
from saiseld.pipeline.submit import submission_labels, submit_recordings, write_submission
from saiseld.runtime.errors import OutputError, RecipeError


def scores_of(systems, labels):
    matched = match_systems(systems, labels)
    return {name: score(found.recordings.values()).headline() for name, found in matched.items()}


def test_package_scores_the_same_after_unpacking(tmp_path):
    tables, labels = {}, {}
    for room in range(2):
        name = f"fold4_room{room}_mix001"
        table, labels[name] = perturbed(room, name, frames=8)
        chance = np.random.default_rng(room).random(len(table)).astype(np.float32)
        tables[name] = replace(table, matchability=chance)
        write_candidates(tmp_path / "candidates" / f"{name}.candidates.parquet", tables[name])
    package = tmp_path / "out" / "submission.zip"
    names = {"author": "Kwon", "institute": "KIST"}
    assert submit_recordings(tmp_path / "candidates", package, **names) == 2 * len(SUBMITTED)
    with zipfile.ZipFile(package) as opened:
        opened.extractall(tmp_path / "unpacked")
        assert max(i.file_size for i in opened.infolist()) <= MAX_PREDICTION_BYTES
    folders = {}
    for name in SUBMITTED:
        label = f"Kwon_KIST_{name.lower()}"
        folders[name] = tmp_path / "unpacked" / "task3" / label / f"{label}.output"
        meta = (folders[name].parent / f"{label}.meta.yaml").read_text()
        told = yaml.safe_load(meta)
        assert told["submission"]["label"] == label
        counted = told["system"]["complexity"]
        assert counted["total_parameters"] == sum(counted["packaged_weights"].values()) > 1e6
    decided = {
        system: {name: decide(table, system_named(system)) for name, table in tables.items()}
        for system in SUBMITTED
    }
    assert scores_of(folders, labels) == scores_of(decided, labels)
    assert sorted(p.name for p in package.parent.iterdir()) == ["submission.zip"]


def prediction_folders(tmp_path, text='{"annotations": []}'):
    folders = {name: tmp_path / name for name in SUBMITTED}
    for folder in folders.values():
        folder.mkdir()
        (folder / "fold4_room1_mix001.json").write_text(text)
    return folders


def test_system_that_lacks_a_recording_is_refused(tmp_path):
    folders = prediction_folders(tmp_path)
    (folders["TASK3B_3"] / "fold4_room1_mix001.json").unlink()
    with pytest.raises(OutputError, match=r"TASK3B_3: expected the 1 recordings.*found 0"):
        write_submission(tmp_path / "s.zip", folders, author="A", institute="B")
    assert not (tmp_path / "s.zip").exists()


@pytest.mark.parametrize(
    "text, message",
    [
        ('{"annotations": [{"metadata_frame_index": 0', "JSON of the form"),
        (" " * (MAX_PREDICTION_BYTES + 1), f"at most {MAX_PREDICTION_BYTES} bytes"),
    ],
)
def test_file_the_scorer_would_refuse_is_never_packed(text, message, tmp_path):
    folders = prediction_folders(tmp_path, text)
    with pytest.raises(OutputError, match=message):
        write_submission(tmp_path / "s.zip", folders, author="A", institute="B")
    assert not (tmp_path / "s.zip").exists()


def test_label_parts_are_one_word_each():
    assert submission_labels("Kwon", "KIST")["TASK3B_1"] == "Kwon_KIST_task3b_1"
    with pytest.raises(RecipeError, match="author: expected one word"):
        submission_labels("Kwon/..", "KIST")


def test_no_recordings_are_no_submission(tmp_path):
    folders = {name: tmp_path / name for name in SUBMITTED}
    for folder in folders.values():
        folder.mkdir()
    with pytest.raises(OutputError, match="expected recordings to submit, found none"):
        write_submission(tmp_path / "s.zip", folders, author="A", institute="B")


def test_the_same_predictions_give_the_same_zip(tmp_path):
    folders = prediction_folders(tmp_path)
    write_submission(tmp_path / "a.zip", folders, author="A", institute="B")
    for file in tmp_path.glob("*/*.json"):
        os.utime(file, (1e9, 1e9))
    write_submission(tmp_path / "b.zip", folders, author="A", institute="B")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
