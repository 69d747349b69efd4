"""The pitch that tells women's from men's voices."""

from __future__ import annotations

import numpy as np
import pytest
from saiseld_sounds.voices import median_pitch, voice_fits

from saiseld.conventions.timebase import SAMPLE_RATE


def vowel(pitch: float, seconds: float = 0.8) -> np.ndarray:
    """Glottal pulses through two formants, pitch falling by a fifth about its median."""
    count = int(seconds * SAMPLE_RATE)
    phase = np.cumsum(pitch * np.linspace(1.1, 0.9, count)) / SAMPLE_RATE
    pulses = np.diff(np.floor(phase), prepend=0)
    t = np.arange(600) / SAMPLE_RATE
    throat = sum(np.exp(-t * 400) * np.sin(2 * np.pi * f * t) for f in (650, 1100))
    return np.convolve(pulses, throat)[:count].astype(np.float32)


@pytest.mark.parametrize("pitch", [90, 120, 145, 180, 220, 280])
def test_the_pitch_of_a_vowel(pitch):
    assert median_pitch(vowel(pitch)) == pytest.approx(pitch, rel=0.04)
    assert voice_fits("male_speech", vowel(pitch)) == (pitch < 160)
    assert voice_fits("female_speech", vowel(pitch)) == (pitch > 170)


def test_noise_silence_and_fragments_have_none():
    noise = np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE).astype(np.float32)
    for clip in (noise, np.zeros(SAMPLE_RATE, np.float32), vowel(120)[:500]):
        assert median_pitch(clip) is None
        assert not voice_fits("male_speech", clip)
        assert voice_fits("bell", clip)
