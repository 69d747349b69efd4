"""The one way into a recording: opened, found out what its channels are, checked, converted.

`saiseld image`, `detect`, `features`, `live`, `serve` and the calls of Python open recordings here,
so that all of them take the same files for the same thing.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saiseld.arrays.description import MicrophoneArray, read_array
from saiseld.checks.channels import LONGEST_S
from saiseld.checks.recording import AMBISONIC_NAMES as AMBISONIC_NAMES
from saiseld.checks.recording import AMBISONICS as AMBISONICS
from saiseld.checks.recording import FORMATS, check_opened
from saiseld.checks.recording import Format as Format
from saiseld.checks.recording import Layout as Layout
from saiseld.checks.recording import open_for as open_for
from saiseld.checks.video import glance_at_video
from saiseld.data.ambisonics import Converter
from saiseld.data.recordings import Recording, open_recording, recording_of_array
from saiseld.runtime.errors import DataError

_log = logging.getLogger(__name__)


def layout_named(format: str = "auto", array: str | Path | MicrophoneArray | None = None) -> Layout:
    """Return what channels are, by the names that ``--format`` and ``--array`` take.

    Parameters
    ----------
    format
        One of `saiseld.checks.recording.FORMATS`.
    array
        A built-in array's name, a TOML file, or a description; not with a format.

    Raises
    ------
    DataError
        If there is no such format or array, or both are given.
    """
    if format not in FORMATS:
        raise DataError("format", expected=", ".join(FORMATS), found=str(format))
    if array is None:
        return format
    if format != "auto":
        raise DataError(
            "array", expected="an array or a format", found=f"format {format} and an array"
        )
    return array if isinstance(array, MicrophoneArray) else read_array(array)


def open_checked(
    path: str | Path,
    kind: Layout = "auto",
    video: Path | None = None,
    *,
    converter: Converter | None = None,
) -> Recording:
    """Open a recording and look through its first half minute; warnings go to the log.

    Parameters
    ----------
    path
        The recording.
    kind
        What its channels are: a format, or the array whose microphones they are; ``auto`` finds
        out.
    video
        Its video or folder of frames, if there is one.
    converter
        What makes capsules of its channels, instead of ``kind``.

    Raises
    ------
    AudioError
        If it cannot be read, or is certainly not what ``kind`` says.
    VideoError
        If the video is of a projection that cannot be used.
    """
    recording = open_for(path, kind) if converter is None else open_recording(path, converter)
    return _checked(recording, kind, video)


def open_array(
    audio: NDArray[np.number],
    sample_rate: int,
    kind: Layout = "auto",
    video: Path | None = None,
    *,
    name: str = "recording",
    converter: Converter | None = None,
) -> Recording:
    """Return a recording of samples (n, channels) in memory, checked as a file is.

    Parameters
    ----------
    audio
        Floats of full scale 1, or integers of their type's full scale.
    sample_rate
        In Hz.
    kind, video, converter
        As in `open_checked`.
    name
        What the recording is called.

    Raises
    ------
    AudioError, VideoError
        As `open_checked`.
    """
    recording = recording_of_array(audio, sample_rate, name, converter, any_channels=True)
    return _checked(recording, kind, video)


def _checked(recording: Recording, kind: Layout, video: Path | None) -> Recording:
    checked = check_opened(recording, kind, seconds=LONGEST_S)
    findings = checked.findings
    if video is not None:
        findings = [*findings, *glance_at_video(video, recording)]
    for finding in findings:
        if finding.severity == "note" and checked.recording.converter is None:
            continue  # what cannot be told of capsules is for `saiseld doctor`
        level = logging.INFO if finding.severity == "note" else logging.WARNING
        advice = f". {finding.advice}" if finding.advice else ""
        _log.log(level, "%s: %s%s", finding.path, finding.what, advice)
    return checked.recording
