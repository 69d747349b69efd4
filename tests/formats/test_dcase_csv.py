"""DCASE CSVs in every layout, and one clear error for each thing that is wrong with one."""

from __future__ import annotations

import numpy as np
import pytest

from saiseld.formats.dcase_csv import SourceRows, read_dcase_csv, write_dcase_csv
from saiseld.runtime.errors import DataError


@pytest.fixture
def csv(tmp_path):
    def written(text):
        path = tmp_path / "take1.csv"
        path.write_text(text)
        return path

    return written


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3,8,40,-10\n", (3, 8, 0, 40, -10)),
        ("3,8,1,40,-10\n", (3, 8, 1, 40, -10)),
        ("3,8,1,40,-10,150\n", (3, 8, 1, 40, -10, 1.5)),
        ("3,8,1,0.0,0.7,0.7\n", (3, 8, 1, 90, 45)),
        ("3,8,1,0.0,-0.7,0.7,150\n", (3, 8, 1, -90, 45, 1.5)),
        ("\ufeff3,8,1,40,-10\r\n\r\n", (3, 8, 1, 40, -10)),
    ],
)
def test_every_layout_is_read(csv, text, expected):
    rows = read_dcase_csv(csv(text)).rows
    other = SourceRows.of([expected])
    for name in SourceRows.__slots__:
        np.testing.assert_allclose(getattr(rows, name), getattr(other, name), err_msg=name)


def test_six_columns_that_look_like_vectors_are_said(csv):
    path = csv("0,8,0,0.499664,0.766478,0.403545\n1,8,0,0.5,0.7,0.4\n")
    found = read_dcase_csv(path)
    assert found.rows.azimuth[0] == pytest.approx(56.9, abs=0.1) and len(found.notes) == 1
    polar = read_dcase_csv(path, coordinates="polar")
    assert polar.rows.azimuth[0] == 0.499664 and not polar.notes
    assert read_dcase_csv(path, coordinates="cartesian").notes == ()


def test_the_unit_of_distances_is_the_readers(csv):
    path = csv("0,8,0,10,20,3\n")
    assert read_dcase_csv(path, distance_unit="m").rows.distance_m[0] == 3
    assert read_dcase_csv(path, distance_unit="cm").rows.distance_m[0] == 0.03


def test_an_empty_file_is_a_silent_recording(csv):
    assert len(read_dcase_csv(csv("")).rows) == 0


def test_a_last_line_without_a_break_is_said(csv):
    assert read_dcase_csv(csv("0,8,0,10,20\n")).notes == ()
    assert len(read_dcase_csv(csv("0,8,0,10,20\n1,8,0,10,2")).notes) == 1


@pytest.mark.parametrize(
    ("text", "place", "found"),
    [
        ("0,8,0,10,20\n1,8,0\n", "line 2", "3: '1,8,0'"),
        ("0,8,0,10,20\n1,8,0,10,20,30\n2,8,0,1,1\n", "line 2", "6: '1,8,0,10,20,30'"),
        ("0:8:0:10:20\n", "line 1", "1: '0:8:0:10:20'"),
        ("frame,class,source,azimuth,elevation\n0,8,0,1,1\n", "line 1, column 1", "'frame'"),
        ("0,8,0,10,20\n0,8,0,nan,20\n", "line 2, column 4", "'nan'"),
        ("0,8,0,1_0,20\n", "line 1, column 4", "'1_0'"),
        ("0,8,0,10,20\n\n1,13,0,10,20\n", "line 3, class", "13.0"),
        ("0,-1,0,10,20\n", "line 1, class", "-1.0"),
        ("-1,8,0,10,20\n", "line 1, frame", "-1.0"),
        ("0.5,8,0,10,20\n", "line 1, frame", "0.5"),
        ("0,8,0,10,95\n", "line 1, elevation", "95.0"),
        ("0,8,0,370,5\n", "line 1, azimuth", "370.0"),
        ("0,8,0,10,20,-3\n", "line 1, distance", "-3.0"),
        ("0,8,0,0,0,0,1\n", "line 1, x, y, z", "[0. 0. 0. 1.]"),
    ],
)
def test_what_is_wrong_is_named(csv, text, place, found):
    with pytest.raises(DataError) as error:
        read_dcase_csv(csv(text))
    assert (error.value.place, error.value.found) == (place, found)


def test_a_row_that_ends_early_is_said_to_be_cut(csv):
    with pytest.raises(DataError) as error:
        read_dcase_csv(csv("0,8,0,10,20\n1,8,0,10"))
    assert error.value.advice
    with pytest.raises(DataError) as error:
        read_dcase_csv(csv("0,8,0,10\n1,8,0,10,20\n"))
    assert not error.value.advice


def test_six_columns_that_could_be_either_are_refused(csv):
    path = csv("0,8,0,0,0,1\n")
    with pytest.raises(DataError) as error:
        read_dcase_csv(path)
    assert "--coordinates" in error.value.advice
    assert read_dcase_csv(path, coordinates="cartesian").rows.elevation[0] == 90
    with pytest.raises(DataError):
        read_dcase_csv(csv("0,8,0,10,20\n"), coordinates="cartesian")
    with pytest.raises(DataError):
        read_dcase_csv(csv("0,8,0,1,0,0,1\n"), coordinates="polar")


def test_a_missing_or_unreadable_file_is_an_error(tmp_path, csv):
    with pytest.raises(DataError):
        read_dcase_csv(tmp_path / "none.csv")
    path = csv("")
    path.write_bytes(b"\xff\xfe0,8")
    with pytest.raises(DataError):
        read_dcase_csv(path)


@pytest.mark.parametrize("distances", [True, False])
def test_what_is_written_is_read_again(tmp_path, distances):
    rows = SourceRows.of(
        [(k, k % 13, k % 3, k - 90.25, k / 2, *([1.5 + k] if distances else [])) for k in range(60)]
    )
    path = tmp_path / "take1.csv"
    for unit in ("m", "cm"):
        write_dcase_csv(path, rows, distance_unit=unit)
        again = read_dcase_csv(path, distance_unit=unit)
        assert not again.notes
        for name in SourceRows.__slots__:
            np.testing.assert_allclose(getattr(again.rows, name), getattr(rows, name))
    write_dcase_csv(path, SourceRows.of([]))
    assert path.read_bytes() == b""
