"""What was worked out from a file, kept in a folder under that file's content.

The same content is never worked out twice, a file that changes is worked out anew, and a damaged
entry is made again. Any number of processes may share a folder: entries appear whole and never
change. The folder may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from saiseld.runtime.errors import DataError
from saiseld.runtime.files import atomic_path

T = TypeVar("T")


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
    entry = Path(cache) / f"{source.stem}-{content_digest(source)}{suffix}"
    if entry.exists():
        try:
            return read(entry)
        except DataError:
            pass
    with atomic_path(entry) as temporary:
        make(temporary)
    return read(entry)


def content_digest(path: str | Path) -> str:
    """Return a name for the content of a file, or of the files in a folder (24 hex digits)."""
    path = Path(path)
    whole = hashlib.blake2b(digest_size=12)
    for part in sorted(path.iterdir()) if path.is_dir() else [path]:
        whole.update(f"{part.name} {part.stat().st_size} ".encode())
        with part.open("rb") as file:
            while block := file.read(1 << 20):
                whole.update(block)
    return whole.hexdigest()


def user_cache(name: str) -> Path:
    """Return the folder of this name in the user's cache; whoever writes there makes it."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "saiseld" / name
