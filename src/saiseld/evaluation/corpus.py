"""Which file belongs to which recording: labels, predictions, and what lacks a partner."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from saiseld.formats.annotation import LABEL_SUFFIX, RAW_LABEL_SUFFIX, EnergyMask
from saiseld.runtime.errors import DataError
from saiseld.runtime.text import counted

Masks = Path | Sequence[EnergyMask]
"""The masks of one recording: its file, or themselves."""
Corpus = str | Path | Mapping[str, Sequence[EnergyMask]]
"""The masks of many recordings: a folder (or one file), or masks by recording."""

_NAMED = 5  # recordings listed in a message before the rest are counted


def find_labels(source: Corpus) -> dict[str, Masks]:
    """Return the labels of each recording; of a folder, as `find_label_files` finds them."""
    return dict(source) if isinstance(source, Mapping) else dict(find_label_files(source))


def find_label_files(folder: str | Path) -> dict[str, Path]:
    """Return the label file of each recording.

    That is ``<recording>_std.json`` or ``<recording>.json``, at any depth. Labels before
    standardisation (``<recording>_raw.json``) are no labels.

    Raises
    ------
    DataError
        If there are none, or two files for one recording.
    """
    paths = (p for p in _json_files(folder, "**/*.json") if not p.name.endswith(RAW_LABEL_SUFFIX))
    return _by_recording(folder, paths, LABEL_SUFFIX)


def labels_of(candidates: Mapping[str, Path], folder: str | Path) -> dict[str, Path]:
    """Return the label file of each recording that has candidates.

    Raises
    ------
    DataError
        If one has none. Labels of further recordings are left alone.
    """
    found = find_label_files(folder)
    names, _ = paired(
        "candidates", candidates, found.keys() & candidates.keys(), allow_missing=False
    )
    return {name: found[name] for name in names}


def find_predictions(source: Corpus) -> tuple[dict[str, Masks], tuple[str, ...]]:
    """Return the predictions of each recording and remarks on their names.

    In a folder: ``<recording>.json`` or ``<recording>_inference.json``.

    Raises
    ------
    DataError
        If there are none, or two files for one recording.
    """
    if isinstance(source, Mapping):
        return dict(source), ()
    found = _by_recording(source, _json_files(source, "*.json"), "_inference.json")
    skipped = [path.name for path in found.values() if path.stem.endswith("_inference")]
    if not skipped:
        return dict(found), ()
    return dict(found), (
        f"the official scorer would skip {len(skipped)} files not named <recording>.json: "
        f"{listed(skipped)}",
    )


def _json_files(source: str | Path, pattern: str) -> list[Path]:
    source = Path(source)
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise DataError(source, expected="a folder of JSON files", found="no such folder")
    # A name with a leading dot is a file being written.
    paths = sorted(path for path in source.glob(pattern) if not path.name.startswith("."))
    if not paths:
        raise DataError(source, expected="annotation files (<recording>.json)", found="none")
    return paths


def _by_recording(source: str | Path, paths: Iterable[Path], suffix: str) -> dict[str, Path]:
    return by_recording(source, paths, lambda path: path.stem.removesuffix(Path(suffix).stem))


def by_recording(
    source: str | Path, paths: Iterable[Path], recording_of: Callable[[Path], str]
) -> dict[str, Path]:
    """Return paths by the recording that they belong to.

    Raises
    ------
    DataError
        If two belong to one.
    """
    found: dict[str, Path] = {}
    for path in paths:
        recording = recording_of(path)
        if recording in found:
            raise DataError(
                source,
                place=f"recording {recording}",
                expected="one file",
                found=f"{found[recording]} and {path}",
            )
        found[recording] = path
    return found


def paired(
    system: str, predictions: Collection[str], labels: Collection[str], *, allow_missing: bool
) -> tuple[list[str], tuple[str, ...]]:
    """Return the recordings to score, sorted, and remarks on those left out.

    A recording counts only if both sides have it, which is what the official scorer does in
    silence.

    Raises
    ------
    DataError
        If a partner is missing and ``allow_missing`` is false, or nothing is left.
    """
    unlabelled = sorted(set(predictions) - set(labels))
    unpredicted = sorted(set(labels) - set(predictions))
    notes = []
    for missing, lacking in ((unlabelled, "labels"), (unpredicted, "predictions")):
        what = f"{counted(len(missing), 'recording')} without {lacking}"
        if missing and not allow_missing:
            raise DataError(
                system,
                expected="one prediction file for every label file and the other way round",
                found=f"{what}: {listed(missing)}",
                advice="Recordings without a partner are left out with --allow-missing",
            )
        if missing:
            notes.append(f"left out, {what}: {listed(missing)}")
    common = sorted(set(predictions) & set(labels))
    if not common:
        raise DataError(
            system, expected="predictions for some labelled recording", found="none in common"
        )
    return common, tuple(notes)


def listed(names: Sequence[str]) -> str:
    """Return names as a text, the first few only."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
