"""Fills the class folders of a sound bank from the packages of a store."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice, zip_longest
from pathlib import Path, PurePosixPath

import numpy as np
import soundfile
from rich.progress import track

from saiseld.conventions.taxonomy import CLASS_FOLDERS
from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.runtime.errors import AudioError, DataError
from saiseld.simulation.sounds.bank import BANK_FOLDERS, INTERFERERS, Half
from saiseld.simulation.sounds.synthesis import synthesise
from saiseld_sounds.attribution import Item, file_name
from saiseld_sounds.clips import (
    MIN_CLIP_SECONDS,
    MIN_HIT_SECONDS,
    RHYTHMS,
    Signal,
    clean,
    decode,
    excerpts,
    level,
    sequence,
)
from saiseld_sounds.copies import Seen
from saiseld_sounds.soundfonts import RATE, Song, draw_notes, play_songs
from saiseld_sounds.sources import Clips, Store
from saiseld_sounds.voices import PITCH_HZ, median_pitch, voice_fits

Load = Callable[[], tuple[Signal, int]]
"""Gives a sound's samples and rate in Hz."""

MAX_CLIPS: dict[Half, int] = {"train": 400, "test": 120}
MAX_SECONDS: dict[Half, float] = {"train": 1500.0, "test": 480.0}
"""Most recordings, and seconds of them, that a class keeps; its sources take turns until then."""

MAX_SOURCE_CLIPS: dict[Half, int] = {"train": 60, "test": 30}
"""Most recordings of one source: more would drown the others."""

MAX_SEQUENCES: dict[Half, int] = {"train": 160, "test": 48}
SOURCE_SEQUENCES: dict[Half, int] = {"train": 24, "test": 12}
GROUP_SEQUENCES: dict[Half, int] = {"train": 8, "test": 6}
"""Clips put together from single hits: in a class, of a source, of each of its floors and hands."""

MIN_TRAIN_CLIPS = 40
"""A thinner training class is filled up with procedural clips. Test folders never are: they hold
recorded sound alone."""


@dataclass(frozen=True)
class Clip:
    """A sound on its way into the bank."""

    kind: str
    source: str
    package: str
    path: str
    signal: Signal


def read_held_out(folder: Path) -> list[Signal]:
    """Return the sounds of a folder, and of those in it, as clips of a bank would be made of them.

    Raises
    ------
    DataError
        If there is no sound.
    AudioError
        If one cannot be read.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".wav", ".flac", ".ogg"))
    if not files:
        raise DataError(folder, expected="WAV, FLAC or OGG files", found="none")
    return [clean(*decode(str(path), path.read_bytes())) for path in files]


def fill_bank(
    folder: Path, entries: Sequence[Clips], store: Store, held_out: Sequence[Signal] = ()
) -> tuple[list[Item], list[str]]:
    """Write ``train`` and ``test`` class folders; return what was written and what was left out.

    Raises
    ------
    DataError
        If a class has no usable test clip.
    """
    items: list[Item] = []
    left_out: list[str] = []
    for class_folder in track(BANK_FOLDERS, "classes"):
        seen = Seen(held_out)  # of both splits: no test clip has a copy in training
        for split in ("train", "test"):
            chosen = [e for e in entries if (e.class_folder, e.split) == (class_folder, split)]
            clips = collect_class(class_folder, split, chosen, store, seen, left_out)
            if not clips and class_folder == INTERFERERS:
                continue
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
                        source=clip.source,
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
    whole = [entry for entry in entries if not entry.single_hits]
    turns = zip_longest(*(_read(entry, store, seen, left_out) for entry in whole))
    clips: list[Clip] = []
    of_source: Counter[str] = Counter()
    seconds = 0.0
    for clip in (clip for turn in turns for clip in turn if clip is not None):
        if len(clips) == MAX_CLIPS[split] or seconds >= MAX_SECONDS[split]:
            break
        if of_source[clip.source] < MAX_SOURCE_CLIPS[split]:
            of_source[clip.source] += 1
            clips.append(clip)
            seconds += len(clip.signal) / SAMPLE_RATE
    rng = np.random.default_rng([BANK_FOLDERS.index(class_folder), split == "test"])
    hits = [c for e in entries if e.single_hits for c in _read(e, store, seen, left_out)]
    groups = _groups(hits)
    sequences: Counter[str] = Counter()
    for group in groups * GROUP_SEQUENCES[split]:
        source = group[0].source
        if sequences.total() < MAX_SEQUENCES[split] and sequences[source] < SOURCE_SEQUENCES[split]:
            sequences[source] += 1
            clips.append(_sequence(group, class_folder, rng))
    filled = split == "train" and class_folder != INTERFERERS
    while filled and len(clips) < MIN_TRAIN_CLIPS:
        clips.append(_procedural(class_folder, rng))
    return clips


def _read(entry: Clips, store: Store, seen: Seen, left_out: list[str]) -> Iterator[Clip]:
    """Yield the usable clips of an entry, one after the other as they are asked for."""
    shortest = MIN_HIT_SECONDS if entry.single_hits else MIN_CLIP_SECONDS
    if entry.class_folder in PITCH_HZ and not _is_certain(entry, store):
        left_out.append(f"{entry.origin}: a speaker whose pitch does not tell the sex")
        return
    for path, load in _sounds(entry, store):
        place = f"{entry.package}: {path}"
        try:
            whole = clean(*load())
        except AudioError as error:
            left_out.append(str(error))
            continue
        for part in excerpts(whole):
            if len(part) < shortest * SAMPLE_RATE:
                left_out.append(f"{place}: shorter than {shortest} s")
            elif not voice_fits(entry.class_folder, part):
                left_out.append(f"{place}: a pitch that does not tell the sex")
            elif seen.is_copy(part):
                left_out.append(f"{place}: a copy of another clip of the class, or held out")
            else:
                kind = "excerpt" if len(part) < len(whole) else "recording"
                if entry.use == "soundfont":
                    kind = "rendered"
                yield Clip(kind, entry.origin, entry.package, path, level(part))


def _is_certain(entry: Clips, store: Store) -> bool:
    """Return whether most of a speaker's first clips, where they have a pitch, are of the class."""
    pitches = []
    for _, load in islice(_sounds(entry, store), 24):
        with suppress(AudioError):
            pitches.append(median_pitch(clean(*load())))
    low, high = PITCH_HZ[entry.class_folder]
    voiced = [pitch for pitch in pitches if pitch is not None]
    return 2 * sum(low <= pitch <= high for pitch in voiced) > len(voiced)


def _sounds(entry: Clips, store: Store) -> Iterator[tuple[str, Load]]:
    """Yield where each sound of an entry is from, and what reads or plays it."""
    for path, content in store.choose(entry):
        if entry.use != "soundfont":
            yield path, partial(decode, f"{entry.package}: {path}", content)
            continue
        songs = {
            f"{path} {bank}:{program} take {take}": _draw_song(entry, bank, program, take)
            for take in range(entry.takes)
            for bank, program in entry.presets
        }
        with tempfile.TemporaryDirectory() as folder:
            font = Path(folder) / PurePosixPath(path).name
            font.write_bytes(content)
            played = play_songs(font, list(songs.values()))
        for name, samples in zip(songs, played, strict=True):
            yield name, partial(lambda song: (song, RATE), samples)


def _draw_song(entry: Clips, bank: int, program: int, take: int) -> Song:
    source = hashlib.sha256(f"{entry.class_folder} {entry.origin}".encode()).digest()
    rng = np.random.default_rng([*source, bank, program, take])
    return Song(bank, program, draw_notes(entry.play, entry.keys, rng))


def _groups(hits: Sequence[Clip]) -> list[list[Clip]]:
    """Return hits by source and name less number and strength: one floor, one pair of hands."""
    groups: dict[tuple[str, str], list[Clip]] = {}
    for hit in hits:
        stem = re.sub(
            r"([-_. ]*(softest|soft|med|hardest|hard)?[-_. ]*\d*)(\.\w+)?$",
            "",
            PurePosixPath(hit.path).name,
            flags=re.IGNORECASE,
        )
        groups.setdefault((hit.source, stem), []).append(hit)
    return list(groups.values())


def _sequence(hits: Sequence[Clip], class_folder: str, rng: np.random.Generator) -> Clip:
    signal = sequence([hit.signal for hit in hits], RHYTHMS[class_folder], rng)
    paths = "; ".join(hit.path for hit in hits)
    return Clip("sequence", hits[0].source, hits[0].package, paths, level(signal))


def _procedural(class_folder: str, rng: np.random.Generator) -> Clip:
    voice = int(rng.integers(2**31))
    signal = synthesise(CLASS_FOLDERS.index(class_folder), voice, rng, rng.uniform(2, 6))
    return Clip("procedural", "", "", "", level(clean(signal.astype(np.float32), SAMPLE_RATE)))
