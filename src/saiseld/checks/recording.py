"""Is this recording what it should be? Levels, channels and their order, picture length.

Wavelengths much longer than the array reach all capsules alike, which tells dead, inverted and
unequal ones. Below 1 kHz the sound on the sphere is smooth, which tells a 32-channel file whose
order is wrong. Four tetrahedral capsules are all equally far apart: their order shows only against
known directions, which a tree has.
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saiseld.checks.findings import Finding, unreadable
from saiseld.conventions.arrays import RADIUS_M, TETRAHEDRON, eigenmike_xyz
from saiseld.conventions.timebase import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from saiseld.data.ambisonics import Ambisonics
from saiseld.data.recordings import Recording, open_recording
from saiseld.data.video import open_video
from saiseld.runtime.errors import AudioError, VideoError

_BLOCK_FRAMES = 100
_LOW_HZ = (60.0, 250.0)
_SMOOTH_HZ = (500.0, 1000.0)
_PHASED_HZ = (1000.0, 4000.0)
"""Where the capsules' distances show as phases between them."""
_CLIPPED = 0.999
_DEAD_DB, _LEVEL_DB = 40.0, 6.0
_SMALL_MISFIT, _LARGE_MISFIT = 0.03, 0.3


def check_recording(path: str | Path, video: str | Path | None = None) -> list[Finding]:
    """Return what is wrong or noteworthy in a recording and its video.

    Parameters
    ----------
    path
        WAV or FLAC.
    video
        Its video or folder of frames, if it has one.
    """
    path = Path(path)
    try:
        recording = open_recording(path)
        findings, _ = check_opened(recording)
    except AudioError as error:
        return [unreadable(path, error)]
    if recording.sample_rate != SAMPLE_RATE:
        what = f"sample rate {recording.sample_rate} Hz, not {SAMPLE_RATE} Hz"
        findings.insert(0, Finding("note", path, what, "It is resampled when read"))
    if video is not None:
        findings += check_video(video, recording.frames)
    return findings


def check_opened(
    recording: Recording, *, seconds: float = np.inf
) -> tuple[list[Finding], Ambisonics | None]:
    """Return what its sound says of a recording, and which ambisonics it is if it is any.

    Parameters
    ----------
    recording
        The recording.
    seconds
        How much of it is looked at, from the start.
    """
    path, summary = recording.path, _Summary(recording, seconds)
    if (kind := summary.ambisonics) is None:
        return [*_level_findings(path, summary), *_channel_findings(path, summary)], None
    what = f"the four channels are first-order ambisonics ({kind}), not capsules"
    advice = "Image it as it is: `saiseld image` turns it into capsules"
    return [Finding("error", path, what, advice)], kind


def check_video(video: str | Path, audio_frames: int) -> list[Finding]:
    """Return whether a video can be read and lasts as long as its sound (both in 10 FPS frames)."""
    video = Path(video)
    try:
        pictures = [picture is not None for picture in open_video(video)]
    except VideoError as error:
        return [unreadable(video, error)]
    findings = []
    # A video that ends up to two frames early or late is how cameras stop, not a fault.
    if abs(len(pictures) - audio_frames) > 2:
        findings.append(
            Finding(
                "warning",
                video,
                f"{len(pictures)} video frames for {audio_frames} frames of sound",
                "Frames without a picture are imaged as the ImageNet mean; check that both start "
                "at the same time",
            )
        )
    if not all(pictures):
        what = f"{pictures.count(False)} of {len(pictures)} frames are missing in the folder"
        findings.append(Finding("warning", video, what, "They are imaged as the ImageNet mean"))
    return findings


class _Summary:
    """What one pass over a recording leaves: levels, clipped samples, covariances by frequency."""

    def __init__(self, recording: Recording, seconds: float) -> None:
        self.channels = recording.channels
        self.frequency = np.fft.rfftfreq(SAMPLES_PER_FRAME, 1 / SAMPLE_RATE)
        self.clipped = np.zeros(self.channels, np.int64)
        self.silent_frames = self.frames = 0
        bins = (self.frequency >= _LOW_HZ[0]) & (self.frequency <= _PHASED_HZ[1])
        self.frequency = self.frequency[bins]
        self.covariance = np.zeros((bins.sum(), self.channels, self.channels), complex)
        self.power = np.zeros(self.channels)
        window = np.hanning(SAMPLES_PER_FRAME)[:, None]
        for block in recording.blocks(_BLOCK_FRAMES, tetrahedral=False):
            if self.frames >= seconds * FPS:
                break
            self.frames += len(block) // SAMPLES_PER_FRAME
            self.clipped += (np.abs(block) >= _CLIPPED).sum(axis=0)
            frames = block.reshape(-1, SAMPLES_PER_FRAME, self.channels).astype(float)
            self.power += (frames**2).sum(axis=(0, 1))
            self.silent_frames += int((frames == 0).all(axis=(1, 2)).sum())
            spectrum = np.fft.rfft(frames * window, axis=1)[:, bins]
            self.covariance += np.einsum("tfi,tfj->fij", spectrum.conj(), spectrum)

    def total(self, band: tuple[float, float]) -> NDArray[np.complex128]:
        """Return the covariance between channels, summed over a band in Hz."""
        inside = (self.frequency >= band[0]) & (self.frequency <= band[1])
        return np.asarray(self.covariance[inside].sum(axis=0))

    def coherence(self, band: tuple[float, float]) -> NDArray[np.float64]:
        """Return the real coherence between channels, averaged over a band in Hz."""
        inside = (self.frequency >= band[0]) & (self.frequency <= band[1])
        covariance = self.covariance[inside]
        power = np.einsum("fii->fi", covariance).real
        scale = np.sqrt(power[:, :, None] * power[:, None, :])
        ratio = np.divide(covariance.real, scale, out=np.zeros(scale.shape), where=scale > 0)
        return np.asarray(ratio.mean(axis=0))

    @property
    def ambisonics(self) -> Ambisonics | None:
        """What first-order ambisonics these four channels are, None if they are capsules.

        Long waves reach capsules alike, but W, X, Y and Z as differently as their patterns; and
        those have no phases between them at any frequency, which capsules have. For any field
        X, Y and Z together have the power of W in SN3D, twice that in FuMa.
        """
        if self.channels != 4 or not self.power.all():
            return None
        low = self.coherence(_LOW_HZ)[np.triu_indices(4, 1)]
        phased = self.total(_PHASED_HZ)
        power = np.diag(phased).real
        phase = np.abs(phased.imag) / np.sqrt(np.outer(power, power))
        if low.min() > 0.7 or phase[np.triu_indices(4, 1)].mean() > 0.08:
            return None
        share = power[1:].sum() / power[0]
        if 0.6 < share < 1.45:
            return "ambix"
        return "fuma" if 1.55 < share < 2.4 else None

    def level_db(self, band: tuple[float, float]) -> NDArray[np.float64]:
        """Return each channel's level in a band against the median channel."""
        power = np.diag(self.total(band)).real
        median = np.median(power)
        return np.asarray(10 * np.log10(np.maximum(power, 1e-30) / max(median, 1e-30)))


def _level_findings(path: Path, summary: _Summary) -> list[Finding]:
    if summary.silent_frames == summary.frames:
        return [Finding("error", path, "every sample is zero", "Record again")]
    findings = []
    if summary.silent_frames:
        what = f"{summary.silent_frames} of {summary.frames} frames are exactly zero"
        findings.append(Finding("warning", path, what, "Nothing is imaged there"))
    for channel in np.flatnonzero(summary.clipped > 2):
        what = f"channel {channel + 1}: {summary.clipped[channel]} samples at full scale"
        findings.append(
            Finding("warning", path, what, "Clipped sound bends directions; lower the gain")
        )
    return findings


def _channel_findings(path: Path, summary: _Summary) -> list[Finding]:
    median = np.median(summary.power)
    dead = summary.power < max(median, 1e-30) * 10 ** (-_DEAD_DB / 10)
    if summary.silent_frames == summary.frames or dead.all():
        return []
    findings = [
        Finding("error", path, f"channel {c + 1} is dead", "Check the capsule and its cable")
        for c in np.flatnonzero(dead)
    ]
    low, smooth = summary.coherence(_LOW_HZ), summary.coherence(_SMOOTH_HZ)
    alive = np.flatnonzero(~dead)
    for first, second in zip(*np.nonzero(np.triu(smooth > 0.9999, 1)), strict=True):
        what = f"channels {first + 1} and {second + 1} hold the same sound"
        findings.append(Finding("error", path, what, "A channel was written twice"))
    inverted = [c for c in alive if np.median(low[c, alive[alive != c]]) < -0.2]
    findings += [
        Finding(
            "error", path, f"channel {c + 1} has inverted polarity", "Swap its two signal wires"
        )
        for c in inverted
    ]
    level = summary.level_db(_LOW_HZ)
    for c in alive[np.abs(level[alive]) > _LEVEL_DB]:
        what = f"channel {c + 1} is {level[c]:+.1f} dB from the others at low frequency"
        findings.append(Finding("warning", path, what, "Calibrate the capsules' gains"))
    if not findings:
        findings += _order_findings(path, summary.channels, summary.total(_SMOOTH_HZ))
    return findings


def _order_findings(path: Path, channels: int, covariance: NDArray[np.complex128]) -> list[Finding]:
    """Find swapped channels: below 1 kHz a sphere of 4.2 cm hears no more than order 2.

    Whatever the sources, the 32 signals then lie in the nine dimensions of the spherical harmonics
    up to order 2 at the capsules. Swaps are undone greedily while they bring the sound back there.
    """
    if channels == len(TETRAHEDRON):
        what = "the order of four channels cannot be told from sound alone"
        advice = "Check a tree with its event directions: saiseld doctor TREE"
        return [Finding("note", path, what, advice)]
    x, y, z = eigenmike_xyz().T / RADIUS_M
    basis, _ = np.linalg.qr(np.stack([x**0, x, y, z, x * y, y * z, z * x, x * x, y * y], axis=1))
    outside = np.eye(channels) - basis @ basis.T

    def misfit(order: NDArray[np.int64]) -> float:
        return float(np.sum(outside * covariance[np.ix_(order, order)].real) / total)

    # What all capsules hear alike fits any order: only what differs between them counts.
    differing = np.eye(channels) - 1 / channels
    total = float(np.sum(differing * covariance.real))
    order = np.arange(channels)
    left = misfit(order)
    findings = []
    while left > _SMALL_MISFIT:
        trials = []
        for first, second in combinations(range(channels), 2):
            trial = order.copy()
            trial[[first, second]] = trial[[second, first]]
            trials.append((misfit(trial), first, second, trial))
        best, first, second, trial = min(trials, key=lambda t: t[0])
        if best > 0.7 * left:
            break
        left, order = best, trial
        what = f"channels {first + 1} and {second + 1} are swapped"
        findings.append(Finding("error", path, what, "Write the channels in capsule order 1-32"))
    if left > _LARGE_MISFIT:
        what = f"{left:.0%} of the sound below 1 kHz does not fit the em32's geometry"
        findings.append(
            Finding("warning", path, what, "Check the capsule order and the capsules' noise")
        )
    return findings
