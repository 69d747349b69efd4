"""Tells a copy of a sound: recoded, at another gain, or with another beginning and end."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter
from scipy.signal import stft

from saiseld.conventions.timebase import SAMPLE_RATE

Signal = NDArray[np.float32]

BAND_HZ = 7000.0
ALIKE = 0.995
"""Fingerprints with a higher correlation, of clips equally long to 2 %, are of one sound."""

PEAKS_A_SECOND = 25
PEAK_RANGE_DB = 45.0
"""Peaks further under the highest are noise of a codec."""
PARTNERS = 4
"""Each peak is paired with this many that follow it, up to a second later."""
SHARED = 0.15
"""Clips with a larger share of landmarks in common, at one shift in time, are of one sound."""
MIN_SHARED = 8


def fingerprint(clip: Signal) -> NDArray[np.float64]:
    """Return how energy lies over 12 bands and 24 points in time: a unit vector, shape (288,)."""
    _, _, spectrum = stft(clip, SAMPLE_RATE, nperseg=512, noverlap=384)
    edges = np.geomspace(4, BAND_HZ / SAMPLE_RATE * 512, 13).astype(int)
    bands = np.add.reduceat(np.abs(spectrum) ** 2, edges, axis=0)[:12]
    times = np.linspace(0, bands.shape[1] - 1, 24)
    picture = np.array([np.interp(times, np.arange(bands.shape[1]), band) for band in bands])
    loudness: NDArray[np.float64] = np.log(picture + 1e-6 * picture.max()).ravel()
    loudness -= loudness.mean()
    return np.asarray(loudness / (np.linalg.norm(loudness) + 1e-12))


def landmarks(clip: Signal) -> list[tuple[int, int]]:
    """Return pairs of spectral peaks as (code, frame): both frequencies, and the time between.

    Wang2003.
    """
    if len(clip) < 2048:
        return []
    _, _, spectrum = stft(clip, SAMPLE_RATE, nperseg=1024, noverlap=768)
    level = 20 * np.log10(np.abs(spectrum[: int(BAND_HZ / SAMPLE_RATE * 1024)]) + 1e-9)
    high = (level == maximum_filter(level, (11, 9))) & (level > level.max() - PEAK_RANGE_DB)
    bins, frames = np.nonzero(high)
    most = int(PEAKS_A_SECOND * len(clip) / SAMPLE_RATE) + 5
    strongest = np.argsort(-level[bins, frames], kind="stable")[:most]
    peaks = sorted(zip(frames[strongest].tolist(), bins[strongest].tolist(), strict=True))
    found = []
    for at, (frame, low) in enumerate(peaks):
        for later, high_bin in peaks[at + 1 : at + 1 + PARTNERS]:
            if 0 < later - frame < 94:
                found.append(((low << 16) + (high_bin << 7) + later - frame, frame))
    return found


class Seen:
    """Sounds met so far, to tell a copy by.

    Parameters
    ----------
    clips
        Sounds to begin with.
    """

    def __init__(self, clips: Iterable[Signal] = ()) -> None:
        self._lengths: list[int] = []
        self._fingerprints: list[NDArray[np.float64]] = []
        self._counts: list[int] = []
        self._places: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        for clip in clips:
            self._remember(clip, fingerprint(clip), landmarks(clip))

    def is_copy(self, clip: Signal) -> bool:
        """Return whether a clip is one met before, exactly or nearly; remember it if not."""
        shape, marks = fingerprint(clip), landmarks(clip)
        if self._has_shape(len(clip), shape) or self._has_marks(marks):
            return True
        self._remember(clip, shape, marks)
        return False

    def _has_shape(self, length: int, shape: NDArray[np.float64]) -> bool:
        return any(
            abs(other / length - 1) < 0.02 and old @ shape > ALIKE
            for other, old in zip(self._lengths, self._fingerprints, strict=True)
        )

    def _has_marks(self, marks: list[tuple[int, int]]) -> bool:
        votes = Counter(
            (clip, at - frame) for code, at in marks for clip, frame in self._places.get(code, ())
        )
        for (clip, shift), _ in votes.most_common(3):
            shared = sum(votes[clip, shift + near] for near in (-1, 0, 1))
            fewest = min(len(marks), self._counts[clip])
            if shared >= max(MIN_SHARED, SHARED * fewest):
                return True
        return False

    def _remember(
        self, clip: Signal, shape: NDArray[np.float64], marks: list[tuple[int, int]]
    ) -> None:
        for code, frame in marks:
            self._places[code].append((len(self._counts), frame))
        self._lengths.append(len(clip))
        self._fingerprints.append(shape)
        self._counts.append(len(marks))
