"""The STARSS23 CSV, in and out."""

import pytest

from saiseld.formats.events import Event, read_events, write_events
from saiseld.runtime.errors import DataError


def test_round_trip(tmp_path):
    events = [Event(0, 3, 0, -180, 90, 150), Event(12, 12, 2, 10.5, -20, 1050.25)]
    write_events(tmp_path / "e.csv", events)
    assert (tmp_path / "e.csv").read_text().startswith("0,3,0,-180,90,150\n")
    assert read_events(tmp_path / "e.csv") == events


def test_distance_may_be_absent(tmp_path):
    write_events(tmp_path / "e.csv", [Event(0, 3, 0, 1, 2)])
    assert (tmp_path / "e.csv").read_text() == "0,3,0,1,2\n"
    assert read_events(tmp_path / "e.csv") == [Event(0, 3, 0, 1, 2)]


def test_large_numbers_keep_every_digit(tmp_path):
    write_events(tmp_path / "e.csv", [Event(812345, 0, 0, 0, 0)])
    assert read_events(tmp_path / "e.csv")[0].frame == 812345


def test_no_events_is_no_error(tmp_path):
    (tmp_path / "e.csv").write_text("\n")
    assert read_events(tmp_path / "e.csv") == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("864000,0,0,0,0", "line 2, frames: expected at most 864000, found 864001"),
        ("0,0,9e9,0,0", "line 2, source: expected a number of 32 bits"),
        ("1_0,0,0,0,0", "line 2, frame: expected a number"),
        ("0,0,0,0," + "9" * 200_000, "expected a readable events CSV, found field larger"),
        (",".join("9" * 50_000), "line 2: expected 5 or 6 columns .*, found 50000: '9,9,9"),
        ("3,0,0,40", r"line 2: expected 5 or 6 columns .* found 4: '3,0,0,40'"),
        ("3,13,0,40,10", r"line 2, class: expected a class of 0-12, found 13"),
        ("-1,1,0,40,10", r"line 2, frame: expected 0 or more, found -1"),
        ("3,1,0,400,10", r"line 2, azimuth: expected degrees from -180 to 180, found 400"),
        ("3,1,0,40,91", r"line 2, elevation: expected degrees from -90 to 90, found 91"),
        ("3,1,0,40,10,-5", r"line 2, distance_cm: expected 0 or more, found -5"),
        ("3,1.5,0,40,10", r"line 2, class: expected a whole number, found 1.5"),
        ("3,1,0,nan,10", r"line 2, azimuth: expected a number .* found 'nan'"),
        ("frame,class,source,azimuth,elevation", r"line 2, frame: .*no header.* found 'frame'"),
    ],
)
def test_bad_lines_are_named(tmp_path, line, message):
    path = tmp_path / "e.csv"
    path.write_text(f"0,0,0,0,0\n{line}\n")
    with pytest.raises(DataError, match=rf"e\.csv: {message}"):
        read_events(path)


def test_no_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"e\.csv: expected a readable events CSV, found .*No such"):
        read_events(tmp_path / "e.csv")


def test_binary_is_refused(tmp_path):
    (tmp_path / "e.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(DataError, match="expected a readable events CSV"):
        read_events(tmp_path / "e.csv")


@pytest.mark.parametrize("z", [0.403545, -0.403545])
def test_unit_vectors_are_no_angles(tmp_path, z):
    path = tmp_path / "take1.csv"
    path.write_text("".join(f"{k},8,0,0.499664,0.766478,{z}\n" for k in range(5)))
    with pytest.raises(DataError) as error:
        read_events(path)
    assert "degrees" in error.value.expected and "0.499664" in error.value.found
    path.write_text("0,8,0,0.5,0.7,0.4\n1,8,0,12,0.7,150\n")
    assert len(read_events(path)) == 2
