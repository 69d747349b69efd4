"""``saiseld live`` without a page: events in the terminal, segments, one line for what is wrong."""

import re
from pathlib import Path

import pytest

from saiseld.formats.annotation import read_annotations


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
