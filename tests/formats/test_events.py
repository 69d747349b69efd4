"""The STARSS23 CSV, in and out."""

import numpy as np
import pytest
from tests.errors import raises

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
    ("line", "place", "expected", "found"),
    [
        ("864000,0,0,0,0", "line 2, frames", "at most 864000", "864001"),
        ("0,0,9e9,0,0", "line 2, source", "32 bits", "9"),
        ("1_0,0,0,0,0", "line 2, frame", "a number", "1_0"),
        ("0,0,0,0," + "9" * 200_000, "", "a readable events CSV", "field larger"),
        (",".join("9" * 50_000), "line 2", "5 or 6 columns", "50000: '9,9,9"),
        ("3,0,0,40", "line 2", "5 or 6 columns", "4: '3,0,0,40'"),
        ("3,13,0,40,10", "line 2, class", "0-12", "13"),
        ("-1,1,0,40,10", "line 2, frame", "0 or more", "-1"),
        ("3,1,0,400,10", "line 2, azimuth", "-180 to 180", "400"),
        ("3,1,0,40,91", "line 2, elevation", "-90 to 90", "91"),
        ("3,1,0,40,10,-5", "line 2, distance_cm", "0 or more", "-5"),
        ("3,1.5,0,40,10", "line 2, class", "a whole number", "1.5"),
        ("3,1,0,nan,10", "line 2, azimuth", "a number", "'nan'"),
        ("frame,class,source,azimuth,elevation", "line 2, frame", None, "'frame'"),
    ],
)
def test_bad_lines_are_named(tmp_path, line, place, expected, found):
    path = tmp_path / "e.csv"
    path.write_text(f"0,0,0,0,0\n{line}\n")
    with raises(DataError, path, place=place, expected=expected, found=found):
        read_events(path)


def test_no_file_is_named(tmp_path):
    with raises(DataError, "e.csv", expected="a readable events CSV", found="No such"):
        read_events(tmp_path / "e.csv")


def test_binary_is_refused(tmp_path):
    (tmp_path / "e.csv").write_bytes(b"\xff\xfd\x00\x01")
    with raises(DataError, expected="a readable events CSV"):
        read_events(tmp_path / "e.csv")


UNIT = [(0, 0, 1), (0.5, -0.5, 0.7071), (-0.6, 0.8, 0.0), (0.499664, 0.766478, 0.403545)]


def angles(vector):
    x, y, z = vector
    return np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y)))


def written(tmp_path, lines):
    path = tmp_path / "e.csv"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.mark.parametrize("scale", [1.0, 0.7, 1.2])
@pytest.mark.parametrize("distance", [None, "1.5", "150"])
@pytest.mark.parametrize("header", [False, True])
def test_vectors_become_angles(tmp_path, caplog, scale, distance, header):
    tail = "" if distance is None else f",{distance}"
    lines = [
        f"{frame},8,1," + ",".join(f"{scale * v:.6f}" for v in vector) + tail
        for frame, vector in enumerate(UNIT)
    ]
    if header:
        unit = "_m" if distance == "1.5" else "_cm"
        lines.insert(
            0, "frame,class,source,x,y,z" + ("" if distance is None else f",distance{unit}")
        )
    events = read_events(written(tmp_path, lines))
    assert [event[:3] for event in events] == [(frame, 8, 1) for frame in range(4)]
    for event, vector in zip(events, UNIT, strict=True):
        np.testing.assert_allclose(event[3:5], angles(vector), atol=1e-3)
        assert event.distance_cm == (None if distance is None else 150)
    assert bool(caplog.records) != header


@pytest.mark.parametrize(
    ("header", "row", "expected"),
    [
        ("frame,class,source,azimuth,elevation", "3,1,2,40,10", Event(3, 1, 2, 40, 10)),
        ("Frame,Class,Source,Azimuth,Elevation,Distance", "3,1,2,40,10,99",
         Event(3, 1, 2, 40, 10, 99)),
        ("frame, class, azimuth, elevation", "3, 1, 40, 10", Event(3, 1, 0, 40, 10)),
        ("frame,class,source,elevation,azimuth", "3,1,2,10,40", Event(3, 1, 2, 40, 10)),
        ("frame,class,track,azi,ele,dist_m", "3,1,2,40,10,2.5", Event(3, 1, 2, 40, 10, 250)),
        ("frame,class,source,azimuth,elevation,distance,onscreen", "3,1,2,40,10,99,1",
         Event(3, 1, 2, 40, 10, 99)),
        ("frame,class,source,x,y,z", "3,1,2,-2.5,0,0", Event(3, 1, 2, 180, 0)),
    ],
)  # fmt: skip
def test_a_header_names_columns(tmp_path, header, row, expected):
    assert read_events(written(tmp_path, [header, row])) == [expected]


@pytest.mark.parametrize(
    "lines",
    [
        ["0,8,0,0,0,1", "1,8,0,1,0,0"],  # a vector, or a distance of a centimetre
        ["0,8,0,2.1,-0.5,0.3", "1,8,0,2.2,-0.4,1.3"],  # metres
        ["0,8,0,0.4,0.7,-0.6", "1,8,0,30,10,-0.4"],
        ["0,8,0,0,0,0,1.5"],
        ["0,8,0,nan,0.7,0.6"],
        ["0,8,0,0.1,inf,0.6"],
        ["0,8,0,0.5,0.5,0.7,-2"],
        ["0,8,0,0.5,0.5,0.7,nan"],
        ["0,8,0,0.5,0.5,0.7,150,0"],
        ["frame,class,source,azimuth,distance,onscreen", "0,8,0,30,150,1"],  # stereo of 2025
        ["frame,class,source,x,y", "0,8,0,1,0"],
        ["frame,class,source,azimuth,elevation,loudness", "0,8,0,1,0,3"],
        ["frame,class,source,azimuth,azimuth,elevation", "0,8,0,1,0,3"],
        ["frame,class,source,x,y,z", "0,8,0,0,0,0"],
    ],
)
def test_what_may_be_anything_is_refused(tmp_path, lines):
    with pytest.raises(DataError) as caught:
        read_events(written(tmp_path, lines))
    assert caught.value.source.endswith("e.csv") and caught.value.found


def test_some_short_rows_among_angles_are_angles(tmp_path):
    events = read_events(written(tmp_path, ["0,8,0,0.5,0.7,0.4", "1,8,0,12,0.7,150"]))
    assert events == [Event(0, 8, 0, 0.5, 0.7, 0.4), Event(1, 8, 0, 12, 0.7, 150)]


PLAIN = "3,1,2,40,10,150\n4,1,2,-50.5,-20,250\n"
HEADER = "frame,class,source,azimuth,elevation,distance_cm\n"


@pytest.mark.parametrize(
    "text",
    [
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", " "),
        PLAIN.replace("\n", "\r"),
        PLAIN.replace("\n", ",\n"),
        PLAIN.replace(",", ";").replace(".", ","),
        (HEADER + PLAIN).replace(",", ";").replace(".", ","),
        "sep=;\n" + PLAIN.replace(",", ";"),
        "# " + HEADER + PLAIN,
        "# by hand\n" + PLAIN,
        "frame,class,source,azimuth (deg),elevation [°],distance (cm)\n" + PLAIN,
        ",frame,class,source,azimuth,elevation,distance\n0,"
        + PLAIN.replace("\n", "\n1,", 1),
        "elevation,frame,class,source,azimuth,distance [m]\n10,3,1,2,40,1.5\n-20,4,1,2,-50.5,2.5\n",
        "frame,class,source,azimuth,elevation,distance\n3,1,2,40,10,1.5\n4,1,2,-50.5,-20,2.5\n",
    ],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_csvs_as_programs_write_them(tmp_path, text: str, encoding: str) -> None:
    (tmp_path / "e.csv").write_bytes(text.encode(encoding))
    expected = [Event(3, 1, 2, 40, 10, 150), Event(4, 1, 2, -50.5, -20, 250)]
    assert read_events(tmp_path / "e.csv") == expected


def test_a_distance_may_be_empty(tmp_path) -> None:
    assert read_events(written(tmp_path, ["3,1,2,40,10,"])) == [Event(3, 1, 2, 40, 10)]
    rows = [HEADER.strip(), "3,1,2,40,10,", "4,1,2,40,10,90"]
    events = [Event(3, 1, 2, 40, 10), Event(4, 1, 2, 40, 10, 90)]
    assert read_events(written(tmp_path, rows)) == events


@pytest.mark.parametrize("unit", ["azimuth (rad)", "azimuth [radians]", "azimuth (mils)"])
def test_other_units_are_refused(tmp_path, unit: str) -> None:
    with pytest.raises(DataError) as caught:
        read_events(written(tmp_path, [f"frame,class,{unit},elevation", "0,1,0.5,0.1"]))
    assert caught.value.place == "header line"


@pytest.mark.parametrize(("azimuth", "is_said"), [(0.6, True), (1.0, False), (3.3, False)])
def test_angles_like_radians_are_said(tmp_path, caplog, azimuth: float, is_said: bool) -> None:
    read_events(written(tmp_path, [f"0,1,0,{azimuth},1", "1,1,0,-3,-1"]))
    assert ("radians" in caplog.text) == is_said


def test_angles_beside_a_part_of_a_vector_are_read(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("frame,class,azimuth,elevation,x\n0,1,30,-10,0.5\n")
    (event,) = read_events(path)
    assert (event.azimuth, event.elevation) == (30, -10)
