"""Labels of whole recordings, from files to files."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from saiseld.data.recordings import AUDIO_SUFFIXES, OTHER_SUFFIXES, open_recording
from saiseld.formats.annotation import LABEL_SUFFIX, RAW_LABEL_SUFFIX, EnergyMask, write_annotations
from saiseld.formats.events import check_within, read_events
from saiseld.labels.annotate import annotate
from saiseld.labels.sparse_imaging import image_blocks
from saiseld.runtime.errors import AudioError, DataError
from saiseld.runtime.files import files_below, output_folder
from saiseld.runtime.parallel import Workers, run_all

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LabelTask:
    """One recording to label: its 32-channel audio, its events, and the folder for its labels."""

    audio: Path
    events: Path
    folder: Path

    @property
    def standardised(self) -> Path:
        """The file that is written last."""
        return self.folder / f"{self.audio.stem}{LABEL_SUFFIX}"


def label_tasks(audio: Path, events: Path, folder: Path) -> dict[str, LabelTask]:
    """Pair recordings and event CSVs by name, in a folder (and those in it) or one of each.

    Labels go to ``folder`` as the recordings lie in ``audio``.

    Raises
    ------
    DataError
        If a recording has no CSV, a CSV no recording, or a name appears twice.
    """
    if audio.is_file():
        csv = events if events.is_file() else events / f"{audio.stem}.csv"
        return {audio.stem: LabelTask(audio, csv, folder)}
    recordings = _by_name(audio, AUDIO_SUFFIXES + OTHER_SUFFIXES, "recordings")
    csvs = _by_name(events, (".csv",), "event CSVs")
    for name, path in recordings.items():
        if name not in csvs:
            raise DataError(path, expected=f"{name}.csv in {events}", found="none")
    for name, path in csvs.items():
        if name not in recordings:
            raise DataError(path, expected=f"a recording {name} in {audio}", found="none")
    return {
        name: LabelTask(path, csvs[name], folder / path.relative_to(audio).parent)
        for name, path in recordings.items()
    }


def label_recordings(
    audio: Path, events: Path, folder: Path, *, jobs: Workers = 1
) -> dict[str, bool]:
    """Label recordings that have no labels yet, ``jobs`` at a time.

    Parameters
    ----------
    audio, events, folder
        As in `label_tasks`.
    jobs
        Recordings at a time, or the cluster that they are spread over.

    Returns
    -------
    Whether each was labelled now, by name.
    """
    tasks = label_tasks(audio, events, folder)
    left = {
        name: (task, task.folder.relative_to(folder))
        for name, task in tasks.items()
        if not task.standardised.exists()
    }
    if left:
        run_all(_label_task, left, jobs=jobs, folder=output_folder(folder), title="labelling")
    return {name: name in left for name in tasks}


def _label_task(folder: Path, task: LabelTask, place: Path) -> None:
    make_labels(replace(task, folder=folder / place))


def make_labels(task: LabelTask) -> None:
    """Write ``<recording>_raw.json`` and then ``<recording>_std.json``, each whole or not at all.

    Raises
    ------
    AudioError
        If the recording has not 32 channels or cannot be read.
    DataError
        If the events cannot be read or reach beyond the audio.
    """
    recording = open_recording(task.audio)
    if recording.channels != 32:
        raise AudioError(
            task.audio,
            place="channels",
            expected="32 (the whole em32)",
            found=str(recording.channels),
            advice="Labels cannot be made from the 4-channel subset",
        )
    events = read_events(task.events)
    check_within(events, recording.frames, task.events)
    blocks = image_blocks(recording.blocks(tetrahedral=False))
    medians = np.concatenate([np.median(block, axis=1) for block in blocks])
    raw = task.folder / f"{recording.name}{RAW_LABEL_SUFFIX}"
    # Raw energies are thousandths: nine decimals keep four digits at the mask's edge.
    write_annotations(raw, annotate(medians, events, standardised=False), energy_decimals=9)
    masks = annotate(medians, events)
    _say_empty(masks, task)
    write_annotations(task.standardised, masks)


def _say_empty(masks: list[EnergyMask], task: LabelTask) -> None:
    """Warn where masks hold no point: the public labels have a few, wrong directions all."""
    empty = [mask.frame for mask in masks if not any(map(len, mask.segmentation))]
    if empty:
        _log.warning(
            "%s: %d of %d events get no energy, first in frame %d: their masks are empty; "
            "saiseld doctor holds directions and times of a tree against its sound",
            task.events,
            len(empty),
            len(masks),
            empty[0],
        )


def _by_name(folder: Path, suffixes: tuple[str, ...], what: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(files_below(folder)):
        if path.suffix.lower() in suffixes:
            if path.stem in found:
                raise DataError(path, expected="one file of this name", found=f"{found[path.stem]}")
            found[path.stem] = path
    if not found:
        there = "none" if folder.is_dir() else "no such folder"
        raise DataError(folder, expected=f"{what} ({', '.join(suffixes)})", found=there)
    return found
