"""Channel maps of the tetrahedron, and other arrays converted while they come."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest

from saiseld.arrays.converter import converter_for
from saiseld.arrays.description import read_array, tetrahedron
from saiseld.live import opening
from saiseld.live.arrays import ChannelMap
from saiseld.live.opening import SourceConfig, open_live
from saiseld.runtime.errors import AudioError, DataError


def test_a_map_and_what_it_does(tmp_path) -> None:
    path = tmp_path / "array.json"
    path.write_text('{"channels": [3, 1, 2, 6], "polarity": [1, -1, 1, 1], "turn": 30.0}')
    wiring = ChannelMap.read(path)
    assert wiring == ChannelMap((3, 1, 2, 6), (1, -1, 1, 1), 30.0)
    samples = np.arange(12, dtype=np.float32).reshape(2, 6)
    np.testing.assert_array_equal(wiring.capsules(samples), [[2, 0, 1, 5], [8, -6, 7, 11]])
    with pytest.raises(AudioError) as error:
        wiring.check("microphones", 4)
    assert (error.value.place, error.value.found) == ("channels", "4")
    assert ChannelMap.of(tetrahedron()) == ChannelMap()


@pytest.mark.parametrize(
    "wrong",
    [
        '{"channels": [1, 2, 3]}',
        '{"channels": [1, 2, 3, 3]}',
        '{"channels": [0, 1, 2, 3]}',
        '{"polarity": [1, 1, 1, 2]}',
        '{"turn": "left"}',
        "[]",
        "",
    ],
)
def test_a_file_that_is_no_map_is_told(tmp_path, wrong) -> None:
    path = tmp_path / "array.json"
    path.write_text(wrong)
    with pytest.raises(DataError):
        ChannelMap.read(path)


def test_a_device_of_six_channels_comes_as_four_capsules(monkeypatch) -> None:
    array = read_array("respeaker-usb-4")
    rng = np.random.default_rng(0)
    recorded = (3000 * rng.standard_normal((9_600, 6))).astype("<i2")
    sent = recorded.tobytes()

    def opened():
        at = 0

        def read(most: int) -> bytes:
            nonlocal at
            part = sent[at : at + most]
            at += len(part)
            return part

        return read

    monkeypatch.setattr(opening, "standard_input", opened)
    source, _ = open_live(SourceConfig("-", channels=6, sample_rate=24_000, kind=array))
    assert (source.channels, source.sample_rate) == (4, 24_000)
    came = np.concatenate([block.samples for block in source.blocks()])
    stream = converter_for(array).stream()
    whole = (recorded / np.float32(32768)).astype(np.float32)
    wanted = np.concatenate([stream.push(whole), stream.close()])
    np.testing.assert_allclose(came, wanted, atol=1e-6)
    with pytest.raises(AudioError) as error:
        open_live(SourceConfig("-", channels=3, kind=array))
    assert error.value.place == "channels"


@pytest.mark.parametrize("source", ["-", "tcp://127.0.0.1:0", "udp://127.0.0.1:0"])
def test_raw_samples_of_more_channels_than_an_array_takes_are_counted(monkeypatch, source) -> None:
    monkeypatch.setattr(opening, "standard_input", lambda: io.BytesIO(bytes(1200)).read)
    usb = read_array("respeaker-usb-4")  # microphones on 2 to 5 of 6 channels
    with pytest.raises(AudioError) as error:
        open_live(SourceConfig(source, kind=usb))
    assert error.value.place == "channels" and "2, 3, 4, 5" in error.value.expected
    if source == "-":
        for array, channels in ((replace(usb, channels=(1, 2, 3, 4)), None), (usb, 6)):
            assert open_live(SourceConfig(source, kind=array, channels=channels))[0].channels == 4
