from saiseld.formats.sound_events import SoundEvent, SoundEvents, write_sound_events

EVENTS = SoundEvents(
    [
        SoundEvent(1, 11, "Bell", 0.3, 1.0, 12.34, -5.0, 150.4, 0.8),
        SoundEvent(2, 7, "Door, open or close", 2.0, 2.5, -170.0, 0.0, None, 0.25),
    ]
)


def test_csv(tmp_path):
    write_sound_events(tmp_path / "a.events.csv", EVENTS)
    assert (tmp_path / "a.events.csv").read_text().splitlines() == [
        "event,class,from_s,to_s,azimuth,elevation,distance_cm,score",
        "1,Bell,0.3,1.0,12.3,-5.0,150,0.800",
        '2,"Door, open or close",2.0,2.5,-170.0,0.0,,0.250',
    ]


def test_arrow():
    table = EVENTS.to_arrow()
    assert table.column_names[:5] == ["number", "class_id", "class_name", "start_s", "end_s"]
    assert table.to_pylist()[1]["distance_cm"] is None
    assert SoundEvents().to_arrow().num_rows == 0
