"""Open a recording the way it was made, and say at once what will not image well."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

from saiseld.checks.recording import check_opened
from saiseld.data.recordings import Recording, open_recording
from saiseld.data.video import video_size
from saiseld.runtime.errors import AudioError

Format = Literal["auto", "mic", "em32", "foa"]
"""``mic``: the tetrahedron's capsules; ``em32``: all 32; ``foa``: first-order ambisonics."""

_SECONDS = 30.0
"""How much of a recording is looked at: what is wrong with an array is so from the start."""

_log = logging.getLogger(__name__)


def open_checked(path: Path, kind: Format = "auto", video: Path | None = None) -> Recording:
    """Open a recording and look through its first half minute; warnings go to the log.

    Parameters
    ----------
    path
        The recording.
    kind
        What its channels are; ``auto`` tells ambisonics from capsules.
    video
        Its video, if there is one.

    Raises
    ------
    AudioError
        If it cannot be read, or is certainly not what ``kind`` says.
    """
    recording = open_recording(path)
    wanted = {"mic": 4, "foa": 4, "em32": 32}.get(kind, recording.channels)
    if recording.channels != wanted:
        raise AudioError(
            path,
            place="channels",
            expected=f"{wanted} (--format {kind})",
            found=f"{recording.channels}",
        )
    findings, ambisonics = check_opened(recording, seconds=_SECONDS)
    if kind == "foa" or (kind == "auto" and ambisonics):
        form = ambisonics or "ambix"
        if kind == "auto":
            _log.warning("%s: first-order ambisonics (%s), turned into capsules", path, form)
        return open_recording(path, form)
    if kind != "mic" or not ambisonics:
        for finding in findings:
            if finding.severity == "note":
                continue
            _log.warning("%s: %s. %s", path, finding.what, finding.advice)
    else:
        _log.warning("%s: looks like first-order ambisonics, imaged as capsules as asked", path)
    if video is not None and (size := video_size(video)) and size[0] != 2 * size[1]:
        _log.warning(
            "%s: %d x %d pixels, but a 360 degree panorama is twice as wide as high", video, *size
        )
    return recording
