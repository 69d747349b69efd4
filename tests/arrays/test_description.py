"""Descriptions of arrays: built-in, from files, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from saiseld.arrays.description import (
    MicrophoneArray,
    array_names,
    read_array,
    tetrahedron,
    write_array,
)
from saiseld.runtime.errors import AudioError, DataError

SQUARE = [[0.03, 0.0, 0.0], [0.0, 0.03, 0.0], [-0.03, 0.0, 0.0], [0.0, -0.03, 0.0]]


def written(tmp_path, text: str):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


def square(extra: str = 'half = "up"') -> str:
    return f'name = "mine"\nmodel = "open"\npositions_m = {SQUARE}\n{extra}\n'


@pytest.mark.parametrize("name", array_names())
def test_built_in_arrays_name_their_source(name) -> None:
    array = read_array(name)
    assert array.microphones >= 4 and len(array.source) > 30
    assert array.elevation_assumed == name.startswith(("respeaker", "uma"))


def test_the_names_that_are_promised_are_there() -> None:
    wanted = {"em32", "em64", "zm-1", "respeaker-usb-4", "respeaker-core-6", "uma-8", "uma-16"}
    assert wanted | {"ambeo", "nt-sf1", "tetramic", "sps200"} <= set(array_names())


def test_a_file_is_read_and_written_again(tmp_path) -> None:
    extra = 'half = "down"\nchannels = [2, 3, 4, 6]\nelevation = [-10, 15]\nyaw_deg = 30'
    array = read_array(written(tmp_path, square(extra)))
    assert array.channels == (2, 3, 4, 6) and array.elevation == (-10, 15)
    assert array.yaw_deg == 30 and array.elevation_assumed
    np.testing.assert_allclose(array.normal, [0, 0, -1], atol=1e-12)
    write_array(array, tmp_path / "again.toml")
    again = read_array(tmp_path / "again.toml")
    np.testing.assert_array_equal(again.positions_m, array.positions_m)
    assert (again.channels, again.half, again.yaw_deg) == (array.channels, "down", 30)


def test_channels_are_picked(tmp_path) -> None:
    array = read_array(written(tmp_path, square('half = "up"\nchannels = [2, 3, 4, 5]')))
    samples = np.arange(12, dtype=np.float32).reshape(2, 6)
    np.testing.assert_array_equal(array.select(samples), samples[:, 1:5])
    np.testing.assert_array_equal(array.select(samples[:, :4]), samples[:, :4])
    with pytest.raises(AudioError) as error:
        array.select(samples[:, :3])
    assert error.value.place == "channels" and error.value.found == "3"


def test_polarity_turns_a_channel_round(tmp_path) -> None:
    array = read_array(written(tmp_path, square('half = "up"\npolarity = [1, -1, 1, 1]')))
    np.testing.assert_array_equal(array.select(np.ones((1, 4), np.float32)), [[1, -1, 1, 1]])


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (square(""), "half"),
        (square('half = "up"\nchannels = []'), "channels"),
        (square('half = "up"\nchannels = [1, 2, 3]'), "channels"),
        (square('half = "up"\nchannels = [1, 2, 3, 3]'), "channels"),
        (square('half = "up"\nchannels = [0, 1, 2, 3]'), "channels"),
        (square('half = "up"\npolarity = [1, 1, 1, 2]'), "polarity"),
        (square('half = "sideways"'), "half"),
        (square('half = "up"\nelevation = [0, 0]'), "elevation"),
        (square('half = "up"\ncolour = "red"'), "colour"),
        (square('half = "up"\nfacing = [[1, 0, 0]]'), "facing"),
        (square('half = "up"\nresponses = "x.sofa"'), "responses"),
        (square('half = "up"\nyaw_deg = nan'), ""),
        ('model = "responses"', "responses"),
        ('model = "open"\npositions_m = [[0, 0, 0], [0.1, 0, 0]]', "positions_m"),
        ('model = "open"\npositions_m = [[0, 0, 0], [0.1, 0, 0], [0.2, 0, 0]]', "positions_m"),
        ('model = "open"\npositions_m = [[0, 0, 0], [0, 0, 0], [0.1, 0, 0], [0, 0.1, 0]]',
         "positions_m"),
        ('model = "open"\npositions_m = [[32, 0, 0], [0, 32, 0], [0, 0, 32]]', "positions_m"),
        ('model = "rigid-sphere"\npositions_m = [[0.1, 0, 0], [0, 0.05, 0], [0, 0, 0.1]]',
         "positions_m"),
        ('model = "cardioid"\npositions_m = [[0, 0, 0], [0, 0.05, 0], [0, 0, 0.05]]', "facing"),
        ("model = [", ""),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_its_place(tmp_path, text, place) -> None:
    path = written(tmp_path, text)
    with pytest.raises(DataError) as error:
        read_array(path)
    assert error.value.place == place


def test_no_such_array_lists_those_there_are(tmp_path) -> None:
    with pytest.raises(DataError) as error:
        read_array(tmp_path / "none.toml")
    assert "uma-8" in error.value.expected


def test_the_tetrahedron_is_known() -> None:
    assert tetrahedron().is_tetrahedron and not read_array("em32").is_tetrahedron


def test_cardioids_that_face_up_hear_up_from_down() -> None:
    up = np.array([[0.0, 0, 1]] * 4)
    array = MicrophoneArray("upward", "cardioid", np.array(SQUARE), (1, 2, 3, 4), facing=up)
    assert not array.ambiguous and not array.elevation_assumed
    upright = MicrophoneArray(
        "wall", "open", np.array(SQUARE)[:, [2, 0, 1]], (1, 2, 3, 4), half="front"
    )
    assert upright.ambiguous and not upright.elevation_assumed
