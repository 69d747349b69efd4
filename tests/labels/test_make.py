"""Labels of recordings, from files to files."""

import json

import numpy as np
import pytest
import soundfile
from tests import GOLDEN
from tests.errors import raises

from saiseld.formats.annotation import read_annotations
from saiseld.formats.events import read_events
from saiseld.labels import annotate, sparse_image
from saiseld.labels.make import LabelTask, label_recordings, label_tasks, make_labels
from saiseld.runtime.errors import AudioError, DataError


@pytest.fixture(scope="module")
def audio():
    with np.load(GOLDEN / "labels_input.npz") as file:
        return file["audio32"]


@pytest.fixture
def tree(tmp_path, audio):
    for split, name in (("dev-train-tau", "fold3_room4_mix001"), ("dev-test-tau", "fold4_room2_a")):
        (tmp_path / "audio" / split).mkdir(parents=True)
        (tmp_path / "csv" / split).mkdir(parents=True)
        path = tmp_path / "audio" / split / f"{name}.wav"
        soundfile.write(path, audio[:4800], 24_000, subtype="FLOAT")
        (tmp_path / "csv" / split / f"{name}.csv").write_text(
            "0,0,0,40,10,150\n1,8,1,-100,-20,220\n"
        )
    return tmp_path


def run(tree, jobs=1):
    return label_recordings(tree / "audio", tree / "csv", tree / "out", jobs=jobs)


def test_labels_a_tree_and_goes_on_where_it_stopped(tree, audio):
    assert run(tree) == {"fold3_room4_mix001": True, "fold4_room2_a": True}
    path = tree / "out" / "dev-train-tau" / "fold3_room4_mix001_std.json"
    expected = annotate(
        sparse_image(audio[:4800]), read_events(next((tree / "csv").rglob("fold3*.csv")))
    )
    for mask, wanted in zip(read_annotations(path), expected, strict=True):
        assert (mask.frame, mask.class_id) == (wanted.frame, wanted.class_id)
        assert np.allclose(mask.segmentation[0], wanted.segmentation[0], atol=1e-6)
    raw = read_annotations(path.with_name("fold3_room4_mix001_raw.json"))
    assert raw[0].segmentation[0][:, 2].max() < 0.01
    other = tree / "out" / "dev-test-tau" / "fold4_room2_a_std.json"
    before = path.read_bytes()
    path.write_bytes(b"left alone")
    other.unlink()
    assert run(tree) == {"fold3_room4_mix001": False, "fold4_room2_a": True}
    assert path.read_bytes() == b"left alone"
    path.unlink()
    run(tree)
    assert path.read_bytes() == before


@pytest.mark.slow
def test_two_processes_write_the_same(tree):
    run(tree)
    one = {path.name: path.read_bytes() for path in (tree / "out").rglob("*_*.json")}
    (tree / "out").rename(tree / "before")
    run(tree, jobs=2)
    assert {path.name: path.read_bytes() for path in (tree / "out").rglob("*_*.json")} == one


def test_four_channels_are_not_enough(tree, audio):
    path = tree / "four.wav"
    soundfile.write(path, audio[:, :4], 24_000)
    with raises(
        AudioError, "four.wav", place="channels", expected="32", found="4", advice="Labels"
    ):
        make_labels(LabelTask(path, tree / "absent.csv", tree / "out"))
    assert not (tree / "out").exists()


def test_event_beyond_the_audio(tree):
    task = label_tasks(tree / "audio", tree / "csv", tree / "out")["fold4_room2_a"]
    task.events.write_text("0,0,0,40,10\n2,0,0,40,10\n")
    with raises(DataError, "a.csv", place="event 2", expected="a frame below 2", found="frame 2"):
        make_labels(task)
    assert not (tree / "out").exists()


def test_partners_must_be_there(tree):
    (tree / "csv" / "dev-test-tau" / "fold4_room2_a.csv").rename(tree / "csv" / "other.csv")
    with raises(DataError, "a.wav", expected="fold4_room2_a.csv in", found="none"):
        label_tasks(tree / "audio", tree / "csv", tree / "out")
    (tree / "audio" / "dev-test-tau" / "fold4_room2_a.wav").unlink()
    with raises(DataError, "other.csv", expected="a recording other in"):
        label_tasks(tree / "audio", tree / "csv", tree / "out")
    with raises(DataError, expected="recordings", found="no such folder"):
        label_tasks(tree / "nowhere", tree / "csv", tree / "out")


def test_a_name_must_be_alone(tree):
    twin = tree / "audio" / "fold4_room2_a.flac"
    twin.write_bytes(b"")
    with raises(DataError, expected="one file of this name"):
        label_tasks(tree / "audio", tree / "csv", tree / "out")


def test_one_recording_may_be_given_with_a_folder_of_events(tree):
    audio = next((tree / "audio").rglob("fold3*.wav"))
    csv = next((tree / "csv").rglob("fold3*.csv"))
    by_folder = label_tasks(audio, csv.parent, tree / "out")
    assert by_folder == label_tasks(audio, csv, tree / "out")
    make_labels(by_folder[audio.stem])
    labels = json.loads((tree / "out" / f"{audio.stem}_std.json").read_bytes())
    assert len(labels["annotations"]) == 2


def test_events_without_energy_are_said(tmp_path, caplog):
    soundfile.write(tmp_path / "a.wav", np.zeros((7200, 32)), 24_000)
    (tmp_path / "a.csv").write_text("0,0,0,40,10\n1,0,0,40,10\n")
    make_labels(LabelTask(tmp_path / "a.wav", tmp_path / "a.csv", tmp_path / "out"))
    assert "2 of 2 events get no energy, first in frame 0" in caplog.text
