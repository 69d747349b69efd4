import numpy as np
import pytest
from tests.errors import raises

from saiseld.conventions.sphere import angles_of_vector, great_circle, unit_vector
from saiseld.conventions.timebase import FPS, SAMPLE_RATE
from saiseld.formats.events import Event, write_events
from saiseld.runtime.errors import DataError, RecipeError
from saiseld.simulation.dataset import simulate_dataset
from saiseld.simulation.recipes import read_recipe
from saiseld.simulation.scene import plan_scene
from saiseld.simulation.sounds.bank import ProceduralBank
from saiseld.simulation.timelines import read_timelines, tracks


def standing(class_id, source, frames, azimuth=30, elevation=-10):
    return [Event(frame, class_id, source, azimuth, elevation) for frame in frames]


@pytest.fixture
def folder(tmp_path):
    for room, class_id in ((3, 0), (5, 8), (8, 10)):
        walk = [Event(f, 6, 2, -40 + f, -44) for f in range(30, 60)]
        events = sorted(standing(class_id, 1, [*range(10, 40), *range(50, 55)]) + walk)
        write_events(tmp_path / "any" / f"fold3_room{room}_mix001.csv", events)
    return tmp_path


def plan(folder, index=0, split="train"):
    return plan_scene(
        read_recipe("sim26_real"),
        ProceduralBank(),
        3,
        name="fold3_room42_mix001",
        room=42,
        split=split,
        index=index,
        timelines=read_timelines(folder),
    )


def test_rooms_are_on_one_side(folder):
    recordings = read_timelines(folder).recordings
    assert [path.stem for path in recordings["train"]] == [
        "fold3_room3_mix001",
        "fold3_room8_mix001",
    ]
    assert [path.stem for path in recordings["test"]] == ["fold3_room5_mix001"]


def test_folders_of_both_splits_say_the_side(tmp_path):
    write_events(tmp_path / "dev-train-x" / "a_room1.csv", standing(1, 0, range(5)))
    write_events(tmp_path / "dev-test-x" / "a_room2.csv", standing(1, 0, range(5)))
    recordings = read_timelines(tmp_path).recordings
    assert [path.stem for path in recordings["test"]] == ["a_room2"]
    write_events(tmp_path / "dev-test-x" / "a_room1.csv", standing(1, 0, range(5)))
    with raises(DataError, place="room 1", expected="a room of dev-train or of dev-test"):
        read_timelines(tmp_path)


def test_events_end_at_gaps_and_a_still_source_has_one_direction():
    rows = [Event(f, 1, 4, 20 + f % 2, 0) for f in (0, 1, 2, 5, 6, 10)]
    (track,) = tracks(rows)
    assert track.events == ((0, 7), (10, 11))
    assert np.all(track.directions == track.directions[0])


def test_a_scene_replays_who_sounds_when_and_where(folder):
    scene = plan(folder)
    heard = {(e.frame, e.class_id): e for e in scene.frame_events()}
    timeline = read_timelines(folder).recordings["train"]
    originals = [{(e.frame, e.class_id): e for e in rows} for rows in timeline.values()]
    said = next(rows for rows in originals if set(rows) == set(heard))
    for key, event in heard.items():
        apart = great_circle(event.azimuth, event.elevation, said[key].azimuth, said[key].elevation)
        assert apart < 1.6  # whole degrees
        assert 40 <= event.distance_cm <= 450
    (walker,) = {s.source.source_id: s.source for s in scene.sounds if s.source.moves}.values()
    azimuth, elevation = angles_of_vector(walker.position((45 + 0.5) / FPS))
    assert great_circle(azimuth, elevation, 5, -44) < 0.01


def test_sources_stay_in_the_room(folder):
    for index in range(6):
        scene = plan(folder, index)
        for source in scene.sources:
            place = source.position(np.arange(0, 30, 0.1)) + np.array(scene.array_m)
            assert np.all(place >= -1e-6) and np.all(place <= np.array(scene.room.size_m) + 1e-6)


def test_long_events_are_filled(tmp_path):
    for room in (1, 2):
        write_events(tmp_path / f"room{room}.csv", standing(7, 0, range(300)))
    (sound,) = plan(tmp_path).sounds
    assert len(sound.signal) == 30 * SAMPLE_RATE
    blocks = np.abs(sound.signal).reshape(10, -1).max(axis=1)
    assert blocks.min() > 0


@pytest.mark.parametrize(
    ("lines", "fields"),
    [
        ("3,13,0,10,0\n", {"place": "line 1, class", "expected": "a class of 0-12", "found": "13"}),
        (
            "3,1,2,10,0\n3,1,2,40,0\n",
            {"place": "frame 3, class 1, source 2", "expected": "a source once in a"},
        ),
        ("", {"expected": "events to test with", "found": "empty files"}),
    ],
)
def test_bad_timelines_are_named(folder, lines, fields):
    (folder / "any" / "fold3_room5_mix001.csv").write_text(lines)
    with raises(DataError, **fields):
        read_timelines(folder)


def test_rows_that_are_there_twice_count_once(folder, caplog):
    path = folder / "any" / "fold3_room5_mix001.csv"
    before = read_timelines(folder).recordings["test"][path]
    path.write_text(path.read_text() * 2)
    assert read_timelines(folder).recordings["test"][path] == before
    assert f"{len(before)} rows are there twice" in caplog.text


def test_one_room_is_not_enough(tmp_path):
    write_events(tmp_path / "room1.csv", standing(1, 0, range(5)))
    with raises(DataError, expected="two rooms or more", found="room 1"):
        read_timelines(tmp_path)


def test_a_recipe_of_timelines_needs_them(tmp_path):
    with raises(RecipeError, advice="--timelines"):
        simulate_dataset(tmp_path / "tree", read_recipe("sim26_real"), 0, title="")


def test_a_direction_is_the_annotated_one():
    (track,) = tracks([Event(0, 6, 1, 90, 0), Event(1, 6, 1, 120, 0)])
    np.testing.assert_allclose(track.directions, unit_vector([90, 120], [0, 0]), atol=1e-12)
