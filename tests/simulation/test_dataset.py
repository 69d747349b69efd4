import hashlib
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile
from tests.errors import raises

from saiseld.checks.dataset import check_dataset
from saiseld.conventions.arrays import eigenmike_xyz
from saiseld.conventions.rigid_sphere import RigidSphereArray
from saiseld.conventions.sphere import angles_of_pixel, great_circle
from saiseld.data.recordings import open_recording
from saiseld.data.stairs26 import open_dataset
from saiseld.data.video import open_video
from saiseld.formats.events import read_events
from saiseld.labels.annotate import annotate
from saiseld.labels.sparse_imaging import sparse_image
from saiseld.runtime.errors import OutputError
from saiseld.simulation.dataset import simulate_dataset
from saiseld.simulation.recipes import read_recipe
from saiseld.simulation.rooms.render import render_audio
from saiseld.simulation.rooms.room import Room
from saiseld.simulation.scene import Scene, Sound, Source
from saiseld.simulation.sounds.bank import levelled

MICRO = """
extends = "tiny"
seconds = 1
gap_s = [0.1, 0.5, 0.5]
train = { recordings = 2, rooms = 1 }
test = { recordings = 1, rooms = 1 }
"""


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "micro.toml"
    path.write_text(MICRO)
    return path


@pytest.fixture(scope="module")
def tree(recipe_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated") / "tree"
    assert simulate_dataset(folder, read_recipe(str(recipe_file)), 7, title="") == (3, 0)
    return folder


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_tree_is_laid_out_as_stairs26(tree):
    found = open_dataset(tree)
    assert [(r.name, r.folder, r.room) for r in found.recordings] == [
        ("fold4_room2_mix001", "dev-test-sim", 2),
        ("fold3_room1_mix001", "dev-train-sim", 1),
        ("fold3_room1_mix002", "dev-train-sim", 1),
    ]
    for recording in found.recordings:
        audio = open_recording(recording.audio)
        assert (audio.channels, audio.sample_rate, audio.samples) == (32, 24_000, 24_000)
        frames = list(open_video(recording.video))
        assert len(frames) == 10
        assert frames[0].shape == (180, 360, 3)
        assert read_events(recording.events)


def test_labels_are_those_of_the_audio_and_events_on_disk(tree):
    from saiseld.formats.annotation import read_annotations

    recording = open_dataset(tree).recordings[0]
    audio, _ = soundfile.read(recording.audio)
    expected = annotate(sparse_image(audio), read_events(recording.events))
    written = read_annotations(recording.labels)
    assert len(written) == len(expected) > 0
    for ours, theirs in zip(expected, written, strict=True):
        assert (ours.frame, ours.class_id, ours.instance_id, ours.distance_cm) == (
            theirs.frame,
            theirs.class_id,
            theirs.instance_id,
            theirs.distance_cm,
        )
        assert len(ours.segmentation) == len(theirs.segmentation)


@pytest.mark.slow
def test_killed_and_resumed_is_identical_to_made_in_one_go(tree, recipe_file, tmp_path):
    other = tmp_path / "tree"
    program = f"""
import os, signal, sys
from saiseld.simulation.recipes import read_recipe
from saiseld.simulation.dataset import simulate_dataset

def kill_at_the_second(event, arguments, labels=[]):
    if event == "os.rename" and str(arguments[1]).endswith("_std.json"):
        labels.append(arguments[1])
        if len(labels) == 2:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(kill_at_the_second)
simulate_dataset({str(other)!r}, read_recipe({str(recipe_file)!r}), 7, title="")
"""
    killed = subprocess.run([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
    assert killed.returncode == -signal.SIGKILL
    finished = list(other.rglob("*_std.json"))
    assert len(finished) == 1
    (other / "eigen_dev" / ".0a1b2c3d.part.fold4_room2_mix001.wav").write_bytes(b"half")
    before = finished[0].stat().st_mtime_ns
    made, found = simulate_dataset(other, read_recipe(str(recipe_file)), 7, title="")
    assert (made + found, found) == (3, len(finished))
    assert finished[0].stat().st_mtime_ns == before
    assert digests(other) == digests(tree)


def test_manifest_tells_what_made_the_tree(tree):
    manifest = msgspec.json.decode((tree / "manifest.json").read_bytes())
    assert manifest["seed"] == 7
    assert manifest["recipe"]["seconds"] == 1
    assert manifest["sounds"] == manifest["panoramas"] == "procedural"
    assert {"saiseld", "numpy", "av"} <= manifest["versions"].keys()


def test_other_trees_are_left_alone(tree, recipe_file, tmp_path):
    recipe = read_recipe(str(recipe_file))
    before = digests(tree)
    with raises(OutputError, expected="versions of this run", found="seed 7 for 8"):
        simulate_dataset(tree, recipe, 8, title="")
    with raises(OutputError, found="recipe.seconds 1"):
        simulate_dataset(tree, read_recipe("tiny"), 7, title="")
    assert digests(tree) == before
    (tmp_path / "thesis.txt").write_text("mine")
    with raises(OutputError, expected="an empty folder or a simulation to go on"):
        simulate_dataset(tmp_path, recipe, 7, title="")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_label_peaks_sit_at_single_static_sources():
    array = RigidSphereArray(eigenmike_xyz())
    rng = np.random.default_rng(2)
    errors = []
    for azimuth, range_m, up_m in ((40, 1.0, 0.2), (178, 2.0, -0.4), (-100, 2.5, 0.5)):
        source = Source(0, 1, 1, azimuth, range_m, up_m)
        sound = Sound(source, 0, levelled(rng.standard_normal(24_000)))
        scene = Scene(
            "one",
            Room((7.0, 6.0, 3.0), 0.4),
            0,
            (3.6, 2.9, 1.4),
            (source,),
            (sound,),
            24_000,
            25.0,
            0.5,
            0,
        )
        events = scene.frame_events()
        for mask, event in zip(
            annotate(sparse_image(render_audio(scene, array)), events), events, strict=True
        ):
            points = np.concatenate(mask.segmentation)
            peak = angles_of_pixel(*(points[points[:, 2].argmax(), :2] + 0.5))
            errors.append(great_circle(*peak, event.azimuth, event.elevation))
    assert len(errors) == 30
    assert np.max(errors) < 5


def test_simulated_tree_passes_the_doctor(tree):
    assert check_dataset(tree) == []
