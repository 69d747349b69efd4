from dataclasses import replace

from tests.errors import raises

from saiseld.formats.sound_events import (
    SoundEvent,
    SoundEvents,
    read_sound_events,
    write_sound_events,
)
from saiseld.runtime.errors import DataError

EVENTS = SoundEvents(
    [
        SoundEvent(1, 11, "Bell", 0.3, 1.0, 12.34, -5.0, 150.4, 0.8),
        SoundEvent(2, 7, "Door, open or close", 2.0, 2.5, -170.0, 0.0, None, 0.25),
    ]
)


def test_csv(tmp_path):
    write_sound_events(tmp_path / "a.events.csv", EVENTS)
    assert (tmp_path / "a.events.csv").read_text().splitlines() == [
        "event,class,from_s,to_s,azimuth,elevation,distance_cm,score,elevation_assumed",
        "1,Bell,0.3,1.0,12.3,-5.0,150,0.800,false",
        '2,"Door, open or close",2.0,2.5,-170.0,0.0,,0.250,false',
    ]


def test_arrow():
    table = EVENTS.to_arrow()
    assert table.column_names[:5] == ["number", "class_id", "class_name", "start_s", "end_s"]
    assert table.to_pylist()[1]["distance_cm"] is None
    assert SoundEvents().to_arrow().num_rows == 0


def test_assumed_elevations_are_said_wherever_events_are_told(tmp_path):
    path = tmp_path / "a.events.csv"
    write_sound_events(path, [replace(event, elevation_assumed=True) for event in EVENTS])
    events = read_sound_events(path)
    assert [event.elevation_assumed for event in events] == [True, True]
    assert events.to_arrow()["elevation_assumed"].to_pylist() == [True, True]
    assert events.to_html().count("assumed") == 2 and EVENTS.to_html().count("assumed") == 0
    assert "assumed" in repr(events[0]) and "assumed" not in repr(EVENTS[0])


def test_a_file_of_version_0_2_is_read(tmp_path):
    path = tmp_path / "a.events.csv"
    write_sound_events(path, EVENTS)
    former = [line.rpartition(",")[0] for line in path.read_text().splitlines()]
    path.write_text("\n".join(former) + "\n")
    assert [e.elevation_assumed for e in read_sound_events(path)] == [False, False]
    path.write_text("\n".join([former[0], f"{former[1]},true"]) + "\n")
    with raises(DataError, path, place="line 2"):
        read_sound_events(path)
