"""``saiseld live`` without a page: events in the terminal, segments, one line for what is wrong."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from tests.live.fakes import FakeImager, sound
from tests.live.test_channel_identification import clapped
from typer.testing import CliRunner

from saiseld.arrays.description import read_array, tetrahedron
from saiseld.cli.main import build
from saiseld.formats.annotation import read_annotations
from saiseld.live import channel_identification, opening, session, sources
from saiseld.pipeline import imager


def test_the_packaged_scene_is_seen_and_recorded(saiseld, tmp_path: Path) -> None:
    code, said = saiseld("live", "--no-page", "--seconds", 1, "--record", tmp_path)
    assert code == 0
    assert re.search(r"10 frames, \d+ dropped", said)
    (masks,) = tmp_path.glob("*.json")
    assert {mask.frame for mask in read_annotations(masks, predictions=True)} <= set(range(10))
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
    # A device of six channels; the array's four capsules are on others than the first.
    parts = clapped(tetrahedron(), (3, 2, 5, 4), (1, 1, -1, 1), 20.0, 6)
    claps = np.concatenate(parts)

    class Array:
        name, sample_rate, channels = "array", 48_000, 6

        def blocks(self):
            for at in range(0, len(claps), 2400):
                yield sources.Block(claps[at : at + 2400], 0.0)

        def stop(self) -> None:
            pass

    monkeypatch.setattr(opening, "open_live", lambda asked: (Array(), None))
    monkeypatch.setattr(channel_identification, "SECONDS", len(claps) / 3 / 48_000)
    target = tmp_path / "array.toml"
    code, said = saiseld("live", "device", "--channels", "2,3,4,5", "--find-channels", target)
    assert code == 0
    assert said.index("Clap in front") < said.index("Clap to the left") < said.index("Clap above")
    found = read_array(target)
    assert found.channels == (3, 2, 5, 4) and abs(found.yaw_deg - 20) <= 4
    assert found.polarity in ((1, 1, -1, 1), (-1, -1, 1, -1)) and found.is_tetrahedron


def test_events_are_lines_of_json_and_every_one_ends(monkeypatch) -> None:
    monkeypatch.setattr(imager, "Imager", lambda *_, **__: FakeImager("audio"))
    monkeypatch.setattr(session, "MOST_BEHIND_S", None)  # however busy the machine is
    heard = sound(30).astype("<f4").tobytes()
    asked = "live - --rate 24000 --form float32 --no-page --events jsonl --threshold 0.2"
    ran = CliRunner().invoke(build("live"), asked.split(), input=heard)
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    assert ran.exit_code == 0
    assert [line["type"] for line in lines] == ["begin", "end"]
    assert lines[-1]["time"] == 3.0
