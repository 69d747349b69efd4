"""What was worked out from a file, kept in a folder under that file's content.

The same content is never worked out twice, a file that changes is worked out anew, and a damaged
entry is made again: a checksum lies beside each. Any number of processes may share a folder:
entries appear whole. The folder may be deleted at any time, and where it cannot be written, work
goes on without it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from saiseld.runtime.errors import DataError, InputError, OutputError, refusing
from saiseld.runtime.files import atomic_path, write_bytes

T = TypeVar("T")

CHECKSUM_SUFFIX = ".sum"
_BLOCK = 1 << 20
_LARGEST_READ_WHOLE = 64 * _BLOCK
_LONGEST_STEM = 100

_log = logging.getLogger(__name__)


def cached(
    cache: str | Path,
    source: Path,
    suffix: str,
    make: Callable[[Path], object],
    read: Callable[[Path], T],
) -> T:
    """Return what is read from the entry of a source's content, made if it is not there.

    Parameters
    ----------
    cache
        Folder of the cache.
    source
        File, or folder of files, that the entry is made from.
    suffix
        Tells kinds of entries apart, and versions of a kind.
    make
        Writes an entry to a path.
    read
        Reads an entry; raises ``DataError`` where it is damaged or of another version.
    """
    name = f"{source.stem[:_LONGEST_STEM]}-{content_digest(source)}{suffix}"
    entry = Path(cache) / name
    if _is_whole(entry):
        try:
            with refusing(DataError, entry, "an entry of this version"):
                return read(entry)
        except DataError:
            pass
    try:
        _write(entry, make)
    except OutputError as error:
        _log.warning("going on without a cache: %s", error)
        with ExitStack() as stack:
            try:
                folder = stack.enter_context(tempfile.TemporaryDirectory())
            except OSError:
                raise error from None
            _write(Path(folder) / name, make)  # what is mapped outlives its name
            return read(Path(folder) / name)
    return read(entry)


def content_digest(path: str | Path) -> str:
    """Return a name for the content of a file, or of the files in a folder (24 hex digits).

    Raises
    ------
    InputError
        If it cannot be read.
    """
    path = Path(path)
    whole = hashlib.blake2b(digest_size=12)
    with refusing(InputError, path, "what can be read"):
        parts = [p for p in sorted(path.iterdir()) if p.is_file()] if path.is_dir() else [path]
        for part in parts:
            whole.update(os.fsencode(part.name) + f" {part.stat().st_size} ".encode())
            with part.open("rb") as file:
                while block := file.read(_BLOCK):
                    whole.update(block)
    return whole.hexdigest()


def _write(entry: Path, make: Callable[[Path], object]) -> None:
    with atomic_path(entry) as temporary:
        make(temporary)
        checksum = _checksum(temporary)
    write_bytes(_checksum_file(entry), checksum)


def _is_whole(entry: Path) -> bool:
    try:
        return _checksum_file(entry).read_bytes() == _checksum(entry)
    except OSError:
        return False


def _checksum_file(entry: Path) -> Path:
    return entry.with_name(entry.name + CHECKSUM_SUFFIX)


def _checksum(path: Path) -> bytes:
    """Return a checksum of a file; of a large one, of its size and blocks from end to end."""
    size = path.stat().st_size
    digest = hashlib.blake2b(f"{size} ".encode(), digest_size=16)
    stride = max(_BLOCK, _BLOCK * size // _LARGEST_READ_WHOLE)
    with path.open("rb") as file:
        for start in (*range(0, size, stride), max(size - _BLOCK, 0)):
            file.seek(start)
            digest.update(file.read(_BLOCK))
    return digest.hexdigest().encode()


def user_cache(name: str) -> Path:
    """Return the folder of this name in the user's cache; whoever writes there makes it."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "saiseld" / name
