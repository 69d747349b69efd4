"""Clips in rooms of another make than those trained in: what the ear calls them, and where.

    python benchmarks/clips.py make CLIPS FOLDER      # one source at a time, four channels
    python benchmarks/clips.py score FOLDER WEIGHTS   # class and direction by ear alone

``CLIPS`` has a folder per class. Rooms are polygons of pyroomacoustics with its materials,
scattering and ray tracing; only the sphere that hears them is ours. Every clip sounds in two of
four rooms, again and again with pauses for four to eight seconds, over diffuse noise 25 dB below.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pyroomacoustics as pra
import soundfile
import soxr
from numpy.typing import NDArray
from scipy.signal import oaconvolve

from saiseld.conventions.arrays import TETRAHEDRON, eigenmike_xyz
from saiseld.conventions.rigid_sphere import RigidSphereArray
from saiseld.conventions.sphere import angles_of_vector, great_circle, unit_vector
from saiseld.conventions.taxonomy import CLASS_FOLDERS, CLASS_NAMES
from saiseld.conventions.timebase import SAMPLE_RATE, SAMPLES_PER_FRAME, frame_count
from saiseld.formats.candidates import CANDIDATES_SUFFIX, read_candidates
from saiseld.pipeline.hear import hear_recordings
from saiseld.simulation.rooms.walls import octave_filters
from saiseld.simulation.sounds.bank import FOLDER_ALIASES

SPEED = 343.0
NOISE_DB = -25.0
TRUTH = "truth.csv"

# Corners, height, wall materials, ceiling, floor, scattering, where the array stands.
ROOMS = (
    (
        ((0, 0), (6.2, 0), (6.2, 3.1), (4.1, 3.1), (4.1, 5.6), (0, 5.6)),
        2.7,
        ("brickwork", "glass_window", "gypsum_board", "plasterboard", "wooden_door", "brickwork"),
        ("ceiling_plasterboard", "carpet_cotton", 0.15),
        (2.4, 2.2, 1.35),
    ),
    (
        ((0, 0), (7.5, 0.6), (6.9, 5.2), (0.4, 4.4)),
        3.2,
        ("rough_concrete", "curtains_cotton_0.5", "smooth_brickwork_10mm_pointing", "blinds_open"),
        ("ceiling_perforated_gypsum_board", "linoleum_on_concrete", 0.3),
        (3.4, 2.5, 1.5),
    ),
    (
        ((0, 0), (4.2, 0), (5.0, 2.0), (4.2, 3.9), (0, 3.9)),
        2.5,
        ("wood_1.6cm", "glass_3mm", "panel_fabric_covered_6pcf", "wooden_lining", "brickwork"),
        ("ceiling_fissured_tile", "carpet_tufted_9.5mm", 0.1),
        (2.1, 1.9, 1.2),
    ),
    (
        ((0, 0), (9.0, 0), (9.0, 6.5), (6.0, 7.5), (0, 6.5)),
        3.6,
        ("limestone_wall", "double_glazing_10mm", "curtains_fabric", "plasterboard", "brickwork"),
        ("ceiling_metal_panel", "stage_floor", 0.4),
        (4.6, 3.0, 1.6),
    ),
)


def room_response(
    number: int, source: NDArray[np.float64], array: RigidSphereArray, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return the (4, N) response: images of order 4 or less, then scattered and late energy."""
    corners, height, walls, (ceiling, floor, scattering), place = ROOMS[number]
    made = [pra.Material(name, scattering) for name in walls]
    room = pra.Room.from_corners(
        np.array(corners).T, fs=SAMPLE_RATE, max_order=4, materials=made, air_absorption=True,
        ray_tracing=True,
    )  # fmt: skip
    ends = {"ceiling": pra.Material(ceiling, scattering), "floor": pra.Material(floor, scattering)}
    room.extrude(height, materials=ends)
    room.set_ray_tracing(n_rays=4000, receiver_radius=0.4, energy_thres=1e-6, hist_bin_size=0.004)
    room.add_source(source)
    room.add_microphone(place)
    room.image_source_model()
    room.ray_tracing()
    seen = room.visibility[0][0] > 0
    offset = (room.sources[0].images - np.array(place)[:, None]).T[seen]
    damping = room.sources[0].damping.T[seen]
    distance = np.linalg.norm(offset, axis=1)
    gain = damping / distance[:, None]
    energy = room.rt_histograms[0][0][0]
    decay = np.cumsum(energy[:, ::-1], axis=1)[:, ::-1]
    decay_db = 10 * np.log10(np.maximum(decay / decay[:, :1], 1e-9))
    time_s = 0.004 * np.arange(energy.shape[1])
    rt60 = np.array([60 * time_s[np.argmax(d < -25)] / 25 for d in decay_db])
    samples = int(min(rt60.max() + 0.1, 1.5) * SAMPLE_RATE)
    early = array.arrivals(
        offset / distance[:, None], distance / SPEED * SAMPLE_RATE, gain, samples
    )
    # What a diffuse field of that decay holds in all, less what came as images.
    total = 4 * np.pi * SPEED * rt60 / (6 * np.log(10) * room.get_volume())
    late = np.maximum(total - (gain[1:] ** 2).sum(axis=0), 0.2 * total)
    envelope = energy / energy.sum(axis=1, keepdims=True) * late[:, None]
    sample_time = np.arange(samples) / SAMPLE_RATE
    power = [np.interp(sample_time, time_s + 0.002, e) / (0.004 * SAMPLE_RATE) for e in envelope]
    field = np.fft.rfft(array.diffuse_field(np.ones(samples, np.float32), rng), 2 * samples)
    response = np.zeros((array.channels, samples), np.float32)
    for band, spectrum in enumerate(octave_filters(2 * samples)):
        response += np.fft.irfft(field * spectrum)[:, :samples] * np.sqrt(power[band])
        response += np.fft.irfft(np.fft.rfft(early[band], 2 * samples) * spectrum)[:, :samples]
    return response


def draw_source(number: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a place 0.8 to 3.5 m from the array that is 0.3 m or more inside the room."""
    corners, height, *_, place = ROOMS[number]
    polygon = np.array(corners)
    while True:
        way = unit_vector(rng.uniform(-180, 180), rng.normal(-14, 14))
        point = np.array(place) + rng.uniform(0.8, 3.5) * way
        if not 0.3 < point[2] < height - 0.3:
            continue
        side = np.roll(polygon, -1, axis=0) - polygon
        normal = np.stack([-side[:, 1], side[:, 0]], axis=1)
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        inside = np.einsum("ij,ij->i", point[:2] - polygon, normal) > 0.3
        # The corner of the L-shaped room makes two walls count only on their own side.
        if inside.all() or (number == 0 and point[0] < 3.8 and inside[[0, 4, 5]].all()):
            return point


def read_clip(path: Path) -> NDArray[np.float32]:
    """Return a clip, mono, at 24 kHz, without the silence at its ends."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    clip = soxr.resample(samples.mean(axis=1), rate, SAMPLE_RATE)
    loud = np.flatnonzero(np.abs(clip) > 0.01 * np.abs(clip).max())
    return np.asarray(clip[loud[0] : loud[-1] + 1])


def make(clips: Path, folder: Path) -> None:
    """Write a recording for each clip and room, and a table of what is in them."""
    folder.mkdir(parents=True, exist_ok=True)
    array = RigidSphereArray(eigenmike_xyz()[list(TETRAHEDRON)])
    rng = np.random.default_rng(2026)
    rows = []
    found = sorted(path for path in clips.rglob("*") if path.suffix in (".wav", ".mp3", ".flac"))
    for index, path in enumerate(found):
        class_id = CLASS_FOLDERS.index(FOLDER_ALIASES.get(path.parent.name, path.parent.name))
        clip = read_clip(path)[: 8 * SAMPLE_RATE]
        pause = np.zeros(SAMPLE_RATE // 2, np.float32)
        times = max(1, int(np.ceil(4 * SAMPLE_RATE / (len(clip) + len(pause)))))
        dry = np.concatenate([np.concatenate([clip, pause])] * times)
        loud = np.abs(dry[: frame_count(len(dry)) * SAMPLES_PER_FRAME]).reshape(
            -1, SAMPLES_PER_FRAME
        )
        active = loud.max(axis=1) > 0.05 * np.abs(dry).max()
        for turn in range(2):
            number = (index + 2 * turn + index // 4) % len(ROOMS)
            source = draw_source(number, rng)
            heard = oaconvolve(dry[None], room_response(number, source, array, rng), axes=1)
            heard = heard[:, : len(dry)]
            noise = array.diffuse_field(np.ones(len(dry), np.float32), rng)
            noise *= np.sqrt(np.mean(heard**2) / np.mean(noise**2)) * 10 ** (NOISE_DB / 20)
            mix = (heard + noise).T
            name = f"{CLASS_FOLDERS[class_id]}_{path.stem}_room{number}"
            soundfile.write(folder / f"{name}.wav", 0.5 * mix / np.abs(mix).max(), SAMPLE_RATE)
            azimuth, elevation = angles_of_vector(source - np.array(ROOMS[number][-1]))
            frames = "".join("1" if on else "0" for on in active)
            rows.append((name, class_id, f"{azimuth:.2f}", f"{elevation:.2f}", frames))
            print(name, CLASS_NAMES[class_id], *rows[-1][2:4], flush=True)
    with (folder / TRUTH).open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def score(folder: Path, weights: Path) -> None:
    """Print how often the strongest candidate is of the right class, and how far off it is."""
    tables = folder / "candidates"
    hear_recordings([folder], tables, weights)
    right: dict[int, list[NDArray[np.bool_]]] = {}
    called: dict[int, Counter[int]] = {}
    apart = []
    with (folder / TRUTH).open(newline="") as file:
        rows = list(csv.reader(file))
    for name, label, azimuth, elevation, frames in rows:
        table = read_candidates(tables / f"{name}{CANDIDATES_SUFFIX}")
        class_id = np.full(table.frames, -1)
        error = np.full(table.frames, 180.0)
        first = np.unique(table.frame, return_index=True)[1]  # the best of a frame comes first
        class_id[table.frame[first]] = table.class_id[first]
        error[table.frame[first]] = great_circle(
            table.azimuth[first], table.elevation[first], float(azimuth), float(elevation)
        )
        active = np.array([on == "1" for on in frames[: table.frames]])
        right.setdefault(int(label), []).append(class_id[active] == int(label))
        called.setdefault(int(label), Counter()).update(class_id[active].tolist())
        apart.append(error[active])
    for label, parts in sorted(right.items()):
        most = ", ".join(
            f"{CLASS_NAMES[c] if c >= 0 else 'nothing'} {n}"
            for c, n in called[label].most_common(3)
        )
        print(f"{CLASS_NAMES[label]}: right in {np.concatenate(parts).mean():.0%} ({most})")
    macro = np.mean([np.concatenate(parts).mean() for parts in right.values()])
    errors = np.concatenate(apart)
    print(f"class right, macro: {macro:.1%}")
    print(
        f"direction: median {np.median(errors):.1f}, within 10 degrees {(errors < 10).mean():.0%}"
    )


def main() -> None:
    """Run one of the two commands."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make")
    making.add_argument("clips", type=Path)
    making.add_argument("folder", type=Path)
    scoring = commands.add_parser("score")
    scoring.add_argument("folder", type=Path)
    scoring.add_argument("weights", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "make":
        make(arguments.clips, arguments.folder)
    else:
        score(arguments.folder, arguments.weights)


if __name__ == "__main__":
    main()
