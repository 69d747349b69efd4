"""A simulated data set on disk, in the layout of STAIRS26, with a manifest.

Every file is written whole or not at all and depends on seed, recipe, sounds and panoramas alone,
so a run that was stopped goes on to the very same tree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

import av
import msgspec
import numpy as np
import soundfile
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from saiseld.conventions.arrays import eigenmike_xyz
from saiseld.conventions.rigid_sphere import RigidSphereArray
from saiseld.conventions.sphere import HEIGHT, WIDTH
from saiseld.conventions.timebase import FPS, SAMPLE_RATE
from saiseld.data.stairs26 import EVENTS_FOLDER, LABEL_FOLDER, VIDEO_FOLDER
from saiseld.formats.annotation import LABEL_SUFFIX, write_annotations
from saiseld.formats.events import write_events
from saiseld.labels.annotate import annotate
from saiseld.labels.sparse_imaging import sparse_image
from saiseld.runtime.errors import DataError, OutputError, RecipeError, refusing
from saiseld.runtime.files import (
    atomic_path,
    indented_json,
    output_folder,
    remove_leftovers,
    write_bytes,
)
from saiseld.runtime.parallel import Workers, run_all
from saiseld.simulation.pictures.picture import Panoramas, render_frames
from saiseld.simulation.recipes import Recipe
from saiseld.simulation.rooms.render import render_audio
from saiseld.simulation.scene import generator, plan_scene
from saiseld.simulation.sounds.bank import FolderBank, Half, ProceduralBank
from saiseld.simulation.timelines import Timelines

AUDIO_FOLDER = "eigen_dev"
MANIFEST = "manifest.json"
FOLDS: dict[Half, int] = {"train": 3, "test": 4}
SITE = "sim"


@dataclass(frozen=True, slots=True)
class Task:
    """One recording to make."""

    dataset: Path
    name: str
    split: Half
    room: int
    index: int

    def path(self, folder: str, suffix: str) -> Path:
        """Return one of the recording's files."""
        return self.dataset / folder / f"dev-{self.split}-{SITE}" / f"{self.name}{suffix}"

    @property
    def finished(self) -> bool:
        """Whether all four files are there."""
        files = (
            (AUDIO_FOLDER, ".wav"),
            (VIDEO_FOLDER, ".mp4"),
            (EVENTS_FOLDER, ".csv"),
            (LABEL_FOLDER, LABEL_SUFFIX),
        )
        return all(self.path(*file).is_file() for file in files)


def simulate_dataset(
    dataset: str | Path,
    recipe: Recipe,
    seed: int,
    *,
    bank: ProceduralBank | FolderBank | None = None,
    panoramas: Panoramas | None = None,
    timelines: Timelines | None = None,
    jobs: Workers = 1,
    title: str = "simulating",
) -> tuple[int, int]:
    """Make all recordings of a recipe that are not there yet.

    Parameters
    ----------
    dataset
        Output folder: absent, empty, or begun with the same recipe, seed, sounds and panoramas.
    recipe, seed
        What to make; the same pair always makes the same files.
    bank
        Dry sounds; the procedural bank if None.
    panoramas
        Pictures to draw on, for each split; procedural rooms if None.
    timelines
        Who sounds when and where, to be replayed; planned by the recipe if None.
    jobs
        Recordings at a time, or the cluster that they are spread over.
    title
        Of the progress line; empty for none.

    Returns
    -------
    made, found
        Number of recordings made now, and found finished.

    Raises
    ------
    OutputError
        If the folder holds anything else, or cannot be written.
    RecipeError
        If the recipe replays timelines and there are none.
    """
    if recipe.timelines and timelines is None:
        raise RecipeError(
            "recipe",
            expected="timelines to replay",
            found="none",
            advice="Give a folder of events, such as STARSS22's, with --timelines",
        )
    bank = bank or ProceduralBank()
    dataset = output_folder(dataset)
    _claim(dataset, _manifest(recipe, seed, bank, panoramas, timelines))
    tasks = list(_tasks(dataset, recipe))
    remove_leftovers(dataset, deep=True)
    left = {t.name: (t, recipe, seed, bank, panoramas, timelines) for t in tasks if not t.finished}
    run_all(_simulate_task, left, jobs=jobs, folder=dataset, title=title)
    return len(left), len(tasks) - len(left)


def _simulate_task(dataset: Path, task: Task, *scene: Any) -> None:
    write_recording(replace(task, dataset=dataset), *scene)


def write_recording(
    task: Task,
    recipe: Recipe,
    seed: int,
    bank: ProceduralBank | FolderBank,
    panoramas: Panoramas | None,
    timelines: Timelines | None = None,
) -> None:
    """Make the four files of a recording; labels come last, from the audio as it was written."""
    scene = plan_scene(
        recipe,
        bank,
        seed,
        name=task.name,
        room=task.room,
        split=task.split,
        index=task.index,
        timelines=timelines,
    )
    panorama = None
    if panoramas is not None:
        rng = generator(seed, f"panorama of {task.name}")
        panorama = panoramas.draw(task.split, rng)
    with threadpool_limits(1):  # sums in one order, whatever the number of jobs
        pcm = np.round(render_audio(scene, RigidSphereArray(eigenmike_xyz())) * 32767)
        pcm = pcm.astype(np.int16)
        with atomic_path(task.path(AUDIO_FOLDER, ".wav")) as path:
            soundfile.write(path, pcm, SAMPLE_RATE, subtype="PCM_16")
        _write_video(task.path(VIDEO_FOLDER, ".mp4"), render_frames(scene, panorama))
        events = scene.frame_events()
        write_events(task.path(EVENTS_FOLDER, ".csv"), events)
        maps = sparse_image(pcm / np.float32(32768))
        write_annotations(task.path(LABEL_FOLDER, LABEL_SUFFIX), annotate(maps, events))


def _write_video(target: Path, frames: Iterator[NDArray[np.uint8]]) -> None:
    """Write H.264 at 10 FPS; one thread, so that the same frames give the same bytes."""
    with atomic_path(target) as path, av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = Fraction(1, FPS)
        stream.codec_context.thread_count = 1
        stream.options = {"crf": "20", "preset": "veryfast"}
        for picture in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def _tasks(dataset: Path, recipe: Recipe) -> Iterator[Task]:
    """Yield the recordings; the rooms of dev-test follow those of dev-train."""
    first_room = recipe.first_room
    sides: tuple[Half, Half] = ("train", "test")
    for split in sides:
        side = recipe.train if split == "train" else recipe.test
        for index in range(side.recordings):
            room = first_room + index % side.rooms
            name = f"fold{FOLDS[split]}_room{room}_mix{1 + index // side.rooms:03d}"
            yield Task(dataset, name, split, room, index)
        first_room += side.rooms


def _manifest(
    recipe: Recipe,
    seed: int,
    bank: ProceduralBank | FolderBank,
    panoramas: Panoramas | None,
    timelines: Timelines | None,
) -> bytes:
    content = {
        "seed": seed,
        "recipe": recipe.model_dump(),
        "sounds": "procedural" if isinstance(bank, ProceduralBank) else _fingerprint(bank.files()),
        "panoramas": "procedural" if panoramas is None else panoramas.fingerprint(),
        "timelines": "planned" if timelines is None else timelines.fingerprint,
        "versions": {
            name: version(name) for name in ("saiseld", "numpy", "scipy", "soundfile", "soxr", "av")
        },
    }
    return indented_json(content)


def _fingerprint(files: list[Path]) -> dict[str, object]:
    """Return the number of files and a digest of their names and sizes."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.parent.name}/{path.name} {path.stat().st_size}\n".encode())
    return {"files": len(files), "sha256": digest.hexdigest()}


def _difference(begun_with: bytes, manifest: bytes, path: Path) -> str:
    """Return which values of a manifest are others than those of this run."""
    with refusing(DataError, path, "a manifest (JSON)"):
        there, here = (_values(msgspec.json.decode(text)) for text in (begun_with, manifest))
    names = dict.fromkeys([*here, *there])
    return ", ".join(
        f"{name} {there.get(name)} for {here.get(name)}"
        for name in names
        if there.get(name) != here.get(name)
    )


def _values(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a manifest, those of its parts by ``part.name``."""
    flat: dict[str, Any] = {}
    for name, value in manifest.items():
        flat |= {f"{name}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {}
        flat |= {} if isinstance(value, dict) else {name: value}
    return flat


def _claim(dataset: Path, manifest: bytes) -> None:
    """Write the manifest into an empty folder; refuse a folder that was not begun with it."""
    path = dataset / MANIFEST
    if path.is_file():
        begun_with = path.read_bytes()
        if begun_with != manifest:
            raise OutputError(
                path,
                expected="the seed, recipe, sounds, panoramas, timelines and versions of this run",
                found=_difference(begun_with, manifest, path),
                advice="Choose another folder, or repeat the command the tree was begun with",
            )
    elif any(entry.name != MANIFEST for entry in dataset.iterdir()):
        raise OutputError(
            dataset,
            expected="an empty folder or a simulation to go on with",
            found=f"other files and no {MANIFEST}",
        )
    else:
        write_bytes(path, manifest)
