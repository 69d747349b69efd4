"""Clips whose AudioSet class contradicts theirs are listed, and no others."""

from __future__ import annotations

import numpy as np
import pytest
from research.encoders.opinions import contradicting, opinion

NAMES = [f"class {number}" for number in range(521)]


def heard(folder: str, **likely: float):
    probabilities = np.full(521, 0.01, np.float32)
    for number, value in likely.items():
        probabilities[int(number[1:])] = value
    return opinion(f"train/{folder}/x.wav", folder, probabilities, NAMES)


@pytest.mark.parametrize(
    ("folder", "likely"),
    [
        ("door", {"n364": 0.8}),
        ("interferers", {"n364": 0.8}),
        ("water_tap", {"n0": 0.9, "n364": 0.2}),
    ],
)
def test_what_sounds_like_another_class_is_listed(folder, likely):
    assert contradicting([heard(folder, **likely)])


@pytest.mark.parametrize(
    ("folder", "likely"),
    [
        ("water_tap", {"n364": 0.8}),
        ("male_speech", {"n0": 0.9}),
        ("water_tap", {"n0": 0.5, "n364": 0.3}),  # not clear enough
        ("door", {"n0": 0.05}),
        ("interferers", {"n378": 0.9}),
    ],
)
def test_what_does_not_contradict_is_not(folder, likely):
    assert not contradicting([heard(folder, **likely)])


def test_the_clearest_comes_first():
    less, more = heard("door", n364=0.4), heard("door", n0=0.9)
    assert contradicting([less, more]) == [more, less]
    assert more.taken_for == "female_speech"
    assert more.heard.startswith("class 0 0.90, ")
