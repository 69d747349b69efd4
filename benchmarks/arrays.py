"""Arrays other than the em32: what is lost when their sound is converted to its four capsules.

    python benchmarks/arrays.py rooms CLIPS FOLDER     # room responses, drawn once for all arrays
    python benchmarks/arrays.py make FOLDER            # the same sources, recorded by each array
    python benchmarks/arrays.py score FOLDER [ARRAY ...]
    python benchmarks/arrays.py pairs FOLDER           # two sources 90 degrees apart, both rows
    python benchmarks/arrays.py cost
    python benchmarks/arrays.py measured FOLDER SOFA   # an em32 as measured, both ways

``CLIPS`` has a folder per class (for testing only). Rooms are those of `clips.py`; what arrives
from where is drawn once with a seed and recorded by every array: the same 64 plane waves make the
late field of all. Every command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pyroomacoustics as pra
import soundfile
import soxr
from numpy.typing import NDArray
from scipy.fft import irfft, rfft
from scipy.signal import oaconvolve

from clips import ROOMS, SPEED, draw_source, read_clip
from saiseld.arrays.converter import ArrayConverter
from saiseld.arrays.description import MicrophoneArray, array_names, read_array, tetrahedron
from saiseld.arrays.responses import array_response
from saiseld.conventions.arrays import TETRAHEDRON
from saiseld.conventions.rigid_sphere import DIFFUSE_DIRECTIONS
from saiseld.conventions.sphere import angles_of_vector, great_circle, wrap_azimuth
from saiseld.conventions.taxonomy import CLASS_FOLDERS
from saiseld.conventions.timebase import SAMPLE_RATE, SAMPLES_PER_FRAME, frame_count
from saiseld.pipeline.weights import find_weights
from saiseld.seld.audio_branch import AudioBranch
from saiseld.seld.decode import candidates
from saiseld.simulation.rooms.walls import octave_filters
from saiseld.simulation.sounds.bank import FOLDER_ALIASES

TAPS, LATENCY = 128, 48
NOISE_DB = -25.0
SENSOR_DB = -40.0
TAIL = 1 << 16
TRUTH = "truth.csv"

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Recorder:
    """An array that records, with its faults.

    Parameters
    ----------
    described
        The array as it is described to the converter; None: taken for the tetrahedron.
    real
        As it is.
    position_m, gain_db, sensor_db
        Standard deviations of its microphones' positions and gains, and its noise; 0, 0 and None
        for a perfect one.
    rate
        Samples a second of its recordings.
    """

    described: MicrophoneArray | None
    real: MicrophoneArray
    position_m: float = 0.0
    gain_db: float = 0.0
    sensor_db: float | None = None
    rate: int = SAMPLE_RATE


def open_array(name: str, positions: object, **keys: object) -> MicrophoneArray:
    points = np.array(positions, float)
    return MicrophoneArray(name, "open", points, tuple(range(1, len(points) + 1)), **keys)


def recorders() -> dict[str, Recorder]:
    axes = np.concatenate([np.eye(3), -np.eye(3)]) * 0.04
    octahedron = open_array("octahedron", axes)
    square = read_array("respeaker-usb-4")
    square = replace(square, channels=(1, 2, 3, 4))
    planar = {"square": square, "ring": read_array("uma-8"), "grid": read_array("uma-16")}
    imperfect = {"position_m": 1e-3, "gain_db": 1.0, "sensor_db": SENSOR_DB}
    a_format = replace(read_array("sps200"), name="a-format 2 cm")
    return {
        "tetrahedron": Recorder(None, tetrahedron()),
        "tetrahedron converted": Recorder(tetrahedron(), tetrahedron()),
        "octahedron": Recorder(octahedron, octahedron),
        "zm-1": Recorder(read_array("zm-1"), read_array("zm-1")),
        "a-format": Recorder(a_format, a_format),
        **{name: Recorder(array, array) for name, array in planar.items()},
        "octahedron imperfect": Recorder(octahedron, octahedron, **imperfect),
        "square imperfect 16 kHz": Recorder(square, square, **imperfect, rate=16_000),
        "ambeo": Recorder(read_array("ambeo"), read_array("ambeo")),
        "core-6": Recorder(read_array("respeaker-core-6"), read_array("respeaker-core-6")),
        "square taken for the tetrahedron": Recorder(None, square),
        "a-format taken for the tetrahedron": Recorder(None, a_format),
    }


PLANAR = ("square", "ring", "grid", "core-6")


def draw_room(number: int, source: FloatArray, seed: int) -> dict[str, NDArray[np.generic]]:
    """Return the arrivals and the late field's envelope of a source in a room, for any array."""
    pra.random.seed(seed)
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
    samples = int(min(rt60.max() + 0.1, 1.2) * SAMPLE_RATE)
    total = 4 * np.pi * SPEED * rt60 / (6 * np.log(10) * room.get_volume())
    late = np.maximum(total - (gain[1:] ** 2).sum(axis=0), 0.2 * total)
    envelope = energy / energy.sum(axis=1, keepdims=True) * late[:, None]
    sample_time = np.arange(samples) / SAMPLE_RATE
    power = [np.interp(sample_time, time_s + 0.002, e) / (0.004 * SAMPLE_RATE) for e in envelope]
    return {
        "directions": offset / distance[:, None],
        "delays": distance / SPEED * SAMPLE_RATE,
        "gains": gain,
        "late": np.sqrt(np.array(power)).astype(np.float32),
    }


def firs(array: MicrophoneArray, directions: FloatArray, delay: FloatArray) -> NDArray[np.float32]:
    """Return the (D, M, TAPS) responses to directions, each `LATENCY` + delay samples late."""
    frequency = np.fft.rfftfreq(TAPS, 1 / SAMPLE_RATE)
    response = array_response(array, frequency, directions).transpose(1, 2, 0)
    taper = np.cos(np.pi / 2 * np.clip((frequency - 10e3) / 2e3, 0, 1)) ** 2
    late = np.exp(-2j * np.pi * np.outer(LATENCY + delay, frequency) / SAMPLE_RATE)
    return np.asarray(irfft(response * taper * late[:, None], TAPS, axis=-1), np.float32)


def room_response(
    drawn: dict[str, NDArray[np.generic]], array: MicrophoneArray, seed: int
) -> NDArray[np.float32]:
    """Return the (M, N) response of a drawn room by an array."""
    samples = drawn["late"].shape[1]
    start, fraction = np.divmod(drawn["delays"], 1)
    heard = firs(array, drawn["directions"], fraction)
    bands = drawn["gains"].shape[1]
    early = np.zeros((bands, array.microphones, samples + 2 * TAPS), np.float32)
    for begin, gains, fir in zip(start.astype(int), drawn["gains"], heard, strict=True):
        if begin < samples:
            early[:, :, begin : begin + TAPS] += gains.astype(np.float32)[:, None, None] * fir
    filters = octave_filters(TAIL).astype(np.float32)
    tail = rfft(diffuse(array, samples, seed), TAIL)
    response = np.zeros((array.microphones, samples), np.float32)
    for band in range(bands):
        response += irfft(tail * filters[band], TAIL)[:, :samples] * drawn["late"][band]
        spectrum = rfft(early[band], TAIL) * filters[band]
        response += irfft(spectrum, TAIL)[:, LATENCY : LATENCY + samples]
    return response


def diffuse(array: MicrophoneArray, samples: int, seed: int) -> NDArray[np.float32]:
    """Return (M, samples) of a diffuse field: independent white plane waves from all round."""
    size, count = 1024, len(DIFFUSE_DIRECTIONS)
    hop = size - TAPS
    blocks = -(-(samples + LATENCY) // hop)
    waves = np.random.default_rng(seed).standard_normal((blocks, hop, count), np.float32)
    spectra = rfft(waves / np.sqrt(count), size, axis=1).transpose(1, 0, 2)
    heard = firs(array, DIFFUSE_DIRECTIONS, np.zeros(count))
    parts = irfft(spectra @ rfft(heard, size, axis=-1).transpose(2, 0, 1), size, axis=0)
    out = np.zeros((array.microphones, blocks * hop + TAPS), np.float32)
    for block in range(blocks):
        out[:, block * hop : block * hop + size] += parts[:, block].T
    return out[:, LATENCY : LATENCY + samples]


def dry_clip(path: Path) -> NDArray[np.float32]:
    """Return a clip again and again for four to eight seconds."""
    clip = read_clip(path)[: 8 * SAMPLE_RATE]
    pause = np.zeros(SAMPLE_RATE // 2, np.float32)
    times = max(1, int(np.ceil(4 * SAMPLE_RATE / (len(clip) + len(pause)))))
    dry = np.concatenate([np.concatenate([clip, pause])] * times)
    return dry[: frame_count(len(dry)) * SAMPLES_PER_FRAME]


def rooms(clips: Path, folder: Path) -> None:
    """Draw rooms and sources for each clip, twice, and write a table of what is in them."""
    (folder / "rooms").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(2026)
    rows = []
    found = sorted(path for path in clips.rglob("*") if path.suffix in (".wav", ".mp3", ".flac"))
    for index, path in enumerate(found):
        class_id = CLASS_FOLDERS.index(FOLDER_ALIASES.get(path.parent.name, path.parent.name))
        dry = dry_clip(path)
        loud = np.abs(dry).reshape(-1, SAMPLES_PER_FRAME).max(axis=1)
        active = loud > 0.05 * np.abs(dry).max()
        for turn in range(2):
            number = (index + 2 * turn + index // 4) % len(ROOMS)
            source = draw_source(number, rng)
            name = f"{CLASS_FOLDERS[class_id]}_{path.stem}_room{number}"
            azimuth, elevation = angles_of_vector(source - np.array(ROOMS[number][-1]))
            frames = "".join("1" if on else "0" for on in active)
            rows.append((name, class_id, f"{azimuth:.2f}", f"{elevation:.2f}", frames, str(path)))
            target = folder / "rooms" / f"{name}.npz"
            if not target.exists():
                np.savez(target, **draw_room(number, source, seed=2 * index + turn))
                print(name, flush=True)
    with (folder / TRUTH).open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def record(
    responses: list[NDArray[np.float32]],
    dry: list[NDArray[np.float32]],
    array: MicrophoneArray,
    seed: int,
) -> NDArray[np.float32]:
    """Return (n, M) of sources with their responses, and diffuse noise 25 dB below."""
    samples = min(map(len, dry))
    heard = sum(
        oaconvolve(sound[None, :samples], response, axes=1)[:, :samples]
        for sound, response in zip(dry, responses, strict=True)
    )
    noise = diffuse(array, samples, seed)
    power = np.mean(heard**2) / np.mean(noise**2)
    return np.asarray((heard + noise * np.sqrt(power) * 10 ** (NOISE_DB / 20)).T, np.float32)


def spoilt(recorder: Recorder, rng: np.random.Generator) -> MicrophoneArray:
    """Return the array as it is, with its microphones not quite where they should be."""
    moved = rng.normal(0, recorder.position_m or 0.0, recorder.real.positions_m.shape)
    return replace(recorder.real, positions_m=recorder.real.positions_m + moved, half="up")


def with_faults(
    mix: NDArray[np.float32], recorder: Recorder, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return a recording with the array's unequal gains, noise and rate."""
    gains = 10 ** (rng.normal(0, recorder.gain_db, mix.shape[1]) / 20)
    mix = mix * gains
    if recorder.sensor_db is not None:
        level = np.sqrt(np.mean(mix**2)) * 10 ** (recorder.sensor_db / 20)
        mix = mix + rng.normal(0, level, mix.shape)
    mix = 0.5 * mix / np.abs(mix).max()
    if recorder.rate != SAMPLE_RATE:
        mix = soxr.resample(mix, SAMPLE_RATE, recorder.rate, quality="VHQ")
    return np.asarray(mix, np.float32)


def truth(folder: Path) -> list[list[str]]:
    with (folder / TRUTH).open(newline="") as file:
        return list(csv.reader(file))


def make(folder: Path, names: list[str], every: int | None) -> None:
    """Record everything by the arrays named, or by all."""
    for array_name, recorder in recorders().items():
        real = array_name.removesuffix(" converted").removesuffix(" taken for the tetrahedron")
        if real != array_name or (names and array_name not in names):
            continue
        target = folder / array_name
        target.mkdir(exist_ok=True)
        for index, (name, *_, clip) in enumerate(truth(folder)):
            if index % (every or 1):
                continue
            path = target / f"{name}.wav"
            if path.exists():
                continue
            rng = np.random.default_rng(1000 + index)
            real = spoilt(recorder, rng)
            with np.load(folder / "rooms" / f"{name}.npz") as drawn:
                response = room_response(dict(drawn), real, seed=index)
            mix = record([response], [dry_clip(Path(clip))], real, seed=500 + index)
            soundfile.write(path, with_faults(mix, recorder, rng), recorder.rate, subtype="FLOAT")
        print(array_name, flush=True)


def converted(path: Path, name: str) -> tuple[NDArray[np.float32], float]:
    """Return (n, 4) capsule signals of a recording, and CPU seconds of the conversion a frame."""
    audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    if rate != SAMPLE_RATE:
        audio = soxr.resample(audio, rate, SAMPLE_RATE, quality="VHQ")
    frames = len(audio) // SAMPLES_PER_FRAME
    audio = audio[: frames * SAMPLES_PER_FRAME]
    if recorders()[name].described is None:
        return audio, 0.0
    stream = converter_of(name).stream()
    began = time.process_time()
    out = np.concatenate([stream.push(audio), stream.close()])
    return out, (time.process_time() - began) / frames


@cache
def converter_of(name: str) -> ArrayConverter:
    described = recorders()[name].described
    assert described is not None
    return ArrayConverter(described)


@dataclass
class Scores:
    """Of one array: per active frame, by recording."""

    right: dict[int, list[NDArray[np.bool_]]]
    apart: list[NDArray[np.floating]]
    azimuth: list[NDArray[np.floating]]
    elevation: list[NDArray[np.floating]]
    cost_s: list[float]
    stray: list[float]


def score_array(folder: Path, name: str, limit: int | None = None) -> Scores:
    """Convert and hear all recordings of one array by sound alone."""
    real = name.removesuffix(" converted").removesuffix(" taken for the tetrahedron")
    weights = find_weights(None)
    ear = AudioBranch.load(weights.seld)
    scores = Scores({}, [], [], [], [], [])
    for row, label, azimuth, elevation, on, _ in truth(folder)[:: limit or 1]:
        audio, cost = converted(folder / real / f"{row}.wav", name)
        frames = len(audio) // SAMPLES_PER_FRAME
        class_id, found_az, found_el = np.full(frames, -1), np.zeros(frames), np.zeros(frames)
        apart = np.full(frames, 180.0)
        stray = 0
        for table in candidates(row, frames, ear.blocks([audio]), {}):
            first = np.unique(table.frame, return_index=True)[1]
            at = table.frame[first]
            class_id[at], found_az[at] = table.class_id[first], table.azimuth[first]
            found_el[at] = table.elevation[first]
            off = great_circle(table.azimuth, table.elevation, float(azimuth), float(elevation))
            apart[at] = off[first]
            stray += int(((off > 30) & (table.score > 0.05)).sum())
        active = np.array([c == "1" for c in on[:frames]])
        scores.right.setdefault(int(label), []).append(class_id[active] == int(label))
        scores.apart.append(apart[active])
        scores.azimuth.append(np.abs(wrap_azimuth(found_az - float(azimuth)))[active])
        scores.elevation.append(np.abs(np.abs(found_el) - abs(float(elevation)))[active])
        scores.cost_s.append(cost)
        scores.stray.append(stray / frames)
    return scores


def summary(scores: Scores) -> dict[str, float]:
    apart, azimuth = np.concatenate(scores.apart), np.concatenate(scores.azimuth)
    macro = np.mean([np.concatenate(parts).mean() for parts in scores.right.values()])
    return {
        "class": round(100 * float(macro), 1),
        "direction": round(float(np.median(apart)), 1),
        "within 10": round(100 * float((apart <= 10).mean())),
        "azimuth": round(float(np.median(azimuth)), 1),
        "elevation": round(float(np.median(np.concatenate(scores.elevation))), 1),
        "stray": round(float(np.mean(scores.stray)), 2),
        "cpu ms": round(1e3 * float(np.median(scores.cost_s)), 2),
        "frames": len(apart),
    }


def score(folder: Path, names: list[str], limit: int | None) -> None:
    """Print a row for each array."""
    for name in names or list(recorders()):
        target = folder / "scores" / f"{name} {limit or 1}.json"
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            target.write_text(json.dumps(summary(score_array(folder, name, limit))))
        print(f"{name:36s}", target.read_text(), flush=True)


PAIRS = 12
NEAR_DEG = 15.0
LIKELY = 0.05


@cache
def pair_of(index: int) -> tuple[list[FloatArray], list[dict[str, NDArray[np.generic]]]]:
    """Return two sources' azimuth and elevation, 90 degrees apart, and the room drawn for each.

    The same for every array.
    """
    rng = np.random.default_rng([90, index])
    number = index % len(ROOMS)
    middle = np.array(ROOMS[number][-1])
    while True:
        first, second = draw_source(number, rng), draw_source(number, rng)
        away = [angles_of_vector(point - middle) for point in (first, second)]
        if abs(great_circle(*away[0], *away[1]) - 90) < 10:
            drawn = [draw_room(number, place, 700 + index) for place in (first, second)]
            return [np.array(angles) for angles in away], drawn


def pairs(folder: Path, names: list[str]) -> None:
    """Print how often both of two simultaneous sources are found, by sound alone."""
    clips = sorted({row[5] for row in truth(folder)})
    branch = AudioBranch.load(find_weights(None).seld)
    for name in names or ("tetrahedron", "octahedron", "a-format", "square"):
        recorder = recorders()[name]
        both, either = [], []
        for index in range(PAIRS):
            rng = np.random.default_rng([91, index])
            places, drawn = pair_of(index)
            dry = [dry_clip(Path(clips[(index * k + 3 * k) % len(clips)])) for k in (5, 7)]
            dry = [np.tile(d, 3)[: 6 * SAMPLE_RATE] / np.sqrt(np.mean(d**2)) for d in dry]
            heard = [room_response(d, recorder.real, 7 * index + i) for i, d in enumerate(drawn)]
            mix = with_faults(record(heard, dry, recorder.real, index), recorder, rng)
            if recorder.described is not None:
                stream = converter_of(name).stream()
                mix = np.concatenate([stream.push(mix), stream.close()])
            frames = len(mix) // SAMPLES_PER_FRAME
            found = np.zeros((2, frames), bool)
            for table in candidates(name, frames, branch.blocks([mix]), {}):
                for k, (azimuth, elevation) in enumerate(places):
                    apart = (
                        np.abs(wrap_azimuth(table.azimuth - azimuth))
                        if name in PLANAR
                        else great_circle(table.azimuth, table.elevation, azimuth, elevation)
                    )
                    near = (apart < NEAR_DEG) & (table.score > LIKELY)
                    found[k, table.frame[near]] = True
            loud = [np.abs(d[: frames * SAMPLES_PER_FRAME]).reshape(frames, -1).max(1) for d in dry]
            active = np.all([part > 0.05 * part.max() for part in loud], axis=0)
            both.append(found.all(axis=0)[active])
            either.append(found[:, active].ravel())
        row = {
            "both found": round(100 * float(np.concatenate(both).mean())),
            "each found": round(100 * float(np.concatenate(either).mean())),
            "frames": int(sum(map(len, both))),
        }
        print(f"{name:36s}", json.dumps(row), flush=True)


def cost() -> None:
    """Print CPU milliseconds of the conversion of a 100 ms frame, the least and median of 40."""
    rng = np.random.default_rng(0)
    for name in array_names():
        array = read_array(name)
        began = time.process_time()
        converter = ArrayConverter(array)
        stream = converter.stream()
        made = time.process_time() - began
        sound = rng.standard_normal((10 * SAMPLES_PER_FRAME, array.microphones), np.float32)
        spent = []
        for _ in range(40):
            began = time.process_time()
            stream.push(sound)
            spent.append(100 * (time.process_time() - began))
        print(
            f"{name:18s} {array.microphones:3d} microphones: tables {made:.2f} s, a frame "
            f"{min(spent):.1f} ms at least, {np.median(spent):.1f} in the median",
            flush=True,
        )


def measured(folder: Path, sofa: Path, every: int | None) -> None:
    """Print direction errors of an em32 as measured: by its responses, and as a rigid sphere.

    One clip from one measured direction each, with diffuse noise 25 dB below; intervals of 95 %
    over clips (bootstrap).
    """
    shutil.copyfile(sofa, folder / "measured.sofa")
    (folder / "measured.toml").write_text(
        'name = "measured"\nmodel = "responses"\nresponses = "measured.sofa"\n'
    )
    described = read_array(folder / "measured.toml")
    responses = described.measured
    assert responses is not None
    rate = round(responses.sample_rate)
    ways: dict[str, ArrayConverter | None] = {
        "capsules picked, as they are": None,
        "em32 on a rigid sphere, 32 capsules": ArrayConverter(read_array("em32")),
        "responses (SOFA), 32 capsules": ArrayConverter(described),
    }
    branch = AudioBranch.load(find_weights(None).seld)
    errors: dict[str, list[FloatArray]] = {way: [] for way in ways}
    spent: dict[str, list[float]] = {way: [] for way in ways}
    rng = np.random.default_rng(480)
    for path in sorted({row[5] for row in truth(folder)})[:: every or 1]:
        dry = dry_clip(Path(path))
        chosen = int(rng.integers(len(responses.directions)))
        played = soxr.resample(dry, SAMPLE_RATE, rate)
        heard = oaconvolve(played[None], responses.impulse_responses[chosen], axes=1)
        around = responses.impulse_responses[rng.choice(len(responses.directions), 64, False)]
        # One second of it, which is periodic, again and again.
        waves = rfft(rng.standard_normal((64, rate)))
        field = irfft(np.einsum("df,dmf->mf", waves, rfft(around, rate)), rate)
        field = np.tile(field, -(-heard.shape[1] // rate))[:, : heard.shape[1]]
        heard = heard + field * np.sqrt(np.mean(heard**2) / np.mean(field**2)) * 10 ** (
            NOISE_DB / 20
        )
        audio = soxr.resample(heard.T, rate, SAMPLE_RATE).astype(np.float32)[: len(dry)]
        audio *= 0.5 / np.abs(audio).max()
        azimuth, elevation = angles_of_vector(responses.directions[chosen])
        loud = np.abs(dry).reshape(-1, SAMPLES_PER_FRAME).max(axis=1)
        for way, converter in ways.items():
            stream = None if converter is None else converter.stream()
            began = time.process_time()
            if stream is None:
                capsules = audio[:, list(TETRAHEDRON)]
            else:
                capsules = np.concatenate([stream.push(audio), stream.close()])
            frames = len(capsules) // SAMPLES_PER_FRAME
            spent[way].append(1e3 * (time.process_time() - began) / frames)
            apart = np.full(frames, 180.0)
            for table in candidates(way, frames, branch.blocks([capsules]), {}):
                first = np.unique(table.frame, return_index=True)[1]
                apart[table.frame[first]] = great_circle(
                    table.azimuth[first], table.elevation[first], azimuth, elevation
                )
            active = loud[:frames] > 0.05 * np.abs(dry).max()
            errors[way].append(apart[active])
    for way, parts in errors.items():
        apart = np.concatenate(parts)
        again = np.random.default_rng(0).integers(len(parts), size=(1000, len(parts)))
        drawn = [np.median(np.concatenate([parts[i] for i in row])) for row in again]
        row = {
            "direction": round(float(np.median(apart)), 2),
            "interval": np.quantile(drawn, [0.025, 0.975]).round(2).tolist(),
            "clips": len(parts),
            "within 10": round(100 * float((apart <= 10).mean())),
            "frames": len(apart),
            "cpu ms": round(float(np.median(spent[way])), 1),
        }
        print(f"{way:36s}", json.dumps(row), flush=True)


COMMANDS = ("rooms", "make", "score", "pairs", "cost", "measured")


def main() -> None:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("paths", type=Path, nargs="*")
    parser.add_argument("--arrays", default="", help="Names, separated by commas; all without.")
    parser.add_argument("--every", type=int, help="Only every so many recordings.")
    given = parser.parse_args()
    names = [name for name in given.arrays.split(",") if name]
    if given.command == "rooms":
        rooms(*given.paths)
    elif given.command == "make":
        make(given.paths[0], names, given.every)
    elif given.command == "score":
        score(given.paths[0], names, given.every)
    elif given.command == "pairs":
        pairs(given.paths[0], names)
    elif given.command == "cost":
        cost()
    else:
        measured(*given.paths, given.every)


if __name__ == "__main__":
    main()
