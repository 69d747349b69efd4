"""Copies of sounds are told, other sounds are not."""

from __future__ import annotations

import io

import numpy as np
import soundfile
from saiseld_sounds.copies import Seen

from saiseld.conventions.timebase import SAMPLE_RATE


def babble(seed: int, seconds: float = 3.0) -> np.ndarray:
    """Tone bursts of random pitch, length and place, in faint noise."""
    rng = np.random.default_rng(seed)
    clip = rng.normal(0, 1e-3, int(seconds * SAMPLE_RATE))
    for _ in range(int(12 * seconds)):
        length = int(rng.uniform(0.05, 0.3) * SAMPLE_RATE)
        start = int(rng.integers(len(clip) - length))
        tone = np.sin(2 * np.pi * rng.uniform(150, 6000) * np.arange(length) / SAMPLE_RATE)
        clip[start : start + length] += rng.uniform(0.2, 1) * tone * np.hanning(length)
    return (0.1 * clip).astype(np.float32)


def recoded(clip: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    soundfile.write(file, clip, SAMPLE_RATE, format="OGG", subtype="VORBIS")
    file.seek(0)
    samples, _ = soundfile.read(file, dtype="float32")
    return samples


def test_a_recoded_quieter_part_is_a_copy():
    seen = Seen()
    for seed in range(8):
        assert not seen.is_copy(babble(seed))
    for seed in range(8):
        clip = babble(seed)
        assert seen.is_copy(recoded(0.3 * clip[SAMPLE_RATE // 3 : -SAMPLE_RATE // 2]))
    for seed in range(8, 16):
        assert not seen.is_copy(babble(seed))


def test_what_is_kept_away_counts_as_met():
    assert Seen([babble(0)]).is_copy(babble(0))
    assert not Seen([babble(0)]).is_copy(babble(1))


def test_clips_too_short_for_landmarks_are_told_by_their_shape():
    click = np.exp(-np.arange(1500) / 200).astype(np.float32)
    thud = click * np.sin(np.arange(1500) / 40).astype(np.float32)
    seen = Seen([click])
    assert not seen.is_copy(thud)
    assert seen.is_copy(0.5 * click)
