"""Room responses to mix training sounds with: many rooms, places and walks, four capsules.

A folder holds ``{train,valid}/room_NNN.safetensors``, one room and one place of the array each:

- ``response`` (P, 4, L) float16, at most 1, and ``scale`` (P,) float32 that it is to be multiplied
  by, so that a source has amplitude 1 at 1 m;
- ``azimuth``, ``elevation`` (P,) float32 degrees and ``distance_cm`` (P,) float32;
- ``path`` (P,) int16: -1 for a source that stands; equal numbers are the points of a walk in order,
  at most `STEP_DEG` apart, to be crossfaded.

The header (metadata ``saiseld``, JSON) says what room it was. Sources beam at high frequencies.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from threadpoolctl import threadpool_limits

from saiseld.conventions.arrays import TETRAHEDRON, eigenmike_xyz
from saiseld.conventions.rigid_sphere import RigidSphereArray
from saiseld.conventions.sphere import angles_of_vector, great_circle, unit_vector
from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.runtime.files import atomic_path, output_folder, remove_leftovers
from saiseld.runtime.parallel import run_all
from saiseld.simulation.rooms.room import EARLY_S
from saiseld.simulation.rooms.walls import OCTAVES_HZ, FurnishedRoom, Pattern, furnish
from saiseld.simulation.scene import generator

STEP_DEG = 4.0
"""Points of a walk are at most this far apart."""
STANDING, WALKS = 24, 3
"""Places that a source stands at, and walks, in a room."""
SHORTEST_S, LONGEST_S = 0.3, 0.9
"""Responses are cut here, whatever the reverberation time."""
WALL_M = 0.25
"""Nearest that a source comes to a wall."""

FloatArray = NDArray[np.float64]


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
    beaming
        How far its sources beam, by octave (`Pattern`).
    """

    room: FurnishedRoom
    array_m: FloatArray
    yaw_deg: float
    beaming: FloatArray

    @property
    def turn(self) -> FloatArray:
        """The matrix (3, 3) that takes a column from the room's axes to the array's."""
        cos, sin = np.cos(np.radians(self.yaw_deg)), np.sin(np.radians(self.yaw_deg))
        return np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])

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
        room=furnish(size, rt60, rng, roughness_m=float(rng.uniform(0.0, 0.08))),
        array_m=where,
        yaw_deg=float(rng.uniform(-180, 180)),
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
            direction = unit_vector(rng.uniform(-180, 180), elevation)
            point = max(shorter * distance, 0.5) * direction
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
        fraction = np.interp(np.linspace(0, turned[-1], count), turned, np.linspace(0, 1, 400))
        return np.asarray(start + fraction[:, None] * (end - start))


def _steps(line: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    azimuth, elevation = angles_of_vector(line)
    return azimuth[:-1], elevation[:-1], azimuth[1:], elevation[1:]


def render_room(place: Place, rng: np.random.Generator) -> dict[str, NDArray[np.generic]]:
    """Return the tensors of a room's file."""
    capsules = eigenmike_xyz()[list(TETRAHEDRON)]
    array = RigidSphereArray(capsules @ place.turn)  # in the room's axes
    samples = int(np.clip(place.room.rt60_s.max() + EARLY_S, SHORTEST_S, LONGEST_S) * SAMPLE_RATE)
    points, paths, responses = [], [], []
    for path in [-1] * STANDING + list(range(WALKS)):
        route = draw_point(place, rng)[None] if path < 0 else draw_walk(place, rng)
        # Who sounds faces the array more often than not.
        aim = rng.standard_normal(3) - route[0] / np.linalg.norm(route[0])
        pattern = Pattern(aim / np.linalg.norm(aim), place.beaming)
        tail = place.room.diffuse_tail(array, rng, pattern, LONGEST_S)
        for point in route:
            response = np.zeros((len(capsules), samples), np.float32)
            early = place.room.early_response(place.array_m + point, place.array_m, array, pattern)
            for part in (early, tail):
                length = min(part.shape[1], samples)
                response[:, :length] += part[:, :length]
            responses.append(response)
            points.append(point)
            paths.append(path)
    response = np.stack(responses)
    position = np.stack(points) @ place.turn.T
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
