import os
import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import yaml
from tests.errors import raises
from tests.reference.perturbed_labels import perturbed

from saiseld.decision.fusion import Fusion
from saiseld.decision.systems import KIST_SUBMISSION, decide, system_named
from saiseld.evaluation.scores import score
from saiseld.evaluation.systems import match_systems
from saiseld.formats.annotation import MAX_PREDICTION_BYTES
from saiseld.formats.candidates import joined, write_candidates
from saiseld.pipeline.submit import (
    Author,
    submit_recordings,
    submitted_systems,
    write_submission,
)
from saiseld.pipeline.weights import MATCHABILITY, find_weights, model_record
from saiseld.runtime.cache import content_digest
from saiseld.runtime.errors import CandidateError, OutputError, RecipeError


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
    author, systems = Author("Kwon", "KIST"), submitted_systems(KIST_SUBMISSION)
    count = submit_recordings(tmp_path / "candidates", package, author, systems=systems)
    assert count == 2 * len(KIST_SUBMISSION)
    with zipfile.ZipFile(package) as opened:
        opened.extractall(tmp_path / "unpacked")
        assert max(i.file_size for i in opened.infolist()) <= MAX_PREDICTION_BYTES
    folders = {}
    for name in KIST_SUBMISSION:
        label = f"Kwon_KIST_{name.lower()}"
        folders[name] = tmp_path / "unpacked" / "task3" / label / f"{label}.output"
        meta = (folders[name].parent / f"{label}.meta.yaml").read_text()
        assert yaml.safe_load(meta)["submission"]["label"] == label
    decided = {
        system: {name: decide(table, system_named(system)) for name, table in tables.items()}
        for system in KIST_SUBMISSION
    }
    assert scores_of(folders, labels) == scores_of(decided, labels)
    assert sorted(p.name for p in package.parent.iterdir()) == ["submission.zip"]


def test_meta_information_names_the_models_that_were_used(tmp_path):
    name = "fold4_room0_mix001"
    table = replace(
        perturbed(0, name, frames=4)[0],
        matchability=np.ones(32, np.float32),
        provenance={
            "fusion": Fusion.load(find_weights().fusion).as_json(),
            "models": model_record(find_weights()),
        },
    )
    audio = replace(table, branches=("audio",), branch=np.full(len(table), "audio"))
    write_candidates(tmp_path / f"{name}.candidates.parquet", joined([table, audio]))
    trained = tmp_path / "mine.skops"
    shutil.copy(find_weights().matchability, trained)
    systems = submitted_systems(("audiovisual", "audio", "TASK3B_1", "TASK3B_3"))
    author, package = Author("Kwon", "KIST"), tmp_path / "s.zip"
    submit_recordings(tmp_path, package, author, systems=systems, model=trained)
    with zipfile.ZipFile(package) as opened:
        metas = [
            yaml.safe_load(opened.read(f"task3/{label}/{label}.meta.yaml"))["system"]
            for label in author.labels()
        ]
    files = [set(meta["description"]["models"]) for meta in metas]
    detector = {"uplam.safetensors", "detector.safetensors"}
    audio = {"seld.safetensors", "recogniser.safetensors"}
    fused = {"fusion.json"}
    assert files == [detector | audio | fused, audio | fused, detector | {MATCHABILITY}, detector]
    assert metas[2]["description"]["models"][MATCHABILITY] == content_digest(trained)
    both, of_audio, _, of_detector = [meta["complexity"]["total_parameters"] for meta in metas]
    assert both == of_audio + of_detector and min(of_audio, of_detector) > 1e6


def test_a_submission_is_of_one_set_of_models(tmp_path):
    for room in range(2):
        name = f"fold4_room{room}_mix001"
        table = perturbed(room, name, frames=2)[0]
        made_by = {"models": {"detector.safetensors": {"digest": str(room)}}}
        table = replace(table, provenance=made_by)
        write_candidates(tmp_path / f"{name}.candidates.parquet", table)
    with pytest.raises(CandidateError) as refused:
        submit_recordings(tmp_path, tmp_path / "s.zip", Author("A", "B"))
    assert refused.value.place == "models"


def prediction_folders(tmp_path, text='{"annotations": []}'):
    folders = {system_named(name): tmp_path / name for name in KIST_SUBMISSION}
    for folder in folders.values():
        folder.mkdir()
        (folder / "fold4_room1_mix001.json").write_text(text)
    return folders


def test_system_that_lacks_a_recording_is_refused(tmp_path):
    folders = prediction_folders(tmp_path)
    (folders[system_named("TASK3B_3")] / "fold4_room1_mix001.json").unlink()
    with raises(OutputError, place="TASK3B_3", expected="the 1 recordings", found="0"):
        write_submission(tmp_path / "s.zip", folders, Author("A", "B"))
    assert not (tmp_path / "s.zip").exists()


@pytest.mark.parametrize(
    "text, expected",
    [
        ('{"annotations": [{"metadata_frame_index": 0', "JSON of the form"),
        (" " * (MAX_PREDICTION_BYTES + 1), f"at most {MAX_PREDICTION_BYTES} bytes"),
    ],
)
def test_file_the_scorer_would_refuse_is_never_packed(text, expected, tmp_path):
    folders = prediction_folders(tmp_path, text)
    with raises(OutputError, expected=expected):
        write_submission(tmp_path / "s.zip", folders, Author("A", "B"))
    assert not (tmp_path / "s.zip").exists()


def test_label_parts_are_one_word_each():
    assert Author("Kwon", "KIST").labels()[0] == "Kwon_KIST_task3b_1"
    with pytest.raises(RecipeError) as refused:
        Author("Kwon/..", "KIST")
    assert refused.value.source == "author"


def test_no_recordings_are_no_submission(tmp_path):
    folders = {system_named(name): tmp_path / name for name in KIST_SUBMISSION}
    for folder in folders.values():
        folder.mkdir()
    with raises(OutputError, expected="recordings to submit", found="none"):
        write_submission(tmp_path / "s.zip", folders, Author("A", "B"))


def test_the_same_predictions_give_the_same_zip(tmp_path):
    folders = prediction_folders(tmp_path)
    write_submission(tmp_path / "a.zip", folders, Author("A", "B"))
    for file in tmp_path.glob("*/*.json"):
        os.utime(file, (1e9, 1e9))
    write_submission(tmp_path / "b.zip", folders, Author("A", "B"))
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
