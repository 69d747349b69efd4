"""The STAIRS26 tree: its recordings, where their files are, how it splits by room.

    eigen_dev/<split>-<site>/<recording>.wav      32 channels (or mic_dev: 4 channels)
    labels_dev/<split>-<site>/<recording>_std.json
    video_dev/<split>-<site>/<recording>.mp4      (or frames_dev/<split>-<site>/<recording>/)
    metadata_dev/<split>-<site>/<recording>.csv

``<split>`` is ``dev-train`` or ``dev-test``, ``<recording>`` is like ``fold4_room23_mix001``: its
room is the group of every split. What is absent is None here; `saiseld.checks.dataset` says whether
it should be there.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from saiseld.data.recordings import AUDIO_SUFFIXES, OTHER_SUFFIXES
from saiseld.data.video import VIDEO_SUFFIXES
from saiseld.formats.annotation import LABEL_SUFFIX
from saiseld.runtime.errors import DataError

Split = Literal["dev-train", "dev-test"]
Role = Literal["train", "select", "calibrate", "test"]

AUDIO_FOLDERS = ("eigen_dev", "mic_dev")
LABEL_FOLDER = "labels_dev"
VIDEO_FOLDER, FRAMES_FOLDER = "video_dev", "frames_dev"
EVENTS_FOLDER = "metadata_dev"

_SPLIT = re.compile(r"(dev-train|dev-test)(-.+)?")
_ROOM = re.compile(r"room(\d+)")


@dataclass(frozen=True, slots=True)
class DatasetRecording:
    """One recording of a tree and where its files are; None where there is none.

    Parameters
    ----------
    name
        As in the label and prediction file names.
    split, folder
        ``dev-train`` or ``dev-test``, and the folder that says so, such as ``dev-train-tau``.
    room
        Number of the room.
    audio, labels, video, events
        Recording, label JSON, video file or folder of frames, events CSV.
    """

    name: str
    split: Split
    folder: str
    room: int
    audio: Path | None
    labels: Path | None
    video: Path | None
    events: Path | None


@dataclass(frozen=True, slots=True)
class Stairs26Dataset:
    """A data set on disk, its recordings sorted by split and name."""

    path: Path
    recordings: tuple[DatasetRecording, ...]

    def split(self, split: Split) -> tuple[DatasetRecording, ...]:
        """Return the recordings of ``dev-train`` or ``dev-test``."""
        return tuple(r for r in self.recordings if r.split == split)

    def rooms(self, split: Split) -> set[int]:
        """Return the rooms of ``dev-train`` or ``dev-test``."""
        return {r.room for r in self.recordings if r.split == split}

    def shared_rooms(self) -> set[int]:
        """Return the rooms on both sides: there should be none."""
        return self.rooms("dev-train") & self.rooms("dev-test")


def open_dataset(path: str | Path) -> Stairs26Dataset:
    """Find the recordings of a tree, reading none of them.

    Raises
    ------
    DataError
        If there is no tree, a recording appears twice, or its name tells no room.
    """
    path = Path(path)
    audio: dict[tuple[str, str], Path] = {}
    for folder in reversed(AUDIO_FOLDERS):  # 32 channels, where both are there
        audio |= _files(path / folder, *reversed(OTHER_SUFFIXES), *AUDIO_SUFFIXES)
    labels = _files(path / LABEL_FOLDER, LABEL_SUFFIX)
    video = _files(path / FRAMES_FOLDER, "")
    video |= _files(path / VIDEO_FOLDER, *reversed(VIDEO_SUFFIXES))
    events = _files(path / EVENTS_FOLDER, ".csv")
    keys = sorted({*audio, *labels, *video, *events})
    if not keys:
        folders = ", ".join((*AUDIO_FOLDERS, LABEL_FOLDER, VIDEO_FOLDER, EVENTS_FOLDER))
        raise DataError(
            path,
            expected=f"a STAIRS26 tree: dev-train-* and dev-test-* in folders such as {folders}",
            found="none of them" if path.is_dir() else "no such folder",
        )
    recordings: dict[str, DatasetRecording] = {}
    for folder, name in keys:
        key = (folder, name)
        files = tuple(found.get(key) for found in (audio, labels, video, events))
        if name in recordings:
            raise DataError(
                path,
                place=f"{folder}/{name}",
                expected="every recording once",
                found=f"one of this name in {recordings[name].folder}",
            )
        recordings[name] = DatasetRecording(name, _split(folder), folder, _room(path, key), *files)
    return Stairs26Dataset(path, tuple(recordings.values()))


def split_by_room(
    dataset: Stairs26Dataset, *, seed: int = 0
) -> dict[Role, tuple[DatasetRecording, ...]]:
    """Return the recordings of each role; no room has two roles.

    ``test`` is dev-test. Of the rooms of dev-train a sixth each, at least one, is set aside to
    ``select`` models and to ``calibrate`` decisions; ``train`` has the rest. The same rooms and
    seed always give the same roles.

    Raises
    ------
    DataError
        If dev-train has fewer than three rooms, or shares one with dev-test.
    """
    rooms = sorted(dataset.rooms("dev-train"))
    for shared in sorted(dataset.shared_rooms()):
        raise DataError(
            dataset.path,
            place=f"room {shared}",
            expected="a room of dev-train or of dev-test",
            found="recordings of it in both",
            advice="What is learnt from a room must not be scored in it",
        )
    if len(rooms) < 3:
        raise DataError(
            dataset.path,
            place="dev-train",
            expected="three rooms or more, to train, to select and to calibrate",
            found=f"{len(rooms)}",
        )
    rooms.sort(key=lambda room: hashlib.sha256(f"{seed}:{room}".encode()).digest())
    aside = max(1, len(rooms) // 6)
    of_room = dict.fromkeys(rooms[:aside], "select")
    of_room |= dict.fromkeys(rooms[aside : 2 * aside], "calibrate")
    roles: dict[Role, tuple[DatasetRecording, ...]] = {
        role: tuple(r for r in dataset.split("dev-train") if of_room.get(r.room, "train") == role)
        for role in ("train", "select", "calibrate")
    }
    return {**roles, "test": dataset.split("dev-test")}


def _files(folder: Path, *suffixes: str) -> dict[tuple[str, str], Path]:
    """Return (split folder, recording) to path of what ends in a suffix, or of folders.

    In any case; of several files of one recording that of the later suffix.
    """
    found = {}
    paths = [
        path
        for path in sorted(folder.glob("*/*"))
        if not path.name.startswith(".") and _SPLIT.fullmatch(path.parent.name)
    ]
    for suffix in suffixes:
        for path in paths:
            if path.name.lower().endswith(suffix) and path.is_dir() == (suffix == ""):
                name = path.name[: len(path.name) - len(suffix)]
                found[path.parent.name, name] = path
    return found


def _split(folder: str) -> Split:
    return "dev-train" if folder.startswith("dev-train") else "dev-test"


def _room(dataset: Path, key: tuple[str, str]) -> int:
    match = _ROOM.search(key[1])
    if match is None:
        raise DataError(
            dataset,
            place="/".join(key),
            expected="a recording named like fold4_room23_mix001",
            found="no room in its name",
            advice="Splits go by room; rename the recording and its files",
        )
    return int(match.group(1))
