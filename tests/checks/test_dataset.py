"""`check_dataset`: a good tree has no complaint; each fault is told, with its file and advice."""

import shutil
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import soundfile
from PIL import Image

from saiseld.arrays.description import tetrahedron
from saiseld.arrays.responses import array_response
from saiseld.checks.dataset import check_dataset
from saiseld.conventions.sphere import pixel_of_angles, unit_vector
from saiseld.formats.annotation import EnergyMask, read_annotations, write_annotations
from saiseld.formats.events import Event, read_events, write_events

FRAMES = 60
NAMES = ("dev-train-sim/fold3_room1_mix001", "dev-test-sim/fold4_room2_mix001")


def spoken(rng):
    """Two events after each other, both well off the front-back and left-right planes."""
    side = rng.choice([-1, 1])
    events = []
    for source, (first, last, azimuth) in enumerate(((6, 26, 50 * side), (34, 55, -125 * side))):
        events += [Event(f, source, source, azimuth, 20, 150) for f in range(first, last)]
    return events


@cache
def response_from(azimuth, elevation):
    direction = np.atleast_2d(unit_vector(azimuth, elevation))
    return array_response(tetrahedron(), np.fft.rfftfreq(2400, 1 / 24_000), direction)[:, 0]


def recorded(events, rng):
    """Noise from each event's direction on four capsules of the sphere, over quiet noise."""
    audio = 0.01 * rng.standard_normal((FRAMES, 2400, 4))
    for event in events:
        response = response_from(event.azimuth, event.elevation)
        spectrum = np.fft.rfft(rng.standard_normal(2400))[:, None]
        audio[event.frame] += 0.1 * np.fft.irfft(spectrum * response, 2400, axis=0)
    return audio.reshape(-1, 4)


def labelled(events):
    masks = []
    for event in events:
        x, y = (float(v) for v in pixel_of_angles(event.azimuth, event.elevation))
        blob = np.array([[x - 5, y, 0.3], [x, y, 0.9], [x + 5, y + 5, 0.3]])
        masks.append(EnergyMask(event.frame, event.source, event.class_id, (blob,), 150.0))
    return masks


@pytest.fixture(scope="module")
def good_tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    for number, name in enumerate(NAMES):
        rng = np.random.default_rng(number)
        events = spoken(rng)
        for kind in ("mic_dev", "metadata_dev", "labels_dev", "frames_dev"):
            (folder / kind / name).parent.mkdir(parents=True)
        soundfile.write(folder / "mic_dev" / f"{name}.wav", recorded(events, rng), 24_000)
        write_events(folder / "metadata_dev" / f"{name}.csv", events)
        write_annotations(folder / "labels_dev" / f"{name}_std.json", labelled(events))
        pictures = folder / "frames_dev" / name
        pictures.mkdir()
        for frame in range(FRAMES):
            picture = Image.new("RGB", (36, 18), (frame, 0, 0))
            picture.save(pictures / f"{pictures.name}_{frame:04}.png")
    return folder


@pytest.fixture
def tree(good_tree, tmp_path):
    return shutil.copytree(good_tree, tmp_path / "dataset")


def change_events(tree, change, name=NAMES[0]):
    path = tree / "metadata_dev" / f"{name}.csv"
    write_events(path, [change(event) for event in read_events(path)])


def change_labels(tree, change, name=NAMES[0]):
    path = tree / "labels_dev" / f"{name}_std.json"
    write_annotations(path, [change(mask) for mask in read_annotations(path)])


def mirror_event(event):
    return event._replace(azimuth=-event.azimuth)


def mirror_mask(mask):
    (blob,) = mask.segmentation
    return replace(mask, segmentation=(np.column_stack([360 - blob[:, 0], blob[:, 1:]]),))


def told(tree):
    return [(f.severity, f.path.name, f.what) for f in check_dataset(tree)]


def test_a_good_tree_has_no_complaint(tree):
    assert check_dataset(tree) == []


@pytest.mark.slow
def test_several_processes_tell_the_same(tree):
    change_labels(tree, mirror_mask)
    assert check_dataset(tree, jobs=2) == check_dataset(tree) != []


def test_a_mirrored_copy_is_caught_by_its_sound(tree):
    change_events(tree, mirror_event)
    change_labels(tree, mirror_mask)
    ((severity, file, what),) = told(tree)
    assert (severity, file) == ("error", "fold3_room1_mix001.csv")
    assert what.startswith("directions fit the sound better mirrored left to right")


def test_without_events_labels_are_held_against_the_sound(tree):
    (tree / "metadata_dev").rename(tree / "elsewhere")
    change_labels(tree, mirror_mask)
    error, note = told(tree)
    assert error[1] == "fold3_room1_mix001_std.json"
    assert "mirrored left to right" in error[2]
    assert note == ("note", tree.name, "no recording has events")


def test_swapped_channels_are_caught(tree):
    path = tree / "mic_dev" / f"{NAMES[0]}.wav"
    audio, rate = soundfile.read(path)
    soundfile.write(path, audio[:, [1, 0, 3, 2]], rate)
    ((severity, file, what),) = told(tree)
    assert (severity, file) == ("error", "fold3_room1_mix001.csv")
    assert "fit the sound better" in what


def test_mirrored_labels_are_caught_by_their_events(tree):
    change_labels(tree, mirror_mask)
    ((severity, file, what),) = told(tree)
    assert (severity, file) == ("error", "fold3_room1_mix001_std.json")
    assert what.endswith("from their events; mirrored left to right they agree")


@pytest.mark.parametrize(("shift", "words"), [(5, "5 frames late"), (-4, "4 frames early")])
def test_shifted_frames_are_caught_by_the_sound(tree, shift, words):
    change_events(tree, lambda event: event._replace(frame=event.frame + shift))
    change_labels(tree, lambda mask: replace(mask, frame=mask.frame + shift))
    assert ("error", "fold3_room1_mix001.csv", f"entries are {words} against the sound") in told(
        tree
    )


@pytest.mark.parametrize(("shift", "words"), [(1, "1 frames late"), (-3, "3 frames early")])
def test_shifted_labels_are_caught_by_their_events(tree, shift, words):
    change_labels(tree, lambda mask: replace(mask, frame=mask.frame + shift))
    assert told(tree) == [
        ("error", "fold3_room1_mix001_std.json", f"labels are {words} against the events CSV")
    ]


def test_frames_that_count_from_one_are_caught(tree):
    (tree / "frames_dev" / NAMES[0] / "fold3_room1_mix001_0000.png").unlink()
    findings = told(tree)
    assert findings[0] == ("error", "fold3_room1_mix001", "frame 0 is missing")
    assert findings[1][2] == "1 of 60 frames are missing in the folder"


def test_missing_files_are_named(tree):
    (tree / "mic_dev" / f"{NAMES[0]}.wav").unlink()
    (tree / "labels_dev" / f"{NAMES[1]}_std.json").unlink()
    assert [what for _, _, what in told(tree)] == [
        f"{NAMES[0]} has no audio",
        f"{NAMES[1]} has no labels",
    ]


def test_unreadable_files_are_named(tree):
    (tree / "mic_dev" / f"{NAMES[0]}.wav").write_bytes(b"RIFF")
    (tree / "labels_dev" / f"{NAMES[0]}_std.json").write_text("{")
    (tree / "metadata_dev" / f"{NAMES[0]}.csv").write_text("1,2,3\n")
    findings = told(tree)
    assert {file for _, file, _ in findings} == {
        "fold3_room1_mix001.wav",
        "fold3_room1_mix001_std.json",
        "fold3_room1_mix001.csv",
    }
    assert all(severity == "error" for severity, _, _ in findings)


def test_length_and_leaks_and_differences_are_told(tree):
    change_events(tree, lambda e: e._replace(frame=70) if e.frame == 54 else e)
    for folder in ("mic_dev", "metadata_dev", "labels_dev", "frames_dev"):
        for path in (tree / folder / NAMES[1]).parent.iterdir():
            path.rename(path.with_name(path.name.replace("room2", "room1")))
    findings = [what for _, _, what in told(tree)]
    assert findings == [
        "room 1 has recordings in dev-train and in dev-test",
        "1 entries beyond the 60 frames of the recording, up to 70",
        "1 label masks without an event, first in frame 54: class 1, source 1",
        "1 events without a label mask, first in frame 70: class 1, source 1",
    ]


def test_what_is_no_tree_is_one_finding(tmp_path):
    ((severity, _, what),) = told(tmp_path)
    assert severity == "error"
    assert what.startswith("expected a STAIRS26 tree")
