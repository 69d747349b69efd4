"""Rooms with a polygon for a floor: image sources and ray tracing of pyroomacoustics.

Images (order 3) are those that pyroomacoustics finds visible; what is scattered and late has the
decay that its ray tracer finds in each octave, and comes from all round. Everything is drawn from
a seed and computed in one thread, so the same seed gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyroomacoustics as pra
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from saiseld.conventions.rigid_sphere import SPEED_OF_SOUND, RigidSphereArray
from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.simulation.rooms.walls import octave_filters

FloatArray = NDArray[np.float64]
Response = NDArray[np.float32]

WALLS = (
    "brickwork", "rough_concrete", "limestone_wall", "glass_window", "glass_3mm",
    "double_glazing_10mm", "gypsum_board", "plasterboard", "wooden_lining", "wood_1.6cm",
    "wooden_door", "curtains_cotton_0.5", "curtains_fabric", "blinds_open",
    "panel_fabric_covered_6pcf", "studio_curtains",
)  # fmt: skip
CEILINGS = (
    "ceiling_plasterboard", "ceiling_perforated_gypsum_board", "ceiling_fissured_tile",
    "ceiling_metal_panel",
)  # fmt: skip
FLOORS = ("carpet_cotton", "carpet_tufted_9.5mm", "linoleum_on_concrete", "stage_floor")
_ORDER = 3
_BIN_S = 0.004
_LONGEST_S = 1.2
_WALL_M = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class PolygonRoom:
    """A room and the place of the array in it.

    Parameters
    ----------
    corners
        (C, 2) metres, counter-clockwise; the smallest coordinates are 0.
    height_m
        Of the ceiling.
    walls, ceiling, floor
        Materials of pyroomacoustics.
    scattering
        Of all surfaces.
    array_m
        (3,) where the array stands.
    seed
        Of its rays and its looks.
    """

    corners: FloatArray
    height_m: float
    walls: tuple[str, ...]
    ceiling: str
    floor: str
    scattering: float
    array_m: FloatArray
    seed: int

    @property
    def size_m(self) -> tuple[float, float, float]:
        """Length, width and height of the box around it."""
        length, width = self.corners.max(axis=0)
        return float(length), float(width), self.height_m

    def reach(self, directions: FloatArray) -> FloatArray:
        """Return how far (D,) from the array sources may stand in some directions (D, 3)."""
        side = np.roll(self.corners, -1, axis=0) - self.corners
        normal = np.stack([-side[:, 1], side[:, 0]], axis=1)  # inwards
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        gap = np.einsum("ck,ck->c", self.array_m[:2] - self.corners, normal) - _WALL_M
        towards = -directions[:, :2] @ normal.T
        up = np.where(
            directions[:, 2] > 0, self.height_m - 0.2 - self.array_m[2], self.array_m[2] - 0.05
        )
        with np.errstate(divide="ignore"):
            far = np.where(towards > 1e-9, gap / towards, np.inf).min(axis=1)
            steep = np.where(directions[:, 2] != 0, up / np.abs(directions[:, 2]), np.inf)
        return np.asarray(np.minimum(far, steep))

    def responses(
        self, sources: FloatArray, array: RigidSphereArray, *, late: bool
    ) -> list[Response]:
        """Return the (M, N) early responses of sources (P, 3) relative to the array.

        With ``late`` one more follows: the late response of the first of them.
        """
        room = self._room(late)
        for source in sources:
            room.add_source(self.array_m + source)
        room.add_microphone(self.array_m)
        room.image_source_model()
        found, energies = [], []
        for number in range(len(sources)):
            seen = room.visibility[number][0] > 0
            offset = (room.sources[number].images - self.array_m[:, None]).T[seen]
            distance = np.linalg.norm(offset, axis=1)
            gain = room.sources[number].damping.T[seen] / distance[:, None]
            near = distance < 0.25 * SPEED_OF_SOUND
            found.append(_early(offset[near], distance[near], gain[near], array))
            energies.append((gain**2).sum(axis=0) - gain[np.argmin(distance)] ** 2)
        if late:
            room.ray_tracing()
            energy = np.asarray(room.rt_histograms[0][0][0], float)
            rng = np.random.default_rng(self.seed)
            found.append(_late(energy, energies[0], room.get_volume(), array, rng))
        return found

    def _room(self, late: bool) -> Any:
        pra.constants.set("num_threads", 1)
        pra.random.seed(self.seed)
        made = [pra.Material(name, self.scattering) for name in self.walls]
        room = pra.Room.from_corners(
            self.corners.T, fs=SAMPLE_RATE, max_order=_ORDER, materials=made,
            air_absorption=True, ray_tracing=late,
        )  # fmt: skip
        ends = {
            "ceiling": pra.Material(self.ceiling, self.scattering),
            "floor": pra.Material(self.floor, self.scattering),
        }
        room.extrude(self.height_m, materials=ends)
        if late:
            room.set_ray_tracing(
                n_rays=3000, receiver_radius=0.4, energy_thres=1e-6, hist_bin_size=_BIN_S
            )
        return room


def draw_room(rng: np.random.Generator) -> PolygonRoom:
    """Draw a convex room of four to seven walls, none parallel but by chance."""
    count = int(rng.integers(4, 8))
    while True:
        angle = np.sort(rng.uniform(0, 2 * np.pi, count))
        gaps = np.diff(angle, append=angle[0] + 2 * np.pi)
        if gaps.min() > 0.5 and gaps.max() < 2.2:
            break
    axes = rng.uniform(2.4, 5.0) * np.array([1.0, rng.uniform(0.65, 1.0)])
    corners = axes * np.stack([np.cos(angle), np.sin(angle)], axis=1)  # on an ellipse: convex
    centre = -corners.min(axis=0) + rng.uniform(-0.15, 0.15, 2) * axes
    corners = corners - corners.min(axis=0)
    return PolygonRoom(
        corners=corners,
        height_m=float(rng.uniform(2.4, 3.8)),
        walls=tuple(WALLS[i] for i in rng.integers(len(WALLS), size=count)),
        ceiling=CEILINGS[int(rng.integers(len(CEILINGS)))],
        floor=FLOORS[int(rng.integers(len(FLOORS)))],
        scattering=float(rng.uniform(0.05, 0.4)),
        array_m=np.array([*centre, rng.uniform(1.1, 1.6)]),
        seed=int(rng.integers(2**31)),
    )


def _early(
    offset: FloatArray, distance: FloatArray, gain: FloatArray, array: RigidSphereArray
) -> Response:
    samples = int(0.25 * SAMPLE_RATE) + array.TAPS
    delays = distance / SPEED_OF_SOUND * SAMPLE_RATE
    by_band = array.arrivals(offset / distance[:, None], delays, gain, samples)
    length = next_fast_len(samples + 512, real=True)
    filters = octave_filters(length)
    total = sum(rfft(by_band[band], length) * filters[band] for band in range(len(filters)))
    return np.asarray(irfft(total, length)[:, :samples], np.float32)


def _late(
    energy: FloatArray,
    images: FloatArray,
    volume: float,
    array: RigidSphereArray,
    rng: np.random.Generator,
) -> Response:
    """Return the (M, N) late response of an energy histogram (B, bins).

    In all it has the energy of a diffuse field of that decay, 4 pi c T / (6 ln(10) V), less what
    the images brought.
    """
    decay = np.cumsum(energy[:, ::-1], axis=1)[:, ::-1]
    decay_db = 10 * np.log10(np.maximum(decay / np.maximum(decay[:, :1], 1e-30), 1e-9))
    time_s = _BIN_S * np.arange(energy.shape[1])
    rt60 = np.array([60 * time_s[np.argmax(one < -25)] / 25 for one in decay_db])
    samples = int(min(rt60.max() + 0.1, _LONGEST_S) * SAMPLE_RATE)
    total = 4 * np.pi * SPEED_OF_SOUND * rt60 / (6 * np.log(10) * volume)
    late = np.maximum(total - images, 0.2 * total)
    envelope = energy / np.maximum(energy.sum(axis=1, keepdims=True), 1e-30) * late[:, None]
    at = np.arange(samples) / SAMPLE_RATE
    power = [np.interp(at, time_s + _BIN_S / 2, e) / (_BIN_S * SAMPLE_RATE) for e in envelope]
    length = next_fast_len(samples + 512, real=True)
    field = rfft(array.diffuse_field(np.ones(samples, np.float32), rng), length)
    response = np.zeros((array.channels, samples), np.float32)
    for band, spectrum in enumerate(octave_filters(length)):
        response += irfft(field * spectrum, length)[:, :samples] * np.sqrt(power[band])
    return np.asarray(response, np.float32)
