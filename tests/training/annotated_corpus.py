"""A corpus of four recordings of six seconds: two classes in known directions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from saiseld.conventions.arrays import TETRAHEDRON, eigenmike_xyz
from saiseld.conventions.rigid_sphere import RigidSphereArray
from saiseld.conventions.sphere import HEIGHT, WIDTH, unit_vector
from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.formats.annotation import EnergyMask, write_annotations

FRAMES = 60
PLACES = {0: (30.0, 5.0), 3: (-100.0, -20.0)}
"""Directions of the two classes that sound."""


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
    for number, (split, fold) in enumerate((("train", 3),) * 3 + (("test", 1),), start=1):
        name = f"fold{fold}_room{number}_mix001"
        for where, suffix in ((audio, ".wav"), (events, ".csv")):
            path = folder / f"{where.format(split)}{name}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            if suffix == ".wav":
                soundfile.write(path, sound(number), SAMPLE_RATE, subtype="PCM_16")
            else:
                path.write_text(rows())
    return folder


def write_masks(folder: Path) -> Path:
    """Write a square round each source as its label; return the folder."""
    for events in sorted((folder / "metadata_dev").rglob("*.csv")):
        masks = []
        for line in events.read_text().splitlines():
            frame, class_id, *_ = (int(float(part)) for part in line.split(","))
            azimuth, elevation = PLACES[class_id]
            x, y = (180 - azimuth) * WIDTH / 360, (90 - elevation) * HEIGHT / 180
            grid = np.mgrid[-6:7, -6:7].reshape(2, -1).T
            points = np.column_stack([grid + np.round((x, y)), np.full(len(grid), 0.8)])
            masks.append(EnergyMask(frame, 0, class_id, (points,), 150.0))
        labels = folder / "labels_dev" / events.parent.name / f"{events.stem}_std.json"
        labels.parent.mkdir(parents=True, exist_ok=True)
        write_annotations(labels, masks)
    return folder
