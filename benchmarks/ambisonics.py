"""Ambisonic recordings of simulated rooms: what is recognised, and where its sources are put.

Twenty rooms of pyroomacoustics, one and two sources of real sounds in each: 40 recordings of real
spherical harmonics up to third order. Each is written in every format; recognition is tried on all
of them, and direction (of ``saiseld image``, sound alone) on one format each, beside what the
tetrahedron of a rigid sphere would have recorded of the same scene: that of the nearest event, and
that which is heard, the median over frames of the nearest mask that is shown.
Four omnidirectional capsules in the same rooms must not be recognised as ambisonics.

    python benchmarks/ambisonics.py SOUNDS --folder /tmp/rooms [--directions]
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyroomacoustics
import soundfile
import soxr
from numpy.typing import NDArray
from pyroomacoustics.directivities import (
    Cardioid,
    DirectionVector,
    Directivity,
    Omnidirectional,
    RealSphericalHarmonicsDirectivity,
)
from scipy.signal import oaconvolve

from arrays import LATENCY, firs
from clips import SPEED
from saiseld.arrays.description import tetrahedron
from saiseld.checks.channels import recognise
from saiseld.conventions.arrays import TETRAHEDRON, eigenmike_xyz
from saiseld.conventions.sphere import great_circle, unit_vector
from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.data.ambisonics import AmbisonicFormat
from saiseld.data.recordings import recording_of_array
from saiseld.pipeline.open import AMBISONICS, open_array
from saiseld.pipeline.prediction import Prediction

ROOMS, SECONDS, ORDER = 20, 4.0, 3
NEAR_DEG, FOUND_DEG = 6.0, 25.0
_OUTWARD = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)
_CARDIOID_ANGLES = [(45, 54.74), (-45, 125.26), (135, 125.26), (-135, 54.74)]
"""Azimuth and colatitude in degrees of the same directions."""
_CARDIOID_M = 0.015
Signal = NDArray[np.float64]


class Case(NamedTuple):
    """A simulated recording; signals are (n, channels).

    Sixteen harmonics by ACN in SN3D; four cardioids 1.5 cm from their middle; four capsules of the
    tetrahedron; (sources, 2) directions in degrees.
    """

    name: str
    harmonics: Signal
    cardioids: Signal
    capsules: Signal
    directions: Signal


def _first(case: Case) -> Signal:
    return case.harmonics[:, :4]


def _n3d(case: Case) -> Signal:
    return _first(case) * np.sqrt([1, 3, 3, 3])


def _fuma(case: Case) -> Signal:
    return case.harmonics[:, [0, 3, 1, 2]] * [np.sqrt(0.5), 1, 1, 1]


def _horizontal(case: Case) -> Signal:
    return _first(case) * [1, 1, 0, 1]


FORMATS: dict[str, tuple[Callable[[Case], Signal], AmbisonicFormat]] = {
    "ambiX, first order": (_first, "ambix"),
    "ambiX, second order": (lambda case: case.harmonics[:, :9], "ambix"),
    "ambiX, third order": (lambda case: case.harmonics[:, :16], "ambix"),
    "ambiX, no height": (_horizontal, "ambix"),
    "N3D": (_n3d, "n3d"),
    "FuMa": (_fuma, "fuma"),
    "FuMa, no height": (lambda case: _fuma(case) * [1, 1, 1, 0], "fuma"),
    "A-format": (lambda case: case.cardioids, "a-format"),
}


OPTIONS = {format_: option for option, format_ in AMBISONICS.items()}


def main() -> None:
    """Simulate what is not there yet, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sounds", type=Path, help="folder of sounds")
    parser.add_argument("--folder", type=Path, required=True, help="where recordings are kept")
    parser.add_argument("--directions", action="store_true", help="image one format of each")
    asked = parser.parse_args()
    logging.disable(logging.WARNING)
    cases = [_case(asked.sounds, asked.folder, room, n) for room in range(ROOMS) for n in (1, 2)]
    _print_recognition(cases)
    if asked.directions:
        _print_directions(cases, asked.sounds)


def _case(sounds: Path, folder: Path, room: int, sources: int) -> Case:
    path = folder / f"room{room:02}_{sources}.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(path, **_simulated(sorted(sounds.rglob("*.*")), room, sources))
    with np.load(path) as kept:
        return Case(path.stem, *(kept[name] for name in Case._fields[1:]))


def _room(
    sounds: list[Path], number: int, sources: int
) -> tuple[pyroomacoustics.ShoeBox, Signal, Signal, np.random.Generator]:
    """Return a room with its sources, the middle of its array, and the directions of sources."""
    rng = np.random.default_rng([number, sources])
    size = rng.uniform([3.5, 3.0, 2.4], [9.0, 7.0, 3.6])
    absorption, order = pyroomacoustics.inverse_sabine(rng.uniform(0.2, 0.6), size)
    room = pyroomacoustics.ShoeBox(
        size,
        fs=SAMPLE_RATE,
        materials=pyroomacoustics.Material(absorption),
        max_order=min(order, 12),
    )
    middle = size * rng.uniform(0.4, 0.6, 3)
    directions = []
    while len(directions) < sources:
        azimuth, elevation = rng.uniform(-180, 180), rng.uniform(-35, 45)
        place = middle + rng.uniform(1.0, 2.5) * unit_vector(azimuth, elevation)
        away = [great_circle(azimuth, elevation, *other) for other in directions]
        if ((place > 0.2) & (place < size - 0.2)).all() and min(away, default=180) > 40:
            directions.append((azimuth, elevation))
            room.add_source(place, signal=_sound(sounds, rng))
    return room, middle, np.array(directions), rng


def _on_sphere(sounds: list[Path], number: int, sources: int) -> Signal:
    """Return what the four capsules on a rigid sphere record (n, 4) of the same scene."""
    room, middle, _, rng = _room(sounds, number, sources)
    room.add_microphone(middle)
    room.image_source_model()
    wanted = int(SECONDS * SAMPLE_RATE)
    out = np.zeros((wanted, 4))
    for source, seen in zip(room.sources, room.visibility, strict=True):
        offset = (source.images - middle[:, None]).T[seen[0] > 0]
        gain = source.damping[0][seen[0] > 0]
        distance = np.linalg.norm(offset, axis=1)
        start, fraction = np.divmod(distance / SPEED * SAMPLE_RATE, 1)
        heard = firs(tetrahedron(), offset / distance[:, None], fraction)
        response = np.zeros((4, int(start.max()) + heard.shape[-1] + 1))
        for begin, weight, fir in zip(start.astype(int), gain / distance, heard, strict=True):
            response[:, begin : begin + fir.shape[-1]] += weight * fir
        whole = oaconvolve(source.signal[None], response[:, LATENCY:], axes=1)
        out += whole[:, :wanted].T
    out *= 0.1 / np.abs(out).max()
    return np.asarray(out + 1e-5 * rng.standard_normal(out.shape))


def _simulated(sounds: list[Path], number: int, sources: int) -> dict[str, Signal]:
    room, middle, directions, rng = _room(sounds, number, sources)
    degrees = [(n, m) for n in range(ORDER + 1) for m in range(-n, n + 1)]
    patterns: list[Directivity] = [RealSphericalHarmonicsDirectivity(m, n) for n, m in degrees]
    # Omnidirectional capsules in the open, as far apart as on the sphere they seem.
    capsules = 1.5 * eigenmike_xyz()[list(TETRAHEDRON)]
    at_middle = np.tile(middle, (len(degrees), 1))
    places = np.concatenate([at_middle, middle + _CARDIOID_M * _OUTWARD, middle + capsules])
    cardioids = [Cardioid(DirectionVector(*angles)) for angles in _CARDIOID_ANGLES]
    patterns += [*cardioids, *[Omnidirectional()] * 4]
    room.add_microphone_array(places.T, directivity=patterns)
    room.simulate(reference_mic=0, snr=None)
    signals = room.mic_array.signals.T[: int(SECONDS * SAMPLE_RATE)]
    gains = [np.sqrt(4 * np.pi / (2 * n + 1)) for n, _ in degrees]
    signals = signals * [*gains, *np.ones(8)]
    signals = signals * (0.1 / np.abs(signals).max())
    signals += 1e-5 * rng.standard_normal(signals.shape)
    parts = np.split(signals, [len(degrees), len(degrees) + 4], axis=1)
    return dict(zip(Case._fields[1:], (*parts, directions), strict=True))


def _sound(sounds: list[Path], rng: np.random.Generator) -> Signal:
    audio, rate = soundfile.read(sounds[rng.integers(len(sounds))], always_2d=True)
    mono = soxr.resample(audio.mean(axis=1), rate, SAMPLE_RATE)
    wanted = int(SECONDS * SAMPLE_RATE)
    mono = np.tile(mono, -(-wanted // len(mono)))[:wanted]
    return np.asarray(mono / np.sqrt((mono**2).mean()))


def _print_recognition(cases: list[Case]) -> None:
    print(f"{'format':<22}{'right':>8}{'sure':>8}  taken for")
    for title, (made_of, wanted) in FORMATS.items():
        found = [_recognised(made_of(case)) for case in cases]
        _print_row(title, [f for f, _ in found], [s for _, s in found], wanted)
    found = [_recognised(case.capsules) for case in cases]
    _print_row("capsules", [f for f, _ in found], [s for _, s in found], None)


def _print_row(
    title: str, found: list[AmbisonicFormat | None], sure: list[bool], wanted: str | None
) -> None:
    right = sum(f == wanted for f in found)
    others = sorted({str(f) for f in found if f != wanted})
    counts = ", ".join(f"{other} {sum(str(f) == other for f in found)}" for other in others)
    print(f"{title:<22}{right:>5}/{len(found)}{sum(sure):>8}  {counts}")


def _recognised(audio: Signal) -> tuple[AmbisonicFormat | None, bool]:
    found = recognise(recording_of_array(audio, SAMPLE_RATE, any_channels=True))
    return found.format, found.is_sure


def _print_directions(cases: list[Case], sounds: Path) -> None:
    """Print errors of converted sound and of the rigid sphere's, scene by scene and in all."""
    from saiseld.pipeline.imager import Imager

    imager = Imager()
    files = sorted(sounds.rglob("*.*"))
    errors: dict[tuple[int, str], list[tuple[float, float]]] = {}
    for number, case in enumerate(cases):
        title = list(FORMATS)[number // 2 % len(FORMATS)]
        made_of, wanted = FORMATS[title]
        room, sources = number // 2, len(case.directions)
        opened = {
            "converted": open_array(made_of(case), SAMPLE_RATE, OPTIONS[wanted], name=case.name),
            "rigid sphere": recording_of_array(
                _on_sphere(files, room, sources), SAMPLE_RATE, case.name
            ),
        }
        for what, recording in opened.items():
            is_flat = "no height" in title and what == "converted"
            prediction = imager.image(recording)
            for place in case.directions:
                error = (
                    _event_error(prediction, place, is_flat),
                    _heard_error(prediction, place, is_flat),
                )
                errors.setdefault((sources, what), []).append(error)
                print(f"{case.name:<12}{title:<22}{what:<14}{error[0]:>8.1f}{error[1]:>8.1f}")
    for (sources, what), each in sorted(errors.items()):
        for how, column in zip(("nearest event", "heard"), zip(*each, strict=True), strict=True):
            found = np.array([error for error in column if error <= FOUND_DEG])
            print(
                f"{sources} source(s), {what}, {how}: {len(found)} of {len(column)} found within "
                f"{FOUND_DEG:.0f}°, median {np.median(found):.1f}°, within {NEAR_DEG:.0f}°: "
                f"{np.mean(np.array(column) <= NEAR_DEG):.0%} of all, "
                f"{np.mean(found <= NEAR_DEG):.0%} of these"
            )


def _event_error(prediction: Prediction, place: Signal, is_flat: bool) -> float:
    """Return how far the nearest event is from a source, in degrees."""
    found = prediction.events()
    away = _away(place, [e.azimuth for e in found], [e.elevation for e in found], is_flat)
    return float(away.min(initial=180.0))


def _heard_error(prediction: Prediction, place: Signal, is_flat: bool) -> float:
    """Return how far from a source it is heard: the median over frames that show something near.

    Of the nearest mask that is shown in each frame, where it is within `FOUND_DEG` of the source;
    180 degrees where there are fewer than three such frames, the least that an event has.
    """
    shown = [m for m in prediction.masks if (m.score or 0.0) >= prediction.threshold]
    frames = np.array([m.frame for m in shown], int)
    away = _away(place, [m.azimuth for m in shown], [m.elevation for m in shown], is_flat)
    nearest = np.array([away[frames == frame].min() for frame in np.unique(frames)])
    near = nearest[nearest <= FOUND_DEG]
    return float(np.median(near)) if len(near) >= 3 else 180.0


def _away(
    place: Signal, azimuths: list[float], elevations: list[float], is_flat: bool
) -> NDArray[np.float64]:
    """Return angles in degrees from a source; without height the azimuth alone is known."""
    height = 0.0 if is_flat else 1.0
    true = float(place[0]), height * float(place[1])
    return great_circle(*true, np.array(azimuths), height * np.array(elevations))


if __name__ == "__main__":
    main()
