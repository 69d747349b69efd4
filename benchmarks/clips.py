"""Clips in rooms of another make than those trained in: what the audio branch calls them.

    python benchmarks/clips.py make CLIPS FOLDER [--draw N] [--kind rooms|dry|pairs]
    python benchmarks/clips.py score WEIGHTS FOLDER [FOLDER ...]

``CLIPS`` has a folder per class. ``rooms`` are polygons of pyroomacoustics with its materials,
scattering and ray tracing; only the sphere that hears them is ours. Every clip sounds in two of
four rooms, again and again with pauses for four to eight seconds, over diffuse noise 25 dB below.
``dry`` has plane waves instead, ``pairs`` two clips of different classes at equal power in a room,
40 degrees or more apart. All that is random follows from the draw, the clip and the room, and the
same command writes the same bytes again. Scores of several folders (draws) are of all together,
with 95 % intervals over clips (bootstrap, clips of a class drawn with replacement).
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

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
from saiseld.data.recordings import find_recordings, open_recording
from saiseld.formats.candidates import CANDIDATES_SUFFIX, candidate_writer, read_candidates
from saiseld.seld.audio_branch import AudioBranch
from saiseld.seld.decode import candidates
from saiseld.simulation.rooms.walls import octave_filters
from saiseld.simulation.sounds.bank import FOLDER_ALIASES

SPEED = 343.0
NOISE_DB = -25.0
APART_DEG = 40.0
NEAR_DEG = 20.0
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
    pra.random.seed(int(rng.integers(2**31)))  # of the ray tracer, which has a generator of its own
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


class Sound(NamedTuple):
    """A clip on its way into a scene: file, class, samples, and the frames in which it sounds."""

    path: Path
    class_id: int
    dry: NDArray[np.float32]
    active: NDArray[np.bool_]


def read_sounds(clips: Path) -> list[Sound]:
    """Return the clips of class folders, each repeated with pauses for four to eight seconds."""
    sounds = []
    found = (path for path in clips.rglob("*") if path.suffix in (".wav", ".mp3", ".flac"))
    for path in sorted(found):
        class_id = CLASS_FOLDERS.index(FOLDER_ALIASES.get(path.parent.name, path.parent.name))
        clip = read_clip(path)[: 8 * SAMPLE_RATE]
        pause = np.zeros(SAMPLE_RATE // 2, np.float32)
        times = max(1, int(np.ceil(4 * SAMPLE_RATE / (len(clip) + len(pause)))))
        dry = np.concatenate([np.concatenate([clip, pause])] * times)
        loud = np.abs(dry[: frame_count(len(dry)) * SAMPLES_PER_FRAME])
        loud = loud.reshape(-1, SAMPLES_PER_FRAME).max(axis=1)
        sounds.append(Sound(path, class_id, dry, loud > 0.05 * np.abs(dry).max()))
    return sounds


class Placed(NamedTuple):
    """A sound as the array hears it: samples (4, N), and its direction in degrees."""

    sound: Sound
    heard: NDArray[np.float32]
    azimuth: float
    elevation: float


def place(sound: Sound, room: int | None, away: Placed | None, rng: np.random.Generator) -> Placed:
    """Return a sound in a room, or as a plane wave; ``APART_DEG`` from another one."""
    array = RigidSphereArray(eigenmike_xyz()[list(TETRAHEDRON)])
    while True:
        if room is None:
            azimuth, elevation = rng.uniform(-180, 180), rng.normal(0, 20)
        else:
            source = draw_source(room, rng)
            azimuth, elevation = angles_of_vector(source - np.array(ROOMS[room][-1]))
        apart = (
            180.0
            if away is None
            else float(great_circle(azimuth, elevation, away.azimuth, away.elevation))
        )
        if apart >= APART_DEG:
            break
    if room is None:
        way = unit_vector(azimuth, elevation)[None]
        late = np.array([SAMPLE_RATE / 100])
        response = array.arrivals(way, late, np.ones((1, 1)), SAMPLE_RATE // 10)[0]
    else:
        response = room_response(room, source, array, rng)
    heard = oaconvolve(sound.dry[None], response, axes=1)[:, : len(sound.dry)]
    return Placed(sound, np.asarray(heard, np.float32), float(azimuth), float(elevation))


def make(clips: Path, folder: Path, draw: int, kind: str) -> None:
    """Write recordings, and a table of what is in them: a row a source."""
    folder.mkdir(parents=True, exist_ok=True)
    sounds = read_sounds(clips)
    rows = []
    for index, sound in enumerate(sounds):
        for turn in range(1 if kind == "dry" else 2):
            rng = np.random.default_rng([2026, draw, index, turn])
            room = None if kind == "dry" else (index + 2 * turn + index // 4 + draw) % len(ROOMS)
            placed = [place(sound, room, None, rng)]
            if kind == "pairs":
                others = [other for other in sounds if other.class_id != sound.class_id]
                other = others[int(rng.integers(len(others)))]
                placed.append(place(other, room, placed[0], rng))
            name = f"{CLASS_FOLDERS[sound.class_id]}_{sound.path.stem}_{kind}{draw}_{turn}"
            soundfile.write(folder / f"{name}.wav", mixed(placed, rng), SAMPLE_RATE)
            for one in placed:
                frames = "".join("1" if on else "0" for on in one.sound.active)
                where = f"{one.azimuth:.2f}", f"{one.elevation:.2f}"
                rows.append((name, one.sound.class_id, *where, frames, one.sound.path.stem))
            print(name, flush=True)
    with (folder / TRUTH).open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def mixed(placed: Sequence[Placed], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return (N, 4) samples of sources of equal power, over diffuse noise."""
    samples = min(one.heard.shape[1] for one in placed)
    parts = [one.heard[:, :samples] for one in placed]
    heard = np.sum([part / np.sqrt(np.mean(part**2)) for part in parts], axis=0)
    array = RigidSphereArray(eigenmike_xyz()[list(TETRAHEDRON)])
    noise = array.diffuse_field(np.ones(samples, np.float32), rng)
    noise *= np.sqrt(np.mean(heard**2) / np.mean(noise**2)) * 10 ** (NOISE_DB / 20)
    mix = (heard + noise).T
    return np.asarray(0.5 * mix / np.abs(mix).max(), np.float32)


class Answer(NamedTuple):
    """What one source was called in the frames in which it sounds, and how far off."""

    clip: str
    label: int
    called: NDArray[np.int64]
    error_deg: NDArray[np.float64]
    other: int


def write_tables(folder: Path, tables: Path, weights: Path) -> None:
    """Write the audio branch's candidates of the recordings in a folder."""
    branch = AudioBranch.load(weights)
    tables.mkdir(exist_ok=True)
    for recording in map(open_recording, find_recordings([folder])):
        outputs = branch.blocks(recording.blocks())
        with candidate_writer(tables / f"{recording.name}{CANDIDATES_SUFFIX}") as append:
            for block in candidates(recording.name, recording.frames, outputs, {}):
                append(block)


def answers(folder: Path, weights: Path) -> list[Answer]:
    """Return the answers of a folder: the best candidate of a frame, near the source in pairs."""
    tables = folder / "candidates"
    write_tables(folder, tables, weights)
    with (folder / TRUTH).open(newline="") as file:
        rows = list(csv.reader(file))
    found = []
    for name, label, azimuth, elevation, frames, clip in rows:
        table = read_candidates(tables / f"{name}{CANDIDATES_SUFFIX}")
        others = [int(row[1]) for row in rows if row[0] == name and row[1] != label]
        apart = great_circle(table.azimuth, table.elevation, float(azimuth), float(elevation))
        chosen = np.flatnonzero(apart <= NEAR_DEG) if others else np.arange(len(table))
        first = chosen[np.unique(table.frame[chosen], return_index=True)[1]]
        called, error = np.full(table.frames, -1), np.full(table.frames, 180.0)
        called[table.frame[first]] = table.class_id[first]
        error[table.frame[first]] = apart[first]
        active = np.array([on == "1" for on in frames[: table.frames]])
        active = np.pad(active, (0, table.frames - len(active)))
        other = others[0] if others else -2
        found.append(Answer(clip, int(label), called[active], error[active], other))
    return found


def macro(found: Sequence[Answer]) -> float:
    """Return the mean over classes of the share of frames that are called right."""
    labels = sorted({one.label for one in found})
    shares = [
        np.concatenate([one.called == c for one in found if one.label == c]).mean() for c in labels
    ]
    return float(np.mean(shares))


def interval(found: Sequence[Answer], draws: int = 1000) -> tuple[float, float]:
    """Return the 95 % interval of `macro` over clips of each class drawn with replacement."""
    rng = np.random.default_rng(0)
    by_clip: dict[int, dict[str, list[Answer]]] = {}
    for one in found:
        by_clip.setdefault(one.label, {}).setdefault(one.clip, []).append(one)
    values = []
    for _ in range(draws):
        drawn: list[Answer] = []
        for clips in by_clip.values():
            names = list(clips)
            for number in rng.integers(len(names), size=len(names)):
                drawn += clips[names[number]]
        values.append(macro(drawn))
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def score(weights: Path, folders: Sequence[Path]) -> None:
    """Print how often the strongest candidate is of the right class, and how far off it is."""
    by_folder = [answers(folder, weights) for folder in folders]
    found = [one for part in by_folder for one in part]
    for label in sorted({one.label for one in found}):
        own = [one for one in found if one.label == label]
        called = Counter(np.concatenate([one.called for one in own]).tolist())
        most = ", ".join(
            f"{CLASS_NAMES[c] if c >= 0 else 'nothing'} {n}" for c, n in called.most_common(3)
        )
        print(f"{CLASS_NAMES[label]}: right in {called[label] / called.total():.0%} ({most})")
    low, high = interval(found)
    each = ", ".join(f"{macro(part):.1%}" for part in by_folder)
    print(f"class right, macro: {macro(found):.1%} ({low:.1%} to {high:.1%}); by folder {each}")
    errors = np.concatenate([one.error_deg for one in found])
    print(
        f"direction: median {np.median(errors):.1f}, within 10 degrees {(errors < 10).mean():.0%}"
    )
    if any(one.other >= 0 for one in found):
        other = np.concatenate([one.called == one.other for one in found]).mean()
        print(f"the other source's class called: {other:.1%}")


def main() -> None:
    """Run one of the two commands."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make")
    making.add_argument("clips", type=Path)
    making.add_argument("folder", type=Path)
    making.add_argument("--draw", type=int, default=0)
    making.add_argument("--kind", choices=("rooms", "dry", "pairs"), default="rooms")
    scoring = commands.add_parser("score")
    scoring.add_argument("weights", type=Path)
    scoring.add_argument("folders", type=Path, nargs="+")
    arguments = parser.parse_args()
    if arguments.command == "make":
        make(arguments.clips, arguments.folder, arguments.draw, arguments.kind)
    else:
        score(arguments.weights, arguments.folders)


if __name__ == "__main__":
    main()
