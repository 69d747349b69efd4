"""The STAIRS26 tree: what is found, how it splits."""

import pytest
from tests.errors import raises

from saiseld.data.stairs26 import DatasetRecording, Stairs26Dataset, open_dataset, split_by_room
from saiseld.runtime.errors import DataError

FILES = (
    "eigen_dev/dev-train-tau/fold3_room4_mix001.wav",
    "mic_dev/dev-train-tau/fold3_room4_mix001.wav",
    "labels_dev/dev-train-tau/fold3_room4_mix001_std.json",
    "video_dev/dev-train-tau/fold3_room4_mix001.mp4",
    "metadata_dev/dev-train-tau/fold3_room4_mix001.csv",
    "mic_dev/dev-test-sony/fold4_room23_mix001.wav",
    "frames_dev/dev-test-sony/fold4_room23_mix001/fold4_room23_mix001_0000.png",
    "labels_dev/dev-test-sony/fold4_room23_mix001_std.json",
    "labels_dev/dev-test-sony/fold4_room23_mix001_raw.json",
    "labels_dev/dev-test-sony/.1234.part.fold4_room23_mix001_std.json",
)


def make(folder, files):
    for file in files:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def rooms(recordings):
    return {r.room for r in recordings}


def tree_of(train_rooms, test_rooms=(100,)):
    recordings = [
        DatasetRecording(f"fold3_room{room}_mix{mix}", split, f"{split}-tau", room, *[None] * 4)
        for split, group in (("dev-train", train_rooms), ("dev-test", test_rooms))
        for room in group
        for mix in range(2)
    ]
    return Stairs26Dataset("tree", tuple(recordings))


def test_finds_what_there_is(tmp_path):
    tree = open_dataset(make(tmp_path, FILES))
    test, train = tree.recordings
    assert (train.name, train.split, train.folder, train.room) == (
        "fold3_room4_mix001",
        "dev-train",
        "dev-train-tau",
        4,
    )
    assert train.audio == tmp_path / FILES[0]
    assert train.labels == tmp_path / FILES[2]
    assert train.video == tmp_path / FILES[3]
    assert train.events == tmp_path / FILES[4]
    assert test.audio == tmp_path / FILES[5]
    assert test.video == (tmp_path / FILES[6]).parent
    assert test.labels == tmp_path / FILES[7]
    assert test.events is None
    assert tree.split("dev-test") == (test,)


def test_no_tree_is_named(tmp_path):
    with raises(DataError, expected="a STAIRS26 tree:", found="none of"):
        open_dataset(tmp_path)
    with raises(DataError, found="no such folder"):
        open_dataset(tmp_path / "nowhere")


def test_a_recording_is_there_once(tmp_path):
    make(tmp_path, (*FILES, "mic_dev/dev-test-tau/fold4_room23_mix001.wav"))
    with raises(DataError, place="dev-test-tau/fold4_room23_mix001", expected="every record"):
        open_dataset(tmp_path)


def test_a_name_tells_its_room(tmp_path):
    make(tmp_path, ["eigen_dev/dev-train/kitchen.wav"])
    with raises(DataError, place="dev-train/kitchen", found="no room in its name"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("count", [3, 5, 12, 30])
def test_roles_share_no_room_and_leave_no_recording(count):
    tree = tree_of(range(count))
    roles = split_by_room(tree)
    assert sum(len(part) for part in roles.values()) == len(tree.recordings)
    groups = [rooms(part) for part in roles.values()]
    assert sum(map(len, groups)) == len(set().union(*groups)) == count + 1
    assert all(groups)
    assert len(rooms(roles["select"])) == len(rooms(roles["calibrate"])) == max(1, count // 6)
    assert rooms(roles["test"]) == {100}


def test_roles_are_the_same_every_time_and_follow_the_seed():
    roles = split_by_room(tree_of(range(12)))
    assert split_by_room(tree_of(reversed(range(12))))["select"] != ()
    assert rooms(split_by_room(tree_of(reversed(range(12))))["select"]) == rooms(roles["select"])
    assert rooms(roles["select"]) == {4, 7}
    other = [rooms(split_by_room(tree_of(range(12)), seed=seed)["select"]) for seed in range(5)]
    assert any(choice != rooms(roles["select"]) for choice in other)


def test_a_room_on_both_sides_is_an_error():
    with raises(DataError, place="room 2", expected="a room of dev-train or of dev-test"):
        split_by_room(tree_of(range(4), (2, 9)))


def test_too_few_rooms_are_an_error():
    with raises(DataError, place="dev-train", expected="three rooms or more", found="2"):
        split_by_room(tree_of(range(2)))


def test_files_of_any_suffix_and_case_are_found(tmp_path):
    sounds, videos = ("a.W64", "b.caf"), ("a.MOV", "b.mkv", "b.mp4")
    files = [f"mic_dev/dev-test-tau/fold4_room2_{name}" for name in sounds]
    files += [f"video_dev/dev-test-tau/fold4_room2_{name}" for name in videos]
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    first, second = open_dataset(tmp_path).recordings
    assert (first.audio.suffix, first.video.suffix) == (".W64", ".MOV")
    assert (second.audio.suffix, second.video.suffix) == (".caf", ".mp4")
