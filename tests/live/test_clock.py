"""Two clocks that run apart: the drift is measured, and a picture stands where it was taken."""

from __future__ import annotations

import numpy as np
import pytest

from saiseld.live.clock import Clock

HOUR = 3600


def arrivals(ppm: float, seconds: float, *, jitter: float = 0.05, seed: int = 0):
    """Yield (sound, time) of blocks of a tenth of a second from a clock that runs ``ppm`` fast."""
    rng = np.random.default_rng(seed)
    for number in range(1, int(seconds * 10) + 1):
        sound = number / 10
        yield sound, 1e6 + sound / (1 + ppm * 1e-6) + rng.exponential(jitter)


@pytest.mark.parametrize("ppm", [-200.0, -50.0, 0.0, 100.0])
def test_the_drift_is_measured_and_corrected(ppm: float) -> None:
    clock = Clock()
    worst = 0.0
    for sound, time in arrivals(ppm, HOUR):
        clock.note(sound, time)
        if sound > 120:
            taken = 1e6 + (sound - 0.03) / (1 + ppm * 1e-6)
            worst = max(worst, abs(clock.sound_at(taken) - (sound - 0.03)))
    assert clock.drift_ppm == pytest.approx(ppm, abs=2)
    # Uncorrected it would be 0.7 s off at 200 millionths.
    assert worst < 0.02


def test_no_drift_is_told_before_it_can_be_known() -> None:
    clock = Clock()
    assert not clock.ready
    for sound, time in arrivals(0, 30):
        clock.note(sound, time)
    assert clock.ready and clock.drift_ppm is None
    assert clock.sound_at(1e6 + 20) == pytest.approx(20, abs=0.02)


def test_after_an_interruption_the_line_begins_anew() -> None:
    clock = Clock()
    for sound, time in arrivals(0, 120):
        clock.note(sound, time)
    for sound, time in arrivals(0, 60):
        clock.note(120 + sound, time + 120 + 40)
    assert clock.sound_at(1e6 + 120 + 40 + 30) == pytest.approx(150, abs=0.05)


def test_sound_that_comes_too_early_moves_the_line_at_once() -> None:
    clock = Clock()
    for sound, time in arrivals(0, 60):
        clock.note(sound, time + 30)
    clock.note(60.1, 1e6 + 60.1)
    assert clock.sound_at(1e6 + 60.1) == pytest.approx(60.1, abs=1e-6)
