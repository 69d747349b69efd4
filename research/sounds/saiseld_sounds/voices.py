"""Is a voice a woman's or a man's? Its pitch says so, or that it is better left out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.timebase import SAMPLE_RATE

PITCH_HZ = {"female_speech": (170.0, 300.0), "male_speech": (75.0, 160.0)}
"""Where the median pitch of a clip has to lie. Between and beyond are children, actors in disguise,
whispering, and failures of the estimate."""

FRAME = SAMPLE_RATE // 25
"""40 ms: two periods at the lowest pitch."""
LAGS = (SAMPLE_RATE // 450, SAMPLE_RATE // 60)
VOICED = 0.6
"""Least normalised autocorrelation of a voiced frame."""
MIN_VOICED_FRAMES = 8


def median_pitch(clip: NDArray[np.float32]) -> float | None:
    """Return the median fundamental frequency in Hz, or None where too little is voiced.

    Autocorrelation of 40 ms frames, the window's own divided out (Boersma1993); of lags nearly as
    good as the best, the shortest.
    """
    if len(clip) < FRAME:
        return None
    frames = np.lib.stride_tricks.sliding_window_view(clip, FRAME)[:: FRAME // 2]
    power = (frames**2).mean(axis=1)
    frames = frames[power > 0.02 * power.max()]
    window = np.hanning(FRAME)
    likeness = _autocorrelation((frames - frames.mean(axis=1, keepdims=True)) * window)
    likeness /= _autocorrelation(window[None])
    shortest, longest = LAGS
    pitches = []
    for row in likeness[:, shortest:longest]:
        if row.max() < VOICED:
            continue
        lag = int(np.flatnonzero(row > 0.9 * row.max())[0])
        while lag + 1 < len(row) and row[lag + 1] > row[lag]:
            lag += 1
        pitches.append(SAMPLE_RATE / (shortest + lag))
    return float(np.median(pitches)) if len(pitches) >= MIN_VOICED_FRAMES else None


def _autocorrelation(frames: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return each row's autocorrelation up to the longest lag, 1 at lag 0."""
    spectrum = np.abs(np.fft.rfft(frames, 2 * FRAME)) ** 2
    values = np.fft.irfft(spectrum)[:, : LAGS[1]]
    return np.asarray(values / (values[:, :1] + 1e-12))


def voice_fits(class_folder: str, clip: NDArray[np.float32]) -> bool:
    """Return whether a clip can be of a speech class; of any other class it can."""
    if class_folder not in PITCH_HZ:
        return True
    low, high = PITCH_HZ[class_folder]
    pitch = median_pitch(clip)
    return pitch is not None and low <= pitch <= high
