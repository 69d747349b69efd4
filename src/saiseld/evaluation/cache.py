"""Drawn label files on disk, found by content: the same bytes are never drawn twice.

Any number of processes may share a folder: entries appear whole (written beside, then renamed) and
never change. A damaged entry is drawn again. The folder may be deleted at any time.
"""

from __future__ import annotations

import zipfile
from dataclasses import fields
from pathlib import Path

import numpy as np

from saiseld.evaluation.rendering import RenderedMasks, render_masks
from saiseld.formats.annotation import iter_annotations
from saiseld.runtime.files import atomic_path, content_digest

_VERSION = 1
"""Raise it whenever drawing or `RenderedMasks` changes."""
_COLUMNS = tuple(f.name for f in fields(RenderedMasks))


def draw_labels(path: Path, cache: Path | None) -> RenderedMasks:
    """Return the drawn masks of a label file, from the cache if its content was drawn before.

    Parameters
    ----------
    path
        Official JSON.
    cache
        Folder of the cache; None for no cache.

    Raises
    ------
    AnnotationError
        If the file breaks the format.
    """
    if cache is None or not path.is_file():
        return render_masks(iter_annotations(path))
    entry = cache / f"{content_digest(path)}-{_VERSION}.npz"
    drawn = _read(entry)
    if drawn is None:
        drawn = render_masks(iter_annotations(path))
        with atomic_path(entry) as temporary:
            np.savez(temporary, **{name: getattr(drawn, name) for name in _COLUMNS})
    return drawn


def _read(entry: Path) -> RenderedMasks | None:
    try:
        with entry.open("rb") as file, np.load(file, allow_pickle=False) as columns:
            return RenderedMasks(**{name: columns[name] for name in _COLUMNS})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
