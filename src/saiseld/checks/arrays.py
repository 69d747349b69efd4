"""Whether a recording's sound fits the array that it is said to be of."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from saiseld.arrays.description import MicrophoneArray, read_array, tetrahedron
from saiseld.arrays.geometry import GeometryFit, GeometryModel, check_geometry, look_alikes
from saiseld.checks.findings import Finding
from saiseld.checks.summary import dead_channels
from saiseld.conventions.timebase import FPS
from saiseld.data.recordings import Recording

LONGEST_S = 30.0
"""How much of a recording is compared with a geometry, at most."""
_BLOCK_FRAMES = 100


def array_findings(
    recording: Recording, array: MicrophoneArray, seconds: float = np.inf
) -> list[Finding]:
    """Return what is wrong with the microphones of a described array, and what is assumed.

    Parameters
    ----------
    recording
        As it is stored, not converted.
    array
        The array.
    seconds
        How much of it is looked at, from the start.
    """
    path = recording.path
    what = f"{array.microphones} microphones of {array.name}"
    if array.elevation_assumed:
        mean, deviation = array.elevation
        what += f", elevation assumed ({mean:g} ± {deviation:g} degrees, {array.half})"
    findings = [Finding("note", path, f"{what}, converted to capsules")]
    sound = _microphones(recording, array, min(seconds, LONGEST_S))
    power = np.square(sound, dtype=float).mean(axis=0)
    if not power.any():
        return [Finding("error", path, "every sample is zero", "Record again")]
    dead = dead_channels(power)
    channels = np.array(array.channels_of(recording.channels, path)) + 1
    for channel in channels[dead]:
        advice = "Check the microphone, and `channels` in the array's description"
        findings.append(Finding("error", path, f"channel {channel} is dead", advice))
    return findings if dead.any() else findings + _not_fitting(recording, array, sound)


def geometry_findings(
    recording: Recording, array: MicrophoneArray, seconds: float = np.inf
) -> list[Finding]:
    """Return a warning where the sound clearly fits another array better, else nothing.

    Parameters are those of `array_findings`.
    """
    sound = _microphones(recording, array, min(seconds, LONGEST_S))
    return _not_fitting(recording, array, sound)


def a_format_findings(recording: Recording, seconds: float = np.inf) -> list[Finding]:
    """Return which radius the sound of an A-format recording shows, or what else it fits.

    Parameters
    ----------
    recording
        Four channels, as they are stored.
    seconds
        How much of it is looked at, from the start.
    """
    tetrahedral, others = _models("a-format")
    sound = _microphones(recording, tetrahedral.array, min(seconds, LONGEST_S))
    fit = check_geometry(sound, tetrahedral, others)
    if fit is None:
        return []
    if not fit.fits and fit.best.model != "cardioid":
        return _not_fitting(recording, tetrahedral.array, sound)
    radius = float(np.linalg.norm(fit.best.positions_m, axis=1).mean())
    capsules = float(np.linalg.norm(tetrahedron().positions_m, axis=1).mean())
    what = (
        f"phases and levels fit cardioids {100 * radius:.1f} cm from their middle best; they are "
        f"not those of capsules on a sphere of {100 * capsules:.1f} cm"
    )
    return [Finding("note", recording.path, what)]


def _not_fitting(
    recording: Recording, array: MicrophoneArray, sound: NDArray[np.float32]
) -> list[Finding]:
    fit = _fit(sound, array)
    if fit is None or fit.fits:
        return []
    radius = 100 * float(np.linalg.norm(array.positions_m, axis=1).mean())
    what = (
        f"phases and levels do not fit {array.name} ({array.model}, radius {radius:.1f} cm): they "
        f"fit {_named(fit.best)} ({fit.gain:.1f} nats a bin likelier)"
    )
    advice = "Say which array recorded it with --array (`saiseld array list`, or a TOML file)"
    return [Finding("warning", recording.path, what, advice)]


def _fit(sound: NDArray[np.float32], array: MicrophoneArray) -> GeometryFit | None:
    if array.is_tetrahedron:
        return check_geometry(sound, *_models("tetrahedron"))
    return check_geometry(sound, array)


@cache
def _models(name: str) -> tuple[GeometryModel, tuple[GeometryModel, ...]]:
    """Return an array's model, and those of what may be taken for it; kept for the next call."""
    tetrahedral = tetrahedron() if name == "tetrahedron" else read_array(name)
    return GeometryModel(tetrahedral), tuple(map(GeometryModel, look_alikes(tetrahedral)))


def _named(array: MicrophoneArray) -> str:
    radius = 100 * float(np.linalg.norm(array.positions_m, axis=1).mean())
    return f"{array.name}" if "radius" in array.name else f"{array.name} (radius {radius:.1f} cm)"


def _microphones(
    recording: Recording, array: MicrophoneArray, seconds: float
) -> NDArray[np.float32]:
    """Return (n, M) of the microphones, from the start."""
    parts, frames = [], 0
    for block in recording.blocks(_BLOCK_FRAMES, tetrahedral=False):
        parts.append(array.select(block))
        frames += _BLOCK_FRAMES
        if frames >= seconds * FPS:
            break
    return np.concatenate(parts).astype(np.float32, copy=False)
