"""A corpus of four recordings of six seconds: two classes in known directions."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import soundfile

from saiseld.conventions.arrays import TETRAHEDRON, eigenmike_xyz
from saiseld.conventions.rigid_sphere import RigidSphereArray
from saiseld.conventions.sphere import unit_vector
from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.formats.events import Event, write_events
from saiseld.pipeline.sample import sample

FRAMES = 60
PLACES = {0: (30.0, 5.0), 3: (-100.0, -20.0)}
"""Directions of the two classes that sound."""
ROOMS = (("train", 3, 1), ("train", 3, 2), ("train", 3, 3), ("test", 1, 4))
"""Split, fold and number of each."""


def sound(seed: int = 0) -> np.ndarray:
    """Return (samples, 4): class 0 in frames 10 to 29 and class 3 in frames 40 to 49, and hiss."""
    rng = np.random.default_rng(seed)
    array = RigidSphereArray(eigenmike_xyz()[list(TETRAHEDRON)])
    out = 1e-4 * rng.standard_normal((FRAMES * 2400, 4)).astype(np.float32)
    for class_id, first, last in ((0, 10, 30), (3, 40, 50)):
        response = array.responses(unit_vector(*PLACES[class_id]))
        dry = rng.standard_normal((last - first) * 2400).astype(np.float32)
        for channel in range(4):
            wet = np.convolve(dry, response[channel])[: len(dry)]
            out[first * 2400 : last * 2400, channel] += 0.1 * wet
    return out


def rows(distance: str = ",150") -> str:
    active = {0: range(10, 30), 3: range(40, 50)}
    return "".join(
        f"{frame},{class_id},0,{PLACES[class_id][0]:g},{PLACES[class_id][1]:g}{distance}\n"
        for class_id, frames in active.items()
        for frame in frames
    )


def write_corpus(
    folder: Path, audio: str = "mic_dev/dev-{}-a/", events: str = "metadata_dev/dev-{}-a/"
) -> Path:
    """Write three rooms to train and one to test."""
    for split, fold, number in ROOMS:
        name = f"fold{fold}_room{number}_mix001"
        for where, suffix in ((audio, ".wav"), (events, ".csv")):
            path = folder / f"{where.format(split)}{name}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            if suffix == ".wav":
                soundfile.write(path, sound(number), SAMPLE_RATE, subtype="PCM_16")
            else:
                path.write_text(rows())
    return folder


def write_scenes(folder: Path) -> Path:
    """Write the packaged scene, which packaged weights find sounds in, as each recording."""
    scene = sample()
    for split, fold, room in ROOMS:
        path = f"dev-{split}-a/fold{fold}_room{room}_mix001"
        for where in ("mic_dev", "metadata_dev", "labels_dev"):
            (folder / where / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(scene.recording, folder / "mic_dev" / f"{path}.wav")
        shutil.copy(scene.truth, folder / "labels_dev" / f"{path}_std.json")
        masks = scene.true_masks()
        events = [Event(m.frame, m.class_id, m.instance_id, *m.direction) for m in masks]
        write_events(folder / "metadata_dev" / f"{path}.csv", events)
    return folder
