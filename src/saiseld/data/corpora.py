"""Annotated recordings of any corpus: a recording, its events, its masks if there are any.

Three layouts are read as they come from their publishers:

- STAIRS26 and STARSS22/23: ``{eigen,mic,foa}_dev/dev-train-*/<recording>.wav``, metadata in
  ``metadata_dev`` with or without a distance, masks in ``labels_dev``;
- TAU-NIGENS 2020/21: the same folders, or none between them and the recordings;
- any folder with recordings and CSVs of the same names, however deep.

Of one corpus in several forms 32 channels are taken before capsules, and capsules before
ambisonics. Other classes than ours are named in a TOML file (`CorpusMap`). Nothing is skipped: a
recording without events, or events without a recording, is an error.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from saiseld.conventions.taxonomy import CLASS_FOLDERS, CLASS_NAMES, NUM_CLASSES
from saiseld.conventions.timebase import FPS
from saiseld.data.ambisonics import AmbisonicFormat
from saiseld.data.recordings import AUDIO_SUFFIXES, OTHER_SUFFIXES
from saiseld.data.stairs26 import AUDIO_FOLDERS, EVENTS_FOLDER, LABEL_FOLDER, Split
from saiseld.formats.annotation import LABEL_SUFFIX
from saiseld.formats.events import Event, distinct_events, read_events
from saiseld.runtime.errors import DataError
from saiseld.runtime.files import files_below
from saiseld.runtime.recipe_files import RecipeModel

FOA_FOLDER = "foa_dev"
_MOST_CLASSES = 10_000
IGNORED = -1
"""Class of events that are none of ours, where the map says that these are ignored."""

_log = logging.getLogger(__name__)


class CorpusMap(RecipeModel):
    """What a corpus' numbers and names mean; a TOML file, or a built-in one by name."""

    package: ClassVar[str] = "saiseld.data"

    classes: dict[int, str]
    """Its class numbers, and the class folder or class name that each is of ours."""
    other: Literal["refuse", "ignore"] = "refuse"
    """What a class that is not among them is: a mistake, or a sound that nothing is learnt of."""
    format: Literal["auto", "capsules", "ambix", "n3d", "fuma", "a-format"] = "auto"
    """Of the channels; ``auto`` takes ``foa_dev`` for ``ambix`` and all else for capsules."""
    frames_per_second: int = Field(default=FPS, ge=1, le=1000)
    """Of the events."""
    room: str = r"room\d+"
    """Regular expression: what it finds in a recording's name is its room."""
    test: tuple[str, ...] = ()
    """Patterns of recordings to test with, where no folder dev-test says so."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for number, name in self.classes.items():
            if number < 0 or _class_of(name) is None:
                raise ValueError(f"classes: {number} = {name!r} is none of {CLASS_FOLDERS}")
        try:
            re.compile(self.room)
        except re.error as error:
            raise ValueError(f"room: {error}") from None
        return self

    def class_of(self, number: int) -> int | None:
        """Return our class of a number of the corpus; None if it is none of ours."""
        name = self.classes.get(number)
        return None if name is None else _class_of(name)


def _class_of(name: str) -> int | None:
    for names in (CLASS_FOLDERS, CLASS_NAMES):
        if name in names:
            return names.index(name)
    return None


@dataclass(frozen=True, slots=True)
class AnnotatedRecording:
    """A recording of a corpus and what says what is in it.

    Parameters
    ----------
    name
        Of the recording.
    split
        ``dev-train`` or ``dev-test``.
    room
        By which splits go.
    audio
        The recording.
    events, masks
        CSV and label JSON; at least one of them is there.
    ambisonics
        What its channels are, if no capsules.
    """

    name: str
    split: Split
    room: str
    audio: Path
    events: Path | None
    masks: Path | None
    ambisonics: AmbisonicFormat | None = None


@dataclass(frozen=True, slots=True)
class Corpus:
    """The recordings of a corpus, by split and name, and what its numbers mean."""

    path: Path
    mapping: CorpusMap
    recordings: tuple[AnnotatedRecording, ...]

    def split(self, split: Split) -> tuple[AnnotatedRecording, ...]:
        """Return the recordings of ``dev-train`` or ``dev-test``."""
        return tuple(one for one in self.recordings if one.split == split)


def read_corpus_map(name: str) -> CorpusMap:
    """Return a built-in map (``starss``, ``tau2020``, ``tau2021``) or the one in a TOML file.

    Raises
    ------
    RecipeError
        If there is none, a key is unknown or a class is none of ours.
    """
    return CorpusMap.read(name)


def open_corpus(path: str | Path, mapping: CorpusMap | None = None) -> Corpus:
    """Find the recordings of a corpus, reading none of them.

    Parameters
    ----------
    path
        The corpus.
    mapping
        What its numbers and names mean; those of STARSS23 without it.

    Raises
    ------
    DataError
        If there is none, a recording has no events or masks, events or masks have no recording,
        two recordings have the same name, or a room is on both sides.
    """
    path, mapping = Path(path), mapping or read_corpus_map("starss")
    audio, found_in = _recordings(path)
    events = _by_name(path, _files(_below(path, EVENTS_FOLDER), ".csv"), ".csv")
    masks = _by_name(path, _files(path / LABEL_FOLDER, LABEL_SUFFIX), LABEL_SUFFIX)
    if not audio:
        raise DataError(
            path,
            expected="recordings and the CSVs of their events",
            found="no recording" if path.is_dir() else "no such folder",
        )
    _check_pairs(path, audio, events, masks)
    kind = _format(mapping, found_in)
    recordings = [
        AnnotatedRecording(
            name,
            _split(file, path, mapping),
            _room(name, mapping),
            file,
            events.get(name),
            masks.get(name),
            kind,
        )
        for name, file in audio.items()
    ]
    recordings.sort(key=lambda one: (one.split != "dev-train", one.name))
    corpus = Corpus(path, mapping, tuple(recordings))
    for room in sorted({r.room for r in corpus.split("dev-train")}):
        if room in {r.room for r in corpus.split("dev-test")}:
            raise DataError(
                path,
                place=room,
                expected="a room of dev-train or of dev-test",
                found="recordings of it in both",
                advice="What is learnt from a room must not be scored in it; say in the class map "
                "what names a room",
            )
    return corpus


def corpus_events(recording: AnnotatedRecording, mapping: CorpusMap) -> list[Event]:
    """Return a recording's events at 10 FPS in our classes; `IGNORED` is none of ours.

    Raises
    ------
    DataError
        If the CSV cannot be read, a class is unknown, or a source is at two places in a frame.
    """
    path = recording.events
    assert path is not None
    ours = mapping.other == "refuse" and set(mapping.classes) == set(range(NUM_CLASSES))
    rows = distinct_events(read_events(path, classes=NUM_CLASSES if ours else _MOST_CLASSES), path)
    shared = len({mapping.class_of(n) for n in mapping.classes}) < len(mapping.classes)
    events: dict[tuple[int, int, int], list[Event]] = {}
    for row in rows:
        class_id = mapping.class_of(row.class_id)
        if class_id is None and mapping.other == "refuse":
            raise DataError(
                path,
                place=f"frame {row.frame}, class",
                expected=f"a class of the map ({', '.join(map(str, sorted(mapping.classes)))})",
                found=str(row.class_id),
                advice='Name it in the class map, or say other = "ignore" there',
            )
        frame = int((row.frame + 0.5) * FPS / mapping.frames_per_second)
        # Two classes of a corpus may be one of ours: their sources stay apart.
        source = row.source * _MOST_CLASSES + row.class_id if shared else row.source
        here = row._replace(
            frame=frame, class_id=IGNORED if class_id is None else class_id, source=source
        )
        events.setdefault((frame, row.class_id, source), []).append(here)
    # Of several rows of a source in one of our frames, the middle one.
    return [rows[len(rows) // 2] for _, rows in sorted(events.items())]


def _recordings(path: Path) -> tuple[dict[str, Path], str]:
    for folder in (*AUDIO_FOLDERS, FOA_FOLDER):
        found = _by_name(path, _sounds(path / folder), None)
        if found:
            return found, folder
    return _by_name(path, _sounds(path), None), ""


def _sounds(folder: Path) -> Iterable[Path]:
    return _files(folder, *AUDIO_SUFFIXES, *OTHER_SUFFIXES)


def _files(folder: Path, *suffixes: str) -> Iterator[Path]:
    return (path for path in files_below(folder) if path.name.lower().endswith(suffixes))


def _format(mapping: CorpusMap, found_in: str) -> AmbisonicFormat | None:
    if mapping.format == "auto":
        return "ambix" if found_in == FOA_FOLDER else None
    return None if mapping.format == "capsules" else mapping.format


def _below(path: Path, folder: str) -> Path:
    return path / folder if (path / folder).is_dir() else path


def _by_name(path: Path, files: Iterable[Path], suffix: str | None) -> dict[str, Path]:
    """Return files by their recording's name."""
    found: dict[str, Path] = {}
    for file in sorted(files):
        name = file.stem if suffix is None else file.name.removesuffix(suffix)
        if name in found:
            raise DataError(
                path,
                place=str(file.relative_to(path)),
                expected="every recording once",
                found=f"also {found[name].relative_to(path)}",
            )
        found[name] = file
    return found


def _check_pairs(
    path: Path, audio: dict[str, Path], events: dict[str, Path], masks: dict[str, Path]
) -> None:
    for name in sorted(audio.keys() - events.keys() - masks.keys()):
        raise DataError(
            audio[name],
            expected=f"its events in {name}.csv, or its masks in {name}{LABEL_SUFFIX}",
            found="neither",
            advice="A recording in which nothing sounds has an empty CSV",
        )
    for name in sorted((events.keys() | masks.keys()) - audio.keys()):
        raise DataError(
            events.get(name, masks.get(name, path)),
            expected=f"its recording, {name}.wav",
            found="none",
            advice="Add the recording, or take its annotations away",
        )


def _split(file: Path, path: Path, mapping: CorpusMap) -> Split:
    parents = file.relative_to(path).parts[:-1]
    named_test = any(part.startswith("dev-test") for part in parents)
    listed = any(fnmatch(file.stem, pattern) for pattern in mapping.test)
    return "dev-test" if named_test or listed else "dev-train"


def _room(name: str, mapping: CorpusMap) -> str:
    found = re.search(mapping.room, name)
    if found is None:
        _log.warning("%s: no room in its name; taken for a room of its own", name)
        return name
    return found[0]
