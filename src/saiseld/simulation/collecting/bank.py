"""Fills the class folders of a sound bank from the packages of a store."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path, PurePosixPath

import numpy as np
import soundfile
from rich.progress import track

from saiseld.conventions.taxonomy import CLASS_FOLDERS
from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.runtime.errors import AudioError, DataError
from saiseld.simulation.collecting.attribution import Item, file_name
from saiseld.simulation.collecting.clips import (
    MIN_CLIP_SECONDS,
    MIN_HIT_SECONDS,
    RHYTHMS,
    Seen,
    Signal,
    clean,
    decode,
    excerpts,
    level,
    sequence,
)
from saiseld.simulation.collecting.sources import Clips, Store
from saiseld.simulation.sounds.bank import Half
from saiseld.simulation.sounds.synthesis import synthesise

MAX_CLIPS: dict[Half, int] = {"train": 300, "test": 100}
MAX_SECONDS: dict[Half, float] = {"train": 720.0, "test": 240.0}
"""Most recordings, and seconds of them, that a class keeps; its sources take turns until then."""

SEQUENCES: dict[Half, int] = {"train": 40, "test": 15}
"""Clips put together from single hits, in the classes that have hits."""

MIN_TRAIN_CLIPS = 40
"""A thinner training class is filled up with procedural clips. Test folders never are: they hold
recorded sound alone."""


@dataclass(frozen=True)
class Clip:
    """A sound on its way into the bank."""

    kind: str
    package: str
    path: str
    signal: Signal


def fill_bank(folder: Path, entries: Sequence[Clips], store: Store) -> tuple[list[Item], list[str]]:
    """Write ``train`` and ``test`` class folders; return what was written and what was left out.

    Raises
    ------
    DataError
        If a class has no usable test clip.
    """
    items: list[Item] = []
    left_out: list[str] = []
    for class_folder in track(CLASS_FOLDERS, "classes"):
        seen = Seen()  # of both splits: no test clip has a copy in training
        for split in ("train", "test"):
            chosen = [e for e in entries if (e.class_folder, e.split) == (class_folder, split)]
            clips = collect_class(class_folder, split, chosen, store, seen, left_out)
            if not clips:
                raise DataError(
                    f"{split}/{class_folder}", expected="at least one usable clip", found="none"
                )
            (folder / split / class_folder).mkdir(parents=True)
            for index, clip in enumerate(clips):
                name = file_name(index, clip.kind, clip.package, clip.path, ".wav")
                file = f"{split}/{class_folder}/{name}"
                soundfile.write(folder / file, clip.signal, SAMPLE_RATE, subtype="PCM_16")
                items.append(
                    Item(
                        file=file,
                        split=split,
                        category=class_folder,
                        kind=clip.kind,
                        seconds=round(len(clip.signal) / SAMPLE_RATE, 3),
                        package=clip.package,
                        version=store.versions.get(clip.package, ""),
                        path=clip.path,
                        licence=store.licences.get(clip.package, "none: made by this program"),
                    )
                )
    return items, left_out


def collect_class(
    class_folder: str,
    split: Half,
    entries: Sequence[Clips],
    store: Store,
    seen: Seen,
    left_out: list[str],
) -> list[Clip]:
    """Return the clips of one class and split; add to ``left_out`` what cannot be used."""
    recordings = [entry for entry in entries if entry.use == "recordings"]
    turns = zip_longest(*(_read(entry, store, seen, left_out) for entry in recordings))
    clips: list[Clip] = []
    seconds = 0.0
    for clip in (clip for turn in turns for clip in turn if clip is not None):
        if len(clips) == MAX_CLIPS[split] or seconds >= MAX_SECONDS[split]:
            break
        clips.append(clip)
        seconds += len(clip.signal) / SAMPLE_RATE
    rng = np.random.default_rng([CLASS_FOLDERS.index(class_folder), split == "test"])
    hits = [clip for e in entries if e.use == "hits" for clip in _read(e, store, seen, left_out)]
    groups = _groups(hits)
    for number in range(SEQUENCES[split] if groups else 0):
        clips.append(_sequence(groups[number % len(groups)], class_folder, rng))
    while split == "train" and len(clips) < MIN_TRAIN_CLIPS:
        clips.append(_procedural(class_folder, rng))
    return clips


def _read(entry: Clips, store: Store, seen: Seen, left_out: list[str]) -> Iterator[Clip]:
    """Yield the usable clips of an entry, one after the other as they are asked for."""
    shortest = MIN_HIT_SECONDS if entry.use == "hits" else MIN_CLIP_SECONDS
    for path, content in store.choose(entry):
        try:
            whole = clean(*decode(f"{entry.package}: {path}", content))
        except AudioError as error:
            left_out.append(str(error))
            continue
        parts = excerpts(whole)
        for part in parts:
            if len(part) < shortest * SAMPLE_RATE:
                left_out.append(f"{entry.package}: {path}: shorter than {shortest} s")
            elif seen.is_copy(part):
                left_out.append(f"{entry.package}: {path}: a copy of another clip of the class")
            else:
                kind = "excerpt" if len(part) < len(whole) else "recording"
                yield Clip(kind, entry.package, path, level(part))


def _groups(hits: Sequence[Clip]) -> list[list[Clip]]:
    """Return hits by package and name less number and strength: one floor, one pair of hands."""
    groups: dict[tuple[str, str], list[Clip]] = {}
    for hit in hits:
        stem = re.sub(
            r"([-_. ]*(softest|soft|med|hardest|hard)?[-_. ]*\d*)(\.\w+)?$",
            "",
            PurePosixPath(hit.path).name,
            flags=re.IGNORECASE,
        )
        groups.setdefault((hit.package, stem), []).append(hit)
    return list(groups.values())


def _sequence(hits: Sequence[Clip], class_folder: str, rng: np.random.Generator) -> Clip:
    signal = sequence([hit.signal for hit in hits], RHYTHMS[class_folder], rng)
    paths = "; ".join(hit.path for hit in hits)
    return Clip("sequence", hits[0].package, paths, level(signal))


def _procedural(class_folder: str, rng: np.random.Generator) -> Clip:
    voice = int(rng.integers(2**31))
    signal = synthesise(CLASS_FOLDERS.index(class_folder), voice, rng, rng.uniform(2, 6))
    return Clip("procedural", "", "", level(clean(signal.astype(np.float32), SAMPLE_RATE)))
