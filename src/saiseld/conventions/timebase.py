"""Only owner of the time base: 24 kHz audio, frames at 10 FPS (docs/conventions.md#time)."""

from __future__ import annotations

SAMPLE_RATE = 24_000
"""Audio rate in Hz."""

FPS = 10
"""Acoustic images a second."""

SAMPLES_PER_FRAME = SAMPLE_RATE // FPS
"""2400 samples: frame k covers samples [2400 k, 2400 (k + 1))."""


def frame_count(samples: int) -> int:
    """Return the number of whole frames in ``samples`` samples at 24 kHz."""
    return samples // SAMPLES_PER_FRAME


def frame_of_time(seconds: float) -> int:
    """Return the frame that holds a time in seconds."""
    return int(seconds * FPS + 1e-9)


def time_of_frame(frame: int) -> float:
    """Return the start of a frame in seconds."""
    return frame / FPS


def clock(seconds: float) -> str:
    """Return a time as minutes:seconds, with hours where there are some."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
