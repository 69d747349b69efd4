"""Recordings and results in object storage (``s3://``, ``gs://``, ...), by fsspec.

Recordings are read by seeking, and results are renamed into place when they are whole; object
stores do neither. So what is read is fetched once into the user's cache, and what is written is
made there and sent file by file as each is finished. What is already in the store comes first:
the same command goes on from there, on any machine.
"""

from __future__ import annotations

import logging
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from saiseld.runtime.cache import user_cache
from saiseld.runtime.errors import DataError, InputError, OutputError, refusing
from saiseld.runtime.files import atomic_path, files_below, is_plain_name, write_bytes
from saiseld.runtime.parallel import run_all

SCHEMES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")
"""Of the stores that are known by their addresses; fsspec says what to install for each."""
SEND_EVERY_S = 5.0
"""Seconds between looks for finished files."""

_URL = re.compile(rf"({'|'.join(SCHEMES)}):/+(.+)")
_VERSIONS = ("ETag", "etag", "md5Hash", "content_md5", "mtime", "LastModified", "created")
"""What stores call that by which a changed object is known."""
_CHATTY = ("aiobotocore", "botocore", "gcsfs", "s3fs")
"""Packages that log where they found credentials, and tracebacks of what comes as an error too."""
_log = logging.getLogger(__name__)


def url_of(path: str | Path) -> str | None:
    """Return the address that a path or text is, None if it is a path on a disk.

    >>> url_of(Path("s3://bucket/rooms"))
    's3://bucket/rooms'
    """
    found = _URL.fullmatch(str(path))
    return None if found is None else f"{found[1]}://{found[2].rstrip('/')}"


class Stored:
    """What a store holds below an address, and its place in the user's cache.

    Parameters
    ----------
    url
        Of an object, or of all whose names begin with it and a slash.

    Raises
    ------
    InputError
        If fsspec or the store's own package is not installed, or the address is none.
    """

    def __init__(self, url: str) -> None:
        from fsspec.core import url_to_fs

        self.url = url
        with refusing(InputError, url, "a store that can be reached", advice=_advice(url)):
            self._store, self._root = url_to_fs(url)
        for name in _CHATTY:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        scheme, _, rest = url.partition("://")
        self.place = _below(user_cache("object-storage") / scheme, rest, url)

    def _objects(self) -> dict[str, dict[str, Any]]:
        """Return every object by its name below the address, empty for the address itself."""
        self._store.invalidate_cache()
        with suppress(FileNotFoundError):
            found = self._store.find(self._root, detail=True)
            return {
                name.removeprefix(self._root).lstrip("/"): entry
                for name, entry in found.items()
                if not name.endswith("/")
            }
        return {}

    def fetch(self, *, results: bool = False) -> Path:
        """Return the place in the cache, after what changed in the store has come there.

        ``results`` may be none yet, and files that are not in the store are kept, to be sent;
        otherwise they are removed.

        Raises
        ------
        InputError
            If there is nothing, it cannot be read, or the disk has no room for it.
        """
        with refusing(InputError, self.url, "a store that can be read", advice=_advice(self.url)):
            objects = self._objects()
        if not (objects or results):
            raise InputError(self.url, expected="a file or a folder of files", found="nothing")
        places = {self._place_of(name): entry for name, entry in objects.items()}
        changed = {p: entry for p, entry in places.items() if not _is_here(p, entry, results)}
        self._check_room(sum(int(entry["size"] or 0) for entry in changed.values()))
        if changed:
            _log.info("%s: fetching %d of %d files", self.url, len(changed), len(objects))
            tasks = {str(path): (path, entry) for path, entry in changed.items()}
            run_all(self._fetch_one, tasks, title="fetching")
        if not results:
            for path in set(self._files()) - places.keys():
                path.unlink()
        return self.place

    def _place_of(self, name: str) -> Path:
        return _below(self.place, name, self.url) if name else self.place

    def _fetch_one(self, path: Path, entry: dict[str, Any]) -> None:
        with (
            refusing(InputError, f"{self.url}: {entry['name']}", "an object that can be read"),
            atomic_path(path) as temporary,
        ):
            self._store.get_file(entry["name"], str(temporary))
        _write_note(path, entry, _state(path))

    def _check_room(self, needed: int) -> None:
        parent = next(folder for folder in (self.place, *self.place.parents) if folder.exists())
        free = shutil.disk_usage(parent).free
        if needed > free:
            raise InputError(
                self.url,
                expected=f"room for {needed / 1e9:.1f} GB in {parent}",
                found=f"{free / 1e9:.1f} GB",
                advice="Set XDG_CACHE_HOME to a larger disk, or mount the store",
            )

    def _files(self) -> list[Path]:
        if self.place.is_file():
            return [self.place]
        return list(files_below(self.place)) if self.place.is_dir() else []

    def send(self) -> None:
        """Send the files that are new or have changed.

        Raises
        ------
        OutputError
            If the store does not take one.
        """
        for path in self._files():
            with suppress(FileNotFoundError):
                state = _state(path)
                if _noted(path)[1] == state:
                    continue
                name = path.relative_to(self.place).as_posix()
                target = self._root if name == "." else f"{self._root}/{name}"
                with refusing(OutputError, self.url, f"a store that takes {name}"):
                    self._store.put_file(str(path), target)
                    _write_note(path, self._store.info(target), state)


def fetched(url: str) -> Path:
    """Return the place of a file or folder of a store, fetched into the user's cache.

    Raises
    ------
    InputError
        If it cannot be read, or there is nothing.
    """
    return Stored(url).fetch()


@contextmanager
def sent(url: str) -> Iterator[Path]:
    """Yield a place whose files are sent to a store while the block lasts, and when it ends.

    Raises
    ------
    InputError, OutputError
        If the store cannot be read, or does not take a file.
    """
    stored = Stored(url)
    stored.fetch(results=True)
    stored.place.parent.mkdir(parents=True, exist_ok=True)
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(SEND_EVERY_S):
            try:
                stored.send()
            except OutputError as error:  # is tried again, at last when the block ends
                _log.warning("%s", error)

    watcher = threading.Thread(target=watch, name=f"sends to {url}", daemon=True)
    watcher.start()
    try:
        yield stored.place
    finally:
        ended.set()
        watcher.join()
        stored.send()
        _log.info("results are in %s", url)


def _below(folder: Path, name: str, url: str) -> Path:
    """Return the path of an object's name in a folder, and never elsewhere."""
    parts = name.split("/")
    bad = next((part for part in parts if not is_plain_name(part)), None)
    if bad is not None:
        raise DataError(url, expected="objects named as files can be", found=repr(name))
    return folder.joinpath(*parts)


def _note(path: Path) -> Path:
    """Return the file beside a fetched one that says which version it is."""
    return path.with_name(f".{path.name}.stored")


def _noted(path: Path) -> tuple[str, str]:
    """Return the version that a file was fetched or sent as, and its state then; empty if never."""
    note = _note(path)
    version, _, state = (note.read_text() if note.is_file() else "").partition("\n")
    return version, state


def _write_note(path: Path, entry: dict[str, Any], state: str) -> None:
    write_bytes(_note(path), f"{_version(entry)}\n{state}".encode())


def _is_here(path: Path, entry: dict[str, Any], results: bool) -> bool:
    """Return whether a version is there; results that were changed since are newer."""
    version, state = _noted(path)
    same = path.is_file() and version == _version(entry)
    return same and (results or state == _state(path))


def _version(entry: dict[str, Any]) -> str:
    version = next((entry[key] for key in _VERSIONS if entry.get(key)), "")
    return f"{entry['size']} {version}"


def _state(path: Path) -> str:
    state = path.stat()
    return f"{state.st_mtime_ns} {state.st_size}"


def _advice(url: str) -> str:
    package = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}
    name = package.get(url.partition(":")[0], "adlfs")
    return f"It takes {name} (pip install {name}) and the credentials of the account"
