"""Is this tree what it should be? Files there, readable, of one length, and of one mind.

Label frames and directions are held against the events CSV, and both against the sound: a frame's
power is steered to where an event is said to be, to where a mirror would have it, and to where it
is said to be some frames before or after. Four capsules suffice for that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from saiseld.acoustics.covariance import visibility
from saiseld.checks.findings import Finding, Severity, unreadable
from saiseld.checks.recording import check_recording
from saiseld.conventions.arrays import TETRAHEDRON, eigenmike_xyz
from saiseld.conventions.bands import FRONT_END_CENTRES
from saiseld.conventions.rigid_sphere import SPEED_OF_SOUND
from saiseld.conventions.sphere import angles_of_pixel, great_circle, unit_vector, wrap_azimuth
from saiseld.data.recordings import open_recording
from saiseld.data.stairs26 import DatasetRecording, Stairs26Dataset, open_dataset
from saiseld.data.video import open_video
from saiseld.formats.annotation import EnergyMask, read_annotations
from saiseld.formats.events import Event, read_events
from saiseld.runtime.errors import InputError
from saiseld.runtime.parallel import run_all

FloatArray = NDArray[np.float64]

_MAX_SHIFT = 20
_SOUND_SHIFT = 3
"""Annotators are a frame or two early or late; three all along are not theirs."""
_FEWEST = 20
"""Frames that a verdict on directions or times needs."""
_SIGNIFICANT = 3.0
"""Standard errors that a shift in time must gain in power."""
_CLEARLY = 1.02
_MASK_RADIUS_DEG = 25.0

_MIRRORS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "mirrored left to right": lambda azimuth: -azimuth,
    "mirrored front to back": lambda azimuth: 180 - azimuth,
    "turned half round": lambda azimuth: 180 + azimuth,
}


class _Sources(NamedTuple):
    """What a file says: who sounds when and where, (n,) each; directions in degrees."""

    path: Path
    frame: NDArray[np.int64]
    class_id: NDArray[np.int64]
    source: NDArray[np.int64]
    azimuth: FloatArray
    elevation: FloatArray

    def rows(self, shift: int = 0) -> dict[tuple[int, int, int], int]:
        """Return the row of each (frame, class, source), ``shift`` frames later."""
        columns = (self.frame + shift, self.class_id, self.source)
        return {
            key: row for row, key in enumerate(zip(*(c.tolist() for c in columns), strict=True))
        }


def check_dataset(path: str | Path, *, jobs: int = 1) -> list[Finding]:
    """Return what is wrong or noteworthy in a STAIRS26 tree, worst first.

    Parameters
    ----------
    path
        Folder of ``eigen_dev`` or ``mic_dev``, ``labels_dev``, ...
    jobs
        Recordings at a time.
    """
    path = Path(path)
    try:
        dataset = open_dataset(path)
    except InputError as error:
        return [unreadable(path, error)]
    findings = [*_missing_files(dataset), *_shared_rooms(dataset)]
    tasks = {recording.name: (recording,) for recording in dataset.recordings}
    for found in run_all(_check, tasks, jobs=jobs, title="checking").values():
        findings += found
    return sorted(findings, key=lambda f: ("error", "warning", "note").index(f.severity))


def _missing_files(dataset: Stairs26Dataset) -> list[Finding]:
    findings = []
    kinds: tuple[tuple[str, Severity, Severity, str], ...] = (
        ("audio", "error", "error", "Put it into eigen_dev or mic_dev"),
        ("labels", "error", "error", "Make them with `saiseld label`"),
        ("video", "warning", "note", "Frames without a picture are imaged by sound alone"),
        ("events", "warning", "note", "Without events, directions and times cannot be checked"),
    )
    for kind, severity, all_severity, advice in kinds:
        without = [r for r in dataset.recordings if getattr(r, kind) is None]
        if len(without) == len(dataset.recordings):
            what = f"no recording has {kind}"
            findings.append(Finding(all_severity, dataset.path, what, advice))
        else:
            findings += [
                Finding(severity, dataset.path, f"{r.folder}/{r.name} has no {kind}", advice)
                for r in without
            ]
    return findings


def _shared_rooms(dataset: Stairs26Dataset) -> list[Finding]:
    return [
        Finding(
            "error",
            dataset.path,
            f"room {room} has recordings in dev-train and in dev-test",
            "What is learnt from a room must not be scored in it",
        )
        for room in sorted(dataset.shared_rooms())
    ]


def _check(recording: DatasetRecording) -> list[Finding]:
    findings: list[Finding] = []
    frames = 0
    if recording.audio is not None:
        of_recording = check_recording(recording.audio, recording.video)
        # A recording's notes are about what cannot be told from it alone: here it is told.
        findings += [finding for finding in of_recording if finding.severity != "note"]
        if not any(f.path == recording.audio and f.severity == "error" for f in of_recording):
            frames = open_recording(recording.audio).frames
    if recording.video is not None and recording.video.is_dir():
        findings += _check_numbering(recording.video)
    labels = _read(recording.labels, lambda path: _by_labels(read_annotations(path)), findings)
    events = _read(recording.events, read_events, findings)
    if labels and events:
        findings += _compare(labels, events)
    if recording.audio is not None and frames:
        for source in filter(None, (labels, events)):
            findings += _check_length(source, frames)
        first = events or labels
        if first:
            findings += _check_against_sound(first, recording.audio)
    return findings


def _read(
    path: Path | None, read: Callable[[Path], Sequence[Event]], findings: list[Finding]
) -> _Sources | None:
    if path is None:
        return None
    try:
        columns = np.array([event[:5] for event in read(path)], float).reshape(-1, 5).T
    except InputError as error:
        findings.append(unreadable(path, error))
        return None
    return _Sources(path, *columns[:3].astype(np.int64), *columns[3:])


def _by_labels(masks: Sequence[EnergyMask]) -> list[Event]:
    """Return the masks as events in the direction of their peaks, NaN where a mask is empty."""
    events = []
    for mask in masks:
        azimuth, elevation = np.nan, np.nan
        points = np.concatenate([*mask.segmentation, np.zeros((0, 3))])
        if len(points):
            x, y, _ = points[points[:, 2].argmax()]
            azimuth, elevation = (float(angle) for angle in angles_of_pixel(x, y))
        events.append(Event(mask.frame, mask.class_id, mask.instance_id, azimuth, elevation))
    return events


def _check_numbering(folder: Path) -> list[Finding]:
    try:
        first = next(open_video(folder))
    except InputError:
        return []  # reported with the recording
    if first is not None:
        return []
    what = "frame 0 is missing"
    return [Finding("error", folder, what, "Frames count from zero: <recording>_0000.png")]


def _check_length(source: _Sources, frames: int) -> list[Finding]:
    beyond = source.frame[source.frame >= frames]
    if not len(beyond):
        return []
    what = (
        f"{len(beyond)} entries beyond the {frames} frames of the recording, up to {beyond.max()}"
    )
    advice = "Are they of this recording, at 10 frames a second?"
    return [Finding("error", source.path, what, advice)]


def _compare(labels: _Sources, events: _Sources) -> list[Finding]:
    """Hold label masks against events: the same ones, at the same time, in the same direction."""
    labelled = labels.rows().keys()
    shifts = sorted(range(-_MAX_SHIFT, _MAX_SHIFT + 1), key=abs)
    best = max(shifts, key=lambda shift: len(labelled & events.rows(shift).keys()))
    if best:
        what = f"labels are {_late(best)} against the events CSV"
        advice = "Frames count from zero, ten a second, in both"
        return [Finding("error", labels.path, what, advice)]
    findings = []
    for what, left in (
        ("label masks without an event", labelled - events.rows().keys()),
        ("events without a label mask", events.rows().keys() - labelled),
    ):
        if left:
            frame, class_id, source = min(left)
            where = f"{len(left)} {what}, first in frame {frame}: class {class_id}, source {source}"
            findings.append(
                Finding("warning", labels.path, where, "Make labels and events anew together")
            )
    return [*findings, *_compare_directions(labels, events)]


def _compare_directions(labels: _Sources, events: _Sources) -> list[Finding]:
    rows = events.rows()
    pairs = [
        (row, rows[key])
        for key, row in labels.rows().items()
        if key in rows and np.isfinite(labels.azimuth[row])
    ]
    if len(pairs) < _FEWEST:
        return []
    mine, theirs = np.array(pairs).T

    def apart(azimuth: FloatArray) -> float:
        away = great_circle(
            labels.azimuth[mine], labels.elevation[mine], azimuth, events.elevation[theirs]
        )
        return float(np.median(away))

    azimuth = events.azimuth[theirs]
    as_given = apart(azimuth)
    if as_given <= _MASK_RADIUS_DEG:
        return []
    mirrored = {name: apart(mirror(azimuth)) for name, mirror in _MIRRORS.items()}
    nearest = min(mirrored, key=lambda name: mirrored[name])
    what = f"label peaks lie {as_given:.0f}° from their events"
    if mirrored[nearest] <= _MASK_RADIUS_DEG:
        what += f"; {nearest} they agree"
    return [
        Finding("error", labels.path, what, "Azimuth is positive to the left: x = 180 - azimuth")
    ]


def _check_against_sound(source: _Sources, audio: Path) -> list[Finding]:
    """Hold directions and times against the sound, in frames where a single source is active."""
    counts = np.bincount(source.frame) if len(source.frame) else np.zeros(1)
    alone = np.flatnonzero((counts[source.frame] == 1) & np.isfinite(source.azimuth))
    if len(alone) < _FEWEST:
        return []
    frame, azimuth, elevation = source.frame[alone], source.azimuth[alone], source.elevation[alone]
    blocks = open_recording(audio).blocks()
    covariance = np.concatenate([visibility(block, dtype=np.complex64) for block in blocks])

    def steered(azimuth: FloatArray, shift: int = 0) -> FloatArray:
        """Return the power of every entry, NaN where it is shifted out of the recording."""
        inside = (frame + shift >= 0) & (frame + shift < len(covariance))
        found = np.full(len(frame), np.nan)
        found[inside] = _steered_power(
            covariance[frame[inside] + shift], azimuth[inside], elevation[inside]
        )
        return found

    as_given = steered(azimuth)
    here = float(np.nanmean(as_given))
    mirrored = {
        name: float(np.nanmean(steered(wrap_azimuth(mirror(azimuth)))))
        for name, mirror in _MIRRORS.items()
    }
    louder = max(mirrored, key=lambda name: mirrored[name])
    if mirrored[louder] > _CLEARLY * here:
        what = (
            f"directions fit the sound better {louder}: from there come {mirrored[louder]:.2f} "
            f"times the mean power, from where they are {here:.2f} times"
        )
        advice = (
            "Azimuth is positive to the left; or the four channels are not capsules 6, 10, 26, 22 "
            "in this order"
        )
        return [Finding("error", source.path, what, advice)]
    gain = {
        shift: _standardised(steered(azimuth, -shift) - as_given)
        for shift in range(-_MAX_SHIFT, _MAX_SHIFT + 1)
        if abs(shift) >= _SOUND_SHIFT
    }
    best = max(gain, key=lambda shift: gain[shift])
    if gain[best] > _SIGNIFICANT:
        what = f"entries are {_late(best)} against the sound"
        return [Finding("error", source.path, what, "Frame k is the sound from k / 10 s on")]
    return []


def _standardised(difference: FloatArray) -> float:
    """Return the mean over its standard error; 0 where too few entries have a value."""
    finite = difference[np.isfinite(difference)]
    if len(finite) < _FEWEST or not finite.any():
        return 0.0
    return float(finite.mean() / (finite.std() / np.sqrt(len(finite))))


def _steered_power(
    covariance: NDArray[np.complexfloating], azimuth: FloatArray, elevation: FloatArray
) -> FloatArray:
    """Return the power (n,) of covariances (n, 9, 4, 4) from one direction each; 1 if diffuse."""
    capsules = eigenmike_xyz()[list(TETRAHEDRON)]
    advance = unit_vector(azimuth, elevation) @ capsules.T
    wave_number = 2 * np.pi * np.array(FRONT_END_CENTRES) / SPEED_OF_SOUND
    steer = np.exp(-1j * wave_number[:, None] * advance[:, None, :])
    beam = np.einsum("nbi,nbij,nbj->nb", steer.conj(), covariance, steer, optimize=True).real
    trace = np.einsum("nbii->nb", covariance).real
    return np.asarray(np.divide(beam, trace, out=np.ones_like(beam), where=trace > 0).mean(axis=1))


def _late(shift: int) -> str:
    return f"{abs(shift)} frames {'late' if shift > 0 else 'early'}"
