"""Label files as the scorer draws them, kept by content: the same bytes are never drawn twice."""

from __future__ import annotations

import zipfile
from dataclasses import fields
from pathlib import Path

import numpy as np

from saiseld.evaluation.rendering import RenderedMasks, render_masks
from saiseld.formats.annotation import iter_annotations
from saiseld.runtime.cache import cached
from saiseld.runtime.errors import DataError

_SUFFIX = ".drawn-2.npz"
"""Count it up whenever drawing or `RenderedMasks` changes."""
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
    return cached(cache, path, _SUFFIX, lambda entry: _draw(path, entry), _read)


def _draw(path: Path, entry: Path) -> None:
    drawn = render_masks(iter_annotations(path))
    np.savez(entry, **{name: getattr(drawn, name) for name in _COLUMNS})


def _read(entry: Path) -> RenderedMasks:
    try:
        with entry.open("rb") as file, np.load(file, allow_pickle=False) as columns:
            return RenderedMasks(**{name: columns[name] for name in _COLUMNS})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(entry, expected="drawn labels", found=str(error)) from error
