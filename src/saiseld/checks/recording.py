"""Is this recording what it should be? Levels, channels and their order, picture length.

Wavelengths much longer than the array reach all capsules alike, which tells dead, inverted and
unequal ones. Below 1 kHz the sound on the sphere is smooth, which tells a 32-channel file whose
order is wrong. Four tetrahedral capsules are all equally far apart: their order shows only against
known directions, which a tree has.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from saiseld.arrays.converter import converter_for
from saiseld.arrays.description import MicrophoneArray, tetrahedron
from saiseld.checks.arrays import a_format_findings, array_findings, geometry_findings
from saiseld.checks.channels import Recognition, order_of, recognise
from saiseld.checks.findings import Finding, unreadable
from saiseld.checks.summary import ChannelSummary, dead_channels
from saiseld.checks.video import check_video
from saiseld.conventions.arrays import RADIUS_M, TETRAHEDRON, eigenmike_xyz
from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.data.ambisonics import FUMA_WITHOUT_Z, AmbisonicConverter, AmbisonicFormat
from saiseld.data.recordings import Recording, open_recording
from saiseld.data.video import find_video
from saiseld.runtime.errors import AudioError, VideoError

_LOW_HZ = (60.0, 250.0)
_SMOOTH_HZ, _SHORT_HZ = (500.0, 1000.0), (2000.0, 4000.0)
Format = Literal["auto", "mic", "em32", "foa", "n3d", "fuma", "a-format"]
"""What a recording's channels are. ``mic``: the tetrahedron's capsules; ``em32``: all 32; ``foa``:
ambiX (ACN in SN3D) of any order; ``n3d``, ``fuma``, ``a-format``: see `AmbisonicFormat`."""
FORMATS: tuple[Format, ...] = get_args(Format)
Layout = Format | MicrophoneArray
"""What a recording's channels are: a format, or the microphones of a described array."""
AMBISONICS: dict[Format, AmbisonicFormat] = {
    "foa": "ambix",
    "n3d": "n3d",
    "fuma": "fuma",
    "a-format": "a-format",
}
AMBISONIC_NAMES: dict[AmbisonicFormat, str] = {
    "ambix": "ambisonics, ambiX (ACN, SN3D)",
    "n3d": "ambisonics in N3D (ACN)",
    "fuma": "ambisonics, FuMa B-format",
    "a-format": "A-format of four cardioids",
}
_LEVEL_DB = 6.0
_COPY = 1 - 1e-6
"""Coherence of copies, though they were rounded to 16 bits anew."""
_SMALL_MISFIT, _LARGE_MISFIT = 0.03, 0.3


def open_for(path: str | Path, channels: Layout = "auto") -> Recording:
    """Open a recording for `check_opened`, not converted.

    Parameters
    ----------
    path
        The file.
    channels
        What its channels are.

    Raises
    ------
    AudioError
        As `open_recording`; an array refuses numbers of channels by its name.
    """
    if isinstance(channels, MicrophoneArray):
        return replace(open_recording(path, converter_for(channels)), converter=None)
    return open_recording(path, any_channels=True)


def check_recording(
    path: str | Path, video: str | Path | None = None, channels: Layout = "auto"
) -> list[Finding]:
    """Return what is wrong or noteworthy in a recording and its video.

    Parameters
    ----------
    path
        WAV, FLAC or another sound file.
    video
        Its video or folder of frames, or a folder of several, if it has one.
    channels
        What its channels are.
    """
    path = Path(path)
    try:
        with _captured_warnings() as messages:
            recording = open_for(path, channels)
        checked = check_opened(recording, channels)
    except AudioError as error:
        return [unreadable(path, error)]
    findings = [Finding("warning", path, text) for text in messages]
    findings += checked.findings
    if recording.sample_rate != SAMPLE_RATE:
        what = f"sample rate {recording.sample_rate} Hz, not {SAMPLE_RATE} Hz"
        findings.insert(0, Finding("note", path, what, "It is resampled when read"))
    if video is not None:
        findings += _video_findings(Path(video), recording)
    return findings


def _video_findings(video: Path, recording: Recording) -> list[Finding]:
    """Return what is wrong with a recording's video, found as `saiseld image` finds it."""
    try:
        with _captured_warnings() as messages:
            own = find_video(video, recording.name)
    except VideoError as error:
        return [unreadable(video, error)]
    if own is None:
        return [Finding("warning", video, text) for text in messages]
    return check_video(own, recording.frames)


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found of a recording.

    Parameters
    ----------
    recording
        It, with what makes capsules of its channels.
    findings
        What is wrong or noteworthy.
    """

    recording: Recording
    findings: list[Finding]


def check_opened(
    recording: Recording, channels: Layout = "auto", *, seconds: float = np.inf
) -> Checked:
    """Find out what the channels of a recording are, and what its sound says of it.

    Parameters
    ----------
    recording
        Opened with any number of channels.
    channels
        What they are: a format, or the array whose microphones they are; ``auto`` finds out.
    seconds
        How much of it is looked at, from the start.

    Raises
    ------
    AudioError
        If they cannot be what ``channels`` says, or be used at all.
    """
    path = recording.path
    if recording.converter is not None:
        return Checked(recording, [])
    if isinstance(channels, MicrophoneArray):
        converted = recording.converted_by(converter_for(channels))
        return Checked(converted, array_findings(recording, channels, seconds))
    number = {"mic": 4, "em32": 32}.get(channels, recording.channels)
    if recording.channels != number:
        raise AudioError(
            path,
            place="channels",
            expected=f"{number} (--format {channels})",
            found=f"{recording.channels}",
        )
    summary = ChannelSummary(recording, seconds)
    if channels in AMBISONICS:
        converter = AmbisonicConverter(AMBISONICS[channels])
        converted, findings = recording.converted_by(converter), []
        if recording.says not in (None, converter.format):
            what = f"the file says that it holds {recording.says}, read as {converter.name}"
            findings.append(Finding("warning", path, what, "Leave out --format to believe it"))
        if converter.format == "a-format":
            findings += a_format_findings(recording, seconds)
        converted = recording.converted_by(replace(converter, order=order_of(summary)))
        return Checked(converted, [*findings, *_level_findings(path, summary)])
    found = recognise(recording, summary)
    if channels != "auto":
        return Checked(recording, _of_capsules(recording, summary, found, seconds))
    if found.format is None:
        # What is no ambisonics, with another number of channels, is refused here.
        capsules = recording.converted_by(None)
        return Checked(capsules, _of_capsules(capsules, summary, found, seconds))
    order = order_of(summary)
    findings = [_recognised(recording, found, order), *_level_findings(path, summary)]
    if found.format == "a-format":
        findings += a_format_findings(recording, seconds)
    return Checked(recording.converted_by(AmbisonicConverter(found.format, order)), findings)


def _recognised(recording: Recording, found: Recognition, order: int) -> Finding:
    assert found.format is not None
    what = f"{AMBISONIC_NAMES[found.format]}"
    is_flat = found.format == "fuma" and recording.channels in FUMA_WITHOUT_Z
    if recording.channels > 4:
        used = 3 if is_flat else (order + 1) ** 2
        what += f", the first {used} of {recording.channels} channels"
    what += f" ({found.reason}), converted to capsules"
    if found.is_sure:
        return Finding("note", recording.path, what)
    what = f"probably {what}"
    if found.format == "a-format":
        what += "; capsules read as front left up, front right down, back left down, back right up"
    option = "foa" if found.format == "ambix" else found.format
    others = ", ".join(name for name in FORMATS if name not in ("auto", "em32", option))
    advice = f"Say --format {option} if that is right, or another ({others})"
    if found.format == "a-format":
        advice += "; capsules in another order are described with --array FILE.toml"
    return Finding("warning", recording.path, what, advice)


def _of_capsules(
    recording: Recording, summary: ChannelSummary, found: Recognition, seconds: float
) -> list[Finding]:
    path = recording.path
    findings = [*_level_findings(path, summary), *_channel_findings(path, summary)]
    if found.format is not None and recording.channels == 4:
        what = f"imaged as capsules, as asked, but looks like {AMBISONIC_NAMES[found.format]}"
        return [Finding("warning", path, what, "Leave out --format mic")]
    is_odd = not found.is_sure and summary.silent_frames < summary.frames
    if is_odd and not any(finding.severity == "error" for finding in findings):
        what = f"the four channels are like neither capsules nor ambisonics: {found.reason}"
        advice = "Say what they are with --format (mic, foa, n3d, fuma, a-format)"
        findings.append(Finding("warning", path, what, advice))
    if recording.channels == len(TETRAHEDRON) and not any(f.severity == "error" for f in findings):
        findings += geometry_findings(recording, tetrahedron(), seconds)
    return findings


@contextmanager
def _captured_warnings() -> Iterator[list[str]]:
    """Yield what readers warn of in this block, without the name of the file."""
    messages: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage()
            messages.append(text.partition(": ")[2] or text)

    logger, handler = logging.getLogger("saiseld.data"), Collector(logging.WARNING)
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagated


def _level_findings(path: Path, summary: ChannelSummary) -> list[Finding]:
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


def _channel_findings(path: Path, summary: ChannelSummary) -> list[Finding]:
    dead = dead_channels(summary.power, silence=1e-30)
    if summary.silent_frames == summary.frames or dead.all():
        return []
    findings = [
        Finding("error", path, f"channel {c + 1} is dead", "Check the capsule and its cable")
        for c in np.flatnonzero(dead)
    ]
    low, smooth = summary.coherence(_LOW_HZ), summary.coherence(_SMOOTH_HZ)
    alive = np.flatnonzero(~dead)
    # Neighbouring capsules are alike where waves are long, those that a wave reaches at once
    # nearly so everywhere; copies are the same.
    same = (smooth > _COPY) & (summary.coherence(_SHORT_HZ) > _COPY)
    for first, second in zip(*np.nonzero(np.triu(same, 1)), strict=True):
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
