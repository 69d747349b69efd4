"""Dry sounds to mix, decoded once: a bank's clips and procedural ones, known by their source.

What a network learns of a class is limited by how many independent sources it hears, not by how
many clips; so a source is drawn first, and then one of its clips. Some sources of each class are
set apart to select by (`SoundPool.split`).
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.runtime.files import atomic_path
from saiseld.runtime.parallel import run_all
from saiseld.simulation.sounds.bank import FolderBank, ProceduralBank, decode, levelled

ATTRIBUTION = "ATTRIBUTION.csv"
INTERFERER = -1
"""Class of sounds that have none."""

PROCEDURAL = "synthesis"
"""Source of procedural clips."""

CLIP_S = 12.0
"""Only this much of a clip is kept; longer ones give several."""
_PIECES = 4
_SYNTHETIC = 96
"""Procedural clips a class."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A sound in the pool: its class, source, and place."""

    class_id: int
    source: str
    part: int
    start: int
    length: int


class SoundPool:
    """All clips, mono 24 kHz, RMS 1 while they sound."""

    def __init__(self, samples: Sequence[NDArray[np.float16]], clips: Sequence[Clip]) -> None:
        self._samples, self.clips = samples, clips

    def signal(self, clip: Clip) -> NDArray[np.float32]:
        """Return a clip's samples."""
        return np.asarray(
            self._samples[clip.part][clip.start : clip.start + clip.length], np.float32
        )

    def split(self, val_fraction: float) -> tuple[SoundPool, SoundPool]:
        """Return pools of different sources: to train with and to select by.

        Of every class a share of its sources (at least one, if it has three) goes to selection; of
        procedural clips every fifth, whose voices are others.
        """
        apart: set[tuple[int, str]] = set()
        for class_id in range(INTERFERER, NUM_CLASSES):
            counts: dict[str, int] = {}
            for clip in self.clips:
                if clip.class_id == class_id and clip.source != PROCEDURAL:
                    counts[clip.source] = counts.get(clip.source, 0) + 1
            # By the hash of the name: what is added to a bank later moves no other source.
            order = sorted(counts, key=lambda s: blake2b(f"{class_id} {s}".encode()).digest())
            count = round(val_fraction * len(order)) if len(order) >= 3 else 0
            apart |= {(class_id, s) for s in order[: max(count, len(order) >= 3)]}
        train: list[Clip] = []
        select: list[Clip] = []
        for number, clip in enumerate(self.clips):
            held = (
                number % 5 == 0
                if clip.source == PROCEDURAL
                else (clip.class_id, clip.source) in apart
            )
            (select if held else train).append(clip)
        return SoundPool(self._samples, train), SoundPool(self._samples, select)

    def by_source(self, class_id: int) -> dict[str, list[Clip]]:
        """Return a class's clips by source."""
        sources: dict[str, list[Clip]] = {}
        for clip in self.clips:
            if clip.class_id == class_id:
                sources.setdefault(clip.source, []).append(clip)
        return sources


def sound_pool(
    bank: FolderBank, folder: Path, cache: Path, *, jobs: int = 1
) -> tuple[SoundPool, str]:
    """Return the pool of a bank's train side and of procedural clips, made once, and its digest.

    Parameters
    ----------
    bank, folder
        The bank and the folder it was read from, which may hold an ATTRIBUTION.csv that tells the
        source (its package) of every file; without it every file is a source.
    cache
        Folder for the decoded clips.
    jobs
        Processes that decode.
    """
    source = _sources(folder)
    named = [
        (class_id, path, source.get(str(path.relative_to(folder))) or _named_source(path))
        for class_id, paths in enumerate(bank.clips["train"])
        for path in paths
    ]
    named += [
        (INTERFERER, path, source.get(str(path.relative_to(folder))) or _named_source(path))
        for path in bank.interferers.get("train", ())
    ]
    whole = blake2b(digest_size=8)
    for class_id, path, name in named:
        whole.update(f"{class_id} {path.name} {path.stat().st_size} {name}\n".encode())
    digest = whole.hexdigest()
    batches = [named[first : first + 64] for first in range(0, len(named), 64)]
    parts = [
        _cached(
            cache / f"synthesis_{_SYNTHETIC}",
            {f"synthesis {c}": (_synthesised, c) for c in range(NUM_CLASSES)},
            jobs,
        ),
        _cached(
            cache / f"bank_{digest}",
            {f"bank {n}": (_decoded, batch) for n, batch in enumerate(batches)},
            jobs,
        ),
    ]
    clips = [
        Clip(class_id, name, part, start, length)
        for part, (_, table) in enumerate(parts)
        for class_id, name, start, length in table
    ]
    return SoundPool([samples for samples, _ in parts], clips), digest


def _cached(
    stem: Path, tasks: Mapping[str, tuple[Any, ...]], jobs: int
) -> tuple[NDArray[np.float16], list[tuple[int, str, int, int]]]:
    """Return samples and a table of clips, made by tasks if they are not there."""
    sound, index = stem.with_suffix(".f16"), stem.with_suffix(".json")
    if not index.exists():
        results = run_all(_call, tasks, jobs=jobs, title=f"making {stem.name}")
        table, start = [], 0
        with atomic_path(sound) as temporary, temporary.open("wb") as file:
            for class_id, name, signal in (row for rows in results.values() for row in rows):
                signal.astype(np.float16).tofile(file)
                table.append((class_id, name, start, len(signal)))
                start += len(signal)
        with atomic_path(index) as temporary:
            temporary.write_text(json.dumps(table))
    return np.memmap(sound, np.float16, "r"), json.loads(index.read_text())


_NAME = re.compile(r"\d+_([a-z]+)(?:_([^_]+))?")


def _named_source(path: Path) -> str:
    """Return the source that a collected file's name tells: ``012_recording_package_name``."""
    name = _NAME.match(path.stem)
    if name and name[1] == "procedural":
        return PROCEDURAL
    return name[2] if name and name[2] else path.stem


_T = TypeVar("_T")


def _call(function: Callable[..., _T], *arguments: Any) -> _T:
    return function(*arguments)


def _sources(folder: Path) -> dict[str, str]:
    path = folder / ATTRIBUTION
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {
            row["file"]: PROCEDURAL
            if row["kind"] == "procedural"
            else row.get("source") or row["package"]
            for row in csv.DictReader(file)
        }


Row = tuple[int, str, NDArray[np.float32]]


def _decoded(named: Sequence[tuple[int, Path, str]]) -> list[Row]:
    rows = []
    longest = int(CLIP_S * SAMPLE_RATE)
    for class_id, path, source in named:
        signal = levelled(decode(path))
        for piece in range(min(_PIECES, -(-len(signal) // longest))):
            part = signal[piece * longest : (piece + 1) * longest]
            if len(part) >= SAMPLE_RATE // 2 or piece == 0:
                rows.append((class_id, source, np.clip(part, -200, 200)))
    return rows


def _synthesised(class_id: int) -> list[Row]:
    bank = ProceduralBank()
    rows: list[Row] = []
    for number in range(_SYNTHETIC):
        rng = np.random.default_rng([7, class_id, number])
        seconds = float(rng.uniform(1.5, 6))
        voice = int(rng.integers(2**31))
        signal = bank.draw(class_id, "train", seconds, voice, rng)
        rows.append((class_id, PROCEDURAL, np.clip(signal, -200, 200)))
    return rows
