"""``saiseld live`` without a page: events in the terminal, segments, one line for what is wrong."""

import re
from pathlib import Path

import numpy as np
import pytest
from tests.live.test_finding import clapped

from saiseld.formats.annotation import read_annotations
from saiseld.live import finding, opening, sources
from saiseld.live.arrays import ChannelMap


def test_the_packaged_scene_is_seen_and_recorded(saiseld, tmp_path: Path) -> None:
    code, said = saiseld("live", "--no-page", "--seconds", 3, "--record", tmp_path)
    assert code == 0
    assert re.search(r"30 frames, \d+ dropped", said)
    (masks,) = tmp_path.glob("*.json")
    assert {mask.frame for mask in read_annotations(masks, predictions=True)} <= set(range(30))
    assert masks.with_suffix(".wav").is_file() and masks.with_suffix(".mp4").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.wav"], "nothing.wav: expected"),
        (["--channels", "1,2,left,4"], "--channels: expected numbers"),
        (["--channels", "1,2,3,9"], "expected 9 or more"),
        (["--array", "nothing.json"], "nothing.json: expected a channel map"),
        (["udp://127.0.0.1:0", "--rate", "100"], "sample rate: expected at least"),
        (["--find-channels", "array.json"], "expected device, or a stream"),
        (["--system", "Baseline"], "expected one that decides frame by frame"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(saiseld, arguments, message) -> None:
    code, said = saiseld("live", "--no-page", *arguments)
    assert code == 2
    assert message in said


def test_microphones_are_listed(saiseld, monkeypatch) -> None:
    monkeypatch.setattr(sources, "devices", lambda: [(2, "Ambeo", 4, 48_000)])
    assert saiseld("live", "--list-devices") == (0, "2 4 channels 48000 Hz Ambeo")


def test_the_channel_wizard_asks_for_claps_and_writes_what_it_found(
    saiseld, monkeypatch, tmp_path: Path
) -> None:
    claps = np.concatenate(clapped((2, 1, 4, 3), (1, 1, -1, 1), 20.0))

    class Array:
        name, sample_rate, channels = "array", 48_000, 4

        def blocks(self):
            for at in range(0, len(claps), 2400):
                yield sources.Block(claps[at : at + 2400], 0.0)

        def stop(self) -> None:
            pass

    monkeypatch.setattr(opening, "open_live", lambda asked: (Array(), None))
    monkeypatch.setattr(finding, "SECONDS", len(claps) / 3 / 48_000)
    code, said = saiseld("live", "device", "--find-channels", tmp_path / "array.json")
    assert code == 0
    assert said.index("Clap in front") < said.index("Clap to the left") < said.index("Clap above")
    found = ChannelMap.read(tmp_path / "array.json")
    assert found.channels == (2, 1, 4, 3) and abs(found.turn - 20) <= 4
