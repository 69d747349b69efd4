"""A corpus in the layout of STAIRS26 whose world no packaged weights have heard.

Its rooms are polygons with walls of pyroomacoustics (`research.foreign_world.polygons`), its array
is the em32 as it was measured, who sounds when and where is replayed from timelines of real scenes,
and what sounds is the test side of a bank, half of its sources to train with, half to test. Train
and test have no room, no sound and no timeline in common.
"""

from __future__ import annotations

import csv
import hashlib
import tomllib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from research.foreign_world.measured_array import SHA256, MeasuredArray
from research.foreign_world.polygons import PolygonRoom, draw_room
from scipy.signal import lfilter, oaconvolve
from threadpoolctl import threadpool_limits

from saiseld.conventions.arrays import TETRAHEDRON
from saiseld.conventions.sphere import angles_of_vector
from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.conventions.timebase import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from saiseld.data.stairs26 import EVENTS_FOLDER, LABEL_FOLDER
from saiseld.formats.annotation import LABEL_SUFFIX, write_annotations
from saiseld.formats.events import write_events
from saiseld.labels.annotate import annotate
from saiseld.labels.sparse_imaging import sparse_image
from saiseld.runtime.errors import OutputError
from saiseld.runtime.files import (
    atomic_path,
    indented_json,
    output_folder,
    remove_leftovers,
    write_bytes,
)
from saiseld.runtime.parallel import run_all
from saiseld.simulation.rooms.room import Room
from saiseld.simulation.scene import ReplayedSource, Scene, Sound, generator
from saiseld.simulation.sounds.bank import FolderBank, Half, ProceduralBank, SoundBank
from saiseld.simulation.timelines import Timelines, Track, tracks

SITE = "foreign"
KNOT_S = 0.25
"""A moving source's early response is computed this often, and crossfaded between."""

Audio = NDArray[np.float32]


class Side(BaseModel):
    """How much of dev-train or dev-test there is."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    recordings: int = Field(ge=1)
    rooms: int = Field(ge=1)


class WorldRecipe(BaseModel):
    """What to make. Ranges are drawn from uniformly."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    seed: int
    seconds: float = Field(ge=1, le=600)
    channels: int
    """4 or 32."""
    snr_db: tuple[float, float]
    distance_m: tuple[float, float]
    level_db: tuple[float, ...] = Field(min_length=NUM_CLASSES, max_length=NUM_CLASSES)
    level_spread_db: float
    train: Side
    test: Side


def read_world_recipe(path: str | Path) -> WorldRecipe:
    """Read a recipe, a TOML file."""
    return WorldRecipe.model_validate(tomllib.loads(Path(path).read_text("utf-8")))


@dataclass(frozen=True)
class World:
    """All that a recording is made from.

    Parameters
    ----------
    recipe
        What to make.
    sofa
        ``EM32_Directivity.sofa``.
    timelines
        Who sounds when and where.
    bank
        What sounds, its ``train`` and ``test`` sides apart.
    """

    recipe: WorldRecipe
    sofa: Path
    timelines: Timelines
    bank: SoundBank

    @cached_property
    def array(self) -> MeasuredArray:
        """The 32 capsules: labels need all, whatever is recorded."""
        return MeasuredArray(self.sofa)


@dataclass(frozen=True)
class Recording:
    """One recording to make."""

    name: str
    split: Half
    room: int
    index: int

    def path(self, tree: Path, folder: str, suffix: str) -> Path:
        """Return one of its files."""
        return tree / folder / f"dev-{self.split}-{SITE}" / f"{self.name}{suffix}"


def recordings_of(recipe: WorldRecipe) -> list[Recording]:
    """Return the recordings of a recipe; rooms of dev-test follow those of dev-train."""
    found, first = [], 1
    sides: tuple[tuple[Half, Side], ...] = (("train", recipe.train), ("test", recipe.test))
    for fold, (split, side) in zip((3, 4), sides, strict=True):
        for index in range(side.recordings):
            room = first + index % side.rooms
            name = f"fold{fold}_room{room}_mix{1 + index // side.rooms:03d}"
            found.append(Recording(name, split, room, index))
        first += side.rooms
    return found


def halves(bank: FolderBank, folder: Path) -> FolderBank:
    """Return the test side of a bank as a bank whose sides have no source in common.

    The sources of a class are dealt in the order of the hash of their names; the clips of a class
    of one source are dealt instead.
    """
    source = _sources(folder)
    clips: dict[Half, list[list[Path]]] = {"train": [], "test": []}
    for class_id in range(NUM_CLASSES):
        by_source: dict[str, list[Path]] = {}
        for path in bank.clips["test"][class_id]:
            name = source.get(str(path.relative_to(folder)), path.stem)
            by_source.setdefault(name, []).append(path)
        order = sorted(by_source, key=lambda n: hashlib.blake2b(n.encode()).digest())
        groups = [by_source[name] for name in order]
        if len(groups) == 1:
            groups = [[path] for path in groups[0]]
        clips["test"].append([path for group in groups[0::2] for path in group])
        clips["train"].append([p for group in (groups[1::2] or groups) for p in group])
    return FolderBank(clips)


def make_world(tree: str | Path, world: World, *, jobs: int = 1) -> tuple[int, int]:
    """Make what is not there yet of a world; return how many were made, and found.

    Raises
    ------
    OutputError
        If the folder was begun with anything else.
    """
    tree = output_folder(tree)
    manifest = indented_json(_manifest(world))
    path = tree / "manifest.json"
    if path.is_file() and path.read_bytes() != manifest:
        raise OutputError(
            path, expected="the recipe, sounds and timelines of this run", found="others"
        )
    write_bytes(path, manifest)
    remove_leftovers(tree, deep=True)
    every = recordings_of(world.recipe)
    left = [one for one in every if not one.path(tree, LABEL_FOLDER, LABEL_SUFFIX).is_file()]
    run_all(write_recording, {r.name: (tree, r, world) for r in left}, jobs=jobs, title="making")
    return len(left), len(every) - len(left)


def write_recording(tree: Path, recording: Recording, world: World) -> None:
    """Make the files of a recording; labels come last, from all 32 capsules."""
    recipe = world.recipe
    with threadpool_limits(1):
        room = draw_room(generator(recipe.seed, f"room{recording.room}"))
        scene = plan(world, recording, room)
        pcm = np.round(render(scene, room, world.array) * 32767).astype(np.int16)
        folder = "eigen_dev" if recipe.channels == 32 else "mic_dev"
        kept = pcm if recipe.channels == 32 else pcm[:, list(TETRAHEDRON)]
        with atomic_path(recording.path(tree, folder, ".wav")) as path:
            soundfile.write(path, kept, SAMPLE_RATE, subtype="PCM_16")
        events = scene.frame_events()
        write_events(recording.path(tree, EVENTS_FOLDER, ".csv"), events)
        maps = sparse_image(pcm / np.float32(32768))
        target = recording.path(tree, LABEL_FOLDER, LABEL_SUFFIX)
        write_annotations(target, annotate(maps, events))


def plan(world: World, recording: Recording, room: PolygonRoom) -> Scene:
    """Plan a recording: a window of a timeline, replayed by sounds of the bank."""
    recipe, split = world.recipe, recording.split
    rng = generator(recipe.seed, recording.name)
    window = tracks(world.timelines.draw(split, recording.index, int(recipe.seconds * FPS), rng))
    distance = {track.source: float(rng.uniform(*recipe.distance_m)) for track in window}
    sources, sounds = [], []
    for track in window:
        source = _source(len(sources), track, distance[track.source], room, rng)
        sources.append(source)
        level = recipe.level_db[track.class_id] + rng.normal(0, recipe.level_spread_db)
        for first, last in track.events:
            wanted = (last - first) * SAMPLES_PER_FRAME
            clip = world.bank.draw(track.class_id, split, wanted / SAMPLE_RATE, source.seed, rng)
            signal = np.resize(clip, wanted) * 10 ** (level / 20)
            sounds.append(Sound(source, first * SAMPLES_PER_FRAME, signal.astype(np.float32)))
    return Scene(
        name=recording.name,
        room=Room(room.size_m, 0.5),
        room_seed=room.seed,
        array_m=tuple(float(v) for v in room.array_m),
        sources=tuple(sources),
        sounds=tuple(sorted(sounds, key=lambda sound: sound.start)),
        samples=int(recipe.seconds * SAMPLE_RATE),
        snr_db=float(rng.uniform(*recipe.snr_db)),
        peak=float(rng.uniform(0.2, 0.9)),
        seed=int(rng.integers(2**31)),
    )


def _source(
    number: int, track: Track, distance_m: float, room: PolygonRoom, rng: np.random.Generator
) -> ReplayedSource:
    reach = np.minimum(distance_m, room.reach(track.directions))
    places = track.directions * np.maximum(reach, 0.35)[:, None]
    resting = places[len(places) // 2]
    return ReplayedSource(
        source_id=number,
        class_id=track.class_id,
        seed=int(rng.integers(2**31)),
        azimuth_deg=float(angles_of_vector(resting)[0]),
        range_m=float(np.hypot(*resting[:2])),
        up_m=float(resting[2]),
        track_frames=track.frames,
        track_m=places,
    )


def render(scene: Scene, room: PolygonRoom, array: MeasuredArray) -> Audio:
    """Return what the array records, (samples, M), with its peak at ``scene.peak``."""
    mix = np.zeros((array.channels, scene.samples), np.float32)
    sounding = np.zeros(scene.samples, bool)
    tails: dict[int, Audio] = {}
    for sound in scene.sounds:
        source = sound.source
        if source.source_id not in tails:
            places = source.position(np.array([sound.start / SAMPLE_RATE]))
            voice = replace(room, seed=room.seed ^ source.seed)
            tails[source.source_id] = voice.responses(places, array, late=True)[-1]
        _add(mix, sound.start, oaconvolve(sound.signal[None], tails[source.source_id], axes=1))
        _add_early(mix, sound, room, array)
        sounding[sound.start : sound.start + len(sound.signal)] = True
    power = float(np.mean(np.square(mix[:, sounding]))) if sounding.any() else 1e-4
    rng = np.random.default_rng(scene.seed)
    # Ventilation: falling with frequency, from all round; and the hiss of each capsule.
    white = array.diffuse_field(np.ones(scene.samples, np.float32), rng)
    noise = lfilter([np.float32(1)], np.array([1, -0.92], np.float32), white, axis=1)
    noise /= np.std(noise)
    noise += np.float32(0.15) * rng.standard_normal(noise.shape, np.float32)
    mix += np.float32(np.sqrt(power * 10 ** (-scene.snr_db / 10))) * noise
    return np.ascontiguousarray((mix * (scene.peak / np.abs(mix).max())).T)


def _add(mix: Audio, start: int, heard: Audio) -> None:
    part = mix[:, start : start + heard.shape[1]]
    part += heard[:, : part.shape[1]]


def _add_early(mix: Audio, sound: Sound, room: PolygonRoom, array: MeasuredArray) -> None:
    source = sound.source
    if not source.moves:
        response = room.responses(source.position(np.zeros(1)), array, late=False)[0]
        _add(mix, sound.start, oaconvolve(sound.signal[None], response, axes=1))
        return
    hop = int(KNOT_S * SAMPLE_RATE)
    knots = np.arange(-(-len(sound.signal) // hop) + 1)
    places = source.position((sound.start + knots * hop) / SAMPLE_RATE)
    # Knots at which the source has not moved share a response.
    distinct, which = np.unique(places, axis=0, return_inverse=True)
    responses = room.responses(distinct, array, late=False)
    for knot, place in zip(knots, which.ravel(), strict=True):
        first = max((int(knot) - 1) * hop, 0)
        piece = sound.signal[first : (int(knot) + 1) * hop]
        if len(piece) == 0:
            continue
        away = np.abs(np.arange(first, first + len(piece)) - knot * hop) / hop
        faded = piece * (1 - away).astype(np.float32)
        _add(mix, sound.start + first, oaconvolve(faded[None], responses[place], axes=1))


def _sources(folder: Path) -> dict[str, str]:
    """Return which source each clip of a collected bank is of."""
    path = folder / "ATTRIBUTION.csv"
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {row["file"]: row.get("source") or row["package"] for row in rows}


def _manifest(world: World) -> dict[str, Any]:
    bank = world.bank
    sounds: object = "procedural"
    if isinstance(bank, FolderBank):
        digest = hashlib.sha256()
        for split in ("train", "test"):
            for path in (path for clips in bank.clips[split] for path in clips):
                digest.update(f"{split} {path.name} {path.stat().st_size}\n".encode())
        sounds = {"files": len(bank.files()), "sha256": digest.hexdigest()}
    return {
        "recipe": world.recipe.model_dump(mode="json"),
        "sounds": sounds,
        "timelines": dict(world.timelines.fingerprint),
        "array": SHA256,
    }


__all__ = ["ProceduralBank", "World", "WorldRecipe", "halves", "make_world", "read_world_recipe"]
