"""Room responses to mix training sounds with: many rooms, places and walks, four capsules.

A folder holds ``{train,valid}/room_NNN.safetensors``, one room and one place of the array each:

- ``response`` (P, 4, L) float16, at most 1, and ``scale`` (P,) float32 that it is to be multiplied
  by, so that a source has amplitude 1 at 1 m;
- ``azimuth``, ``elevation`` (P,) float32 degrees and ``distance_cm`` (P,) float32;
- ``path`` (P,) int16: -1 for a source that stands; equal numbers are the points of a walk in order,
  at most `STEP_DEG` apart, to be crossfaded.

The header (metadata ``saiseld``, JSON) says what room it was. Early sound is image sources with
walls by octave, heard on a rigid sphere; images are displaced a little at random, as by uneven
walls (De Sena et al., "On the modeling of rectangular geometries in room acoustic simulations",
2015); sources beam at high frequencies. The tail is a diffuse field that decays by octave.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from scipy.fft import irfft, rfft
from threadpoolctl import threadpool_limits

from saiseld.conventions.arrays import TETRAHEDRON, eigenmike_xyz
from saiseld.conventions.rigid_sphere import SPEED_OF_SOUND, RigidSphereArray
from saiseld.conventions.sphere import angles_of_vector, great_circle, unit_vector
from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.runtime.files import atomic_path, output_folder, remove_leftovers
from saiseld.runtime.parallel import run_all
from saiseld.simulation.rooms.room import EARLY_S, image_sources, mixing
from saiseld.simulation.rooms.walls import AIR, OCTAVES_HZ, FurnishedRoom, furnish, octave_filters
from saiseld.simulation.scene import generator

STEP_DEG = 4.0
"""Points of a walk are at most this far apart."""
STANDING, WALKS = 24, 3
"""Places that a source stands at, and walks, in a room."""
LONGEST_S = 0.9
"""Responses are cut here, whatever the reverberation time."""
WALL_M = 0.25
"""Nearest that a source comes to a wall."""

_EARLY_SAMPLES = 2048

FloatArray = NDArray[np.float64]
Response = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A room with an array in it.

    Parameters
    ----------
    room
        The room.
    array_m
        Where the array stands, in the room's coordinates.
    yaw_deg
        How far its front is turned from the x axis, to the left.
    roughness_m
        Standard deviation of an image's displacement after one reflection.
    beaming
        (B,) share of a source's pattern that is a figure of eight, by octave; the rest is even.
    """

    room: FurnishedRoom
    array_m: FloatArray
    yaw_deg: float
    roughness_m: float
    beaming: FloatArray

    def inside(self, points: FloatArray) -> bool:
        """Whether all of some points (P, 3), relative to the array, are in the room."""
        place = points + self.array_m
        return bool(np.all((place > WALL_M / 5) & (place < np.array(self.room.size_m) - WALL_M)))


def draw_place(rng: np.random.Generator) -> Place:
    """Draw a room and a place of the array in it."""
    length = rng.uniform(3.0, 11.0)
    size = (length, max(2.5, length * rng.uniform(0.45, 1.0)), rng.uniform(2.3, 4.2))
    # Small rooms are dry more often than large ones.
    rt60 = float(np.exp(rng.uniform(np.log(0.15), np.log(min(1.0, 0.35 + 0.08 * length)))))
    where = np.array([rng.uniform(0.25, 0.75) * size[0], rng.uniform(0.25, 0.75) * size[1], 0.0])
    where[2] = rng.uniform(0.9, 1.8)
    beaming = rng.uniform(0, 0.4) * np.linspace(0, 1, len(OCTAVES_HZ))
    return Place(
        room=furnish(size, rt60, rng),
        array_m=where,
        yaw_deg=float(rng.uniform(-180, 180)),
        roughness_m=float(rng.uniform(0.0, 0.08)),
        beaming=beaming,
    )


def draw_point(place: Place, rng: np.random.Generator) -> FloatArray:
    """Return a source's position (3,) relative to the array, in the room's axes.

    Three in four are at heights as in STARSS22 (elevation -46, -17, 0 degrees at 5, 50, 95 %), the
    others anywhere between -65 and 65 degrees.
    """
    while True:
        usual = rng.random() < 0.75
        elevation = rng.normal(-17, 15) if usual else rng.uniform(-65, 65)
        distance = rng.uniform(0.5, 5.0)
        for shorter in (1.0, 0.75, 0.5):
            way = unit_vector(rng.uniform(-180, 180), elevation)
            point = max(shorter * distance, 0.5) * way
            if abs(elevation) < 75 and place.inside(point[None]):
                return np.asarray(point)


def draw_walk(place: Place, rng: np.random.Generator) -> FloatArray:
    """Return the points (P, 3) of a straight walk of 25 to 100 degrees, as `draw_point`."""
    while True:
        start, end = draw_point(place, rng), draw_point(place, rng)
        if rng.random() < 0.8:  # people keep their height
            end[2] = start[2]
        line = start + np.linspace(0, 1, 400)[:, None] * (end - start)
        turned = np.concatenate([[0], np.cumsum(great_circle(*_steps(line)))])
        steep = np.abs(angles_of_vector(line)[1]).max() > 65
        if steep or np.linalg.norm(line, axis=1).min() < 0.45 or not 25 <= turned[-1] <= 100:
            continue
        count = int(np.ceil(turned[-1] / (0.95 * STEP_DEG))) + 1
        wanted = np.interp(np.linspace(0, turned[-1], count), turned, np.linspace(0, 1, 400))
        return np.asarray(start + wanted[:, None] * (end - start))


def _steps(line: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    azimuth, elevation = angles_of_vector(line)
    return azimuth[:-1], elevation[:-1], azimuth[1:], elevation[1:]


class Renderer:
    """Responses of one place; ``rng`` draws what is the same for all its sources."""

    def __init__(self, place: Place, array: RigidSphereArray, rng: np.random.Generator) -> None:
        self.place, self.array = place, array
        longest = float(place.room.rt60_s.max())
        self.samples = int(np.clip(longest + EARLY_S, 0.3, LONGEST_S) * SAMPLE_RATE)
        self.shifts = rng.standard_normal((4096, 3)) * place.roughness_m
        yaw = np.radians(place.yaw_deg)
        self.turn = np.array(
            [[np.cos(yaw), np.sin(yaw), 0], [-np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]]
        )

    def tail(self, rng: np.random.Generator) -> Response:
        """Return the (M, samples) diffuse tail of a source at 1 m amplitude 1."""
        room, time_s = self.place.room, np.arange(self.samples) / SAMPLE_RATE
        field = self.array.diffuse_field(np.ones(self.samples, np.float32), rng)
        padded = 2 * self.samples
        bands = irfft(
            rfft(field, padded, axis=-1)[None] * octave_filters(padded)[:, None], padded, axis=-1
        )[..., : self.samples]
        density = 4 * np.pi * SPEED_OF_SOUND / room.volume_m3 / SAMPLE_RATE
        power = (1 - self.place.beaming) ** 2 + self.place.beaming**2 / 3
        decay = np.sqrt(density * power)[:, None] * 10 ** (-3 * time_s / room.rt60_s[:, None])
        decay *= np.sin(np.pi / 2 * mixing(time_s))
        return np.asarray(np.einsum("bmn,bn->mn", bands, decay), np.float32)

    def early(self, point: FloatArray, aim: FloatArray) -> Response:
        """Return the (M, samples) direct sound and images of a source that faces ``aim`` (3,)."""
        place, array = self.place, self.array
        reach = EARLY_S * SPEED_OF_SOUND
        offset, gain, bounces = image_sources(
            place.room, place.array_m + point, place.array_m, reach
        )
        order = bounces.sum(axis=1)
        # An image keeps its displacement along a walk: it is numbered by its bounces.
        number = (bounces @ [1, 31, 961] + 7 * (offset > 0) @ [1, 2, 4]) % len(self.shifts)
        offset = offset + np.sqrt(order)[:, None] * self.shifts[number]
        distance = np.linalg.norm(offset, axis=1)
        toward = -offset / distance[:, None] * np.where(bounces % 2, -1, 1)
        facing = (toward @ aim)[:, None]
        gain = gain * ((1 - place.beaming) + place.beaming * facing) / distance[:, None]
        delay = distance / SPEED_OF_SOUND
        gain *= np.cos(np.pi / 2 * mixing(delay))[:, None]
        gain *= np.exp(-0.5 * AIR * distance[:, None])
        directions = offset / distance[:, None] @ self.turn.T
        bands = array.arrivals(directions, delay * SAMPLE_RATE, gain, _EARLY_SAMPLES)
        padded = 2 * _EARLY_SAMPLES
        spectrum = np.einsum("bmf,bf->mf", rfft(bands, padded, axis=-1), octave_filters(padded))
        response = np.zeros((array.channels, self.samples), np.float32)
        heard = irfft(spectrum, padded, axis=-1)[:, : bands.shape[-1]]
        response[:, : heard.shape[-1]] = heard
        return response


def render_room(place: Place, rng: np.random.Generator) -> dict[str, NDArray[np.generic]]:
    """Return the tensors of a room's file."""
    array = RigidSphereArray(eigenmike_xyz()[list(TETRAHEDRON)])
    renderer = Renderer(place, array, rng)
    points, paths, responses = [], [], []
    for path in [-1] * STANDING + list(range(WALKS)):
        way = draw_point(place, rng)[None] if path < 0 else draw_walk(place, rng)
        tail = renderer.tail(rng)
        aim = rng.standard_normal(3) - way[0] / np.linalg.norm(way[0])
        aim /= np.linalg.norm(aim)
        for point in way:
            responses.append(renderer.early(point, aim) + tail)
            points.append(point)
            paths.append(path)
    response, position = np.stack(responses), np.stack(points) @ renderer.turn.T
    scale = np.abs(response).max(axis=(1, 2))
    azimuth, elevation = angles_of_vector(position)
    return {
        "response": (response / scale[:, None, None]).astype(np.float16),
        "scale": scale.astype(np.float32),
        "azimuth": azimuth.astype(np.float32),
        "elevation": elevation.astype(np.float32),
        "distance_cm": (100 * np.linalg.norm(position, axis=1)).astype(np.float32),
        "path": np.array(paths, np.int16),
    }


def write_room(path: Path, seed: int) -> None:
    """Draw a room and write its file, whole or not at all."""
    rng = generator(seed, f"{path.parent.name}/{path.stem}")
    place = draw_place(rng)
    header = {
        "dimensions_m": [round(float(side), 3) for side in place.room.size_m],
        "walls": list(place.room.materials),
        "wall_model": "image sources, absorption by octave, displaced images; diffuse tail",
        "octaves_hz": list(OCTAVES_HZ),
        "rt60_s": [round(float(value), 3) for value in place.room.rt60_s],
        "array_m": [round(float(value), 3) for value in place.array_m],
        "sample_rate": SAMPLE_RATE,
    }
    with threadpool_limits(1):
        tensors = render_room(place, rng)
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"saiseld": json.dumps(header)})


def write_responses(
    folder: str | Path, *, train: int, valid: int, seed: int, jobs: int = 1, title: str = ""
) -> tuple[int, int]:
    """Write the rooms of a folder that are not there yet.

    Parameters
    ----------
    folder
        Output folder, new or begun. A room depends on ``seed``, side and number alone.
    train, valid
        Rooms to train in, and to select in.
    jobs
        Rooms at a time.
    title
        Of the progress line; empty for none.

    Returns
    -------
    made, found
        Rooms made now, and found finished.
    """
    folder = output_folder(folder)
    remove_leftovers(folder, deep=True)
    rooms = [
        folder / side / f"room_{number:03d}.safetensors"
        for side, count in (("valid", valid), ("train", train))
        for number in range(count)
    ]
    left = {f"{path.parent.name}/{path.stem}": (path, seed) for path in rooms if not path.is_file()}
    run_all(write_room, left, jobs=jobs, title=title)
    return len(left), len(rooms) - len(left)
