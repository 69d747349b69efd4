"""Timelines to replay: who sounded where and when in real recordings, without the sound.

Any folder of events as STARSS22 and STARSS23 have them (`saiseld.formats.events`), however deep.
Train and test are kept apart by room: by the folders ``dev-train*`` and ``dev-test*`` where both
are there, otherwise every third room, from the second on, is for testing. Distances, where a file
has them, are those of another room and are not used.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.sphere import angles_of_vector, great_circle, unit_vector
from saiseld.formats.events import Event, distinct_events, read_events
from saiseld.runtime.errors import DataError
from saiseld.simulation.sounds.bank import Half

STANDS_DEG = 3.0
"""A source that strays no further from its mean direction than this stands still."""
LONGEST_GAP = 2
"""Frames without a row that do not end an event."""

FloatArray = NDArray[np.float64]
_ROOM = re.compile(r"room(\d+)")


@dataclass(frozen=True, slots=True)
class Timelines:
    """Events by recording, for each split; made by `read_timelines`.

    Parameters
    ----------
    recordings
        For each split, the events of its recordings by path, each in order of frames.
    fingerprint
        What a manifest says of the folder.
    """

    recordings: Mapping[Half, Mapping[Path, Sequence[Event]]]
    fingerprint: Mapping[str, object]

    def classes(self, *splits: Half) -> list[int]:
        """Return the classes that sound in some splits, or in all."""
        return sorted(
            {
                event.class_id
                for split in splits or tuple(self.recordings)
                for rows in self.recordings[split].values()
                for event in rows
            }
        )

    def draw(self, split: Half, index: int, frames: int, rng: np.random.Generator) -> list[Event]:
        """Return the events of a window of ``frames`` frames, its first frame called 0.

        The classes of the split are dealt in turn by ``index``: the window holds a frame of that
        class, so that rare ones are in every split with recordings enough.
        """
        recordings = self.recordings[split]
        classes = self.classes(split)
        class_id = classes[index % len(classes)]
        held = [
            path for path in recordings if any(e.class_id == class_id for e in recordings[path])
        ]
        rows = recordings[held[int(rng.integers(len(held)))]]
        those = [event.frame for event in rows if event.class_id == class_id]
        frame = those[int(rng.integers(len(those)))]
        latest = max(rows[-1].frame + 1 - frames, 0)
        start = int(np.clip(frame - rng.integers(frames), 0, latest))
        return [
            event._replace(frame=event.frame - start)
            for event in rows
            if start <= event.frame < start + frames
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One source of a window: where it was, and from which frame to which it sounded.

    Parameters
    ----------
    class_id, source
        As annotated. One person of several classes has a track for each.
    frames
        (F,) annotated frames, in order.
    directions
        Unit vectors (F, 3); all the same for a source that stands.
    events
        First and last frame, the last excluded, of each event.
    """

    class_id: int
    source: int
    frames: NDArray[np.int64]
    directions: FloatArray
    events: tuple[tuple[int, int], ...]


def tracks(events: Iterable[Event]) -> list[Track]:
    """Return the tracks of a window's events, one for each class and source."""
    rows: dict[tuple[int, int], list[Event]] = {}
    for event in events:
        rows.setdefault((event.class_id, event.source), []).append(event)
    return [_track(*key, of_source) for key, of_source in sorted(rows.items())]


def _track(class_id: int, source: int, rows: list[Event]) -> Track:
    frames = np.array([event.frame for event in rows])
    azimuth = np.array([event.azimuth for event in rows])
    elevation = np.array([event.elevation for event in rows])
    directions = unit_vector(azimuth, elevation)
    mean = directions.mean(axis=0)
    if np.linalg.norm(mean) > 0.5:
        mean /= np.linalg.norm(mean)
        if great_circle(azimuth, elevation, *angles_of_vector(mean)).max() <= STANDS_DEG:
            directions = np.tile(mean, (len(rows), 1))
    breaks = [0, *(np.flatnonzero(np.diff(frames) > LONGEST_GAP + 1) + 1).tolist(), len(frames)]
    spans = tuple((int(frames[a]), int(frames[b - 1]) + 1) for a, b in pairwise(breaks))
    return Track(class_id, source, frames, directions, spans)


def read_timelines(folder: str | Path) -> Timelines:
    """Read a folder of events, each file checked.

    Raises
    ------
    DataError
        If there are no files, a class or a number is impossible, a source is at two places in one
        frame, a name tells no room, or there are fewer than two rooms.
    """
    folder = Path(folder)
    paths = sorted(path for path in folder.rglob("*.csv") if not path.name.startswith("."))
    if not paths:
        raise DataError(
            folder,
            expected="events in files like dev-train-tau/fold3_room4_mix001.csv",
            found="none" if folder.is_dir() else "no such folder",
        )
    digest = hashlib.sha256()
    by_split: dict[Half, dict[Path, Sequence[Event]]] = {"train": {}, "test": {}}
    side_of = _sides(folder, paths)
    for path in paths:
        rows = distinct_events(read_events(path), path)
        digest.update(f"{path.relative_to(folder)}\n".encode() + path.read_bytes())
        if rows:
            by_split[side_of[path]][path] = rows
    for split, recordings in by_split.items():
        if not recordings:
            raise DataError(folder, expected=f"events to {split} with", found="empty files")
    return Timelines(by_split, {"files": len(paths), "sha256": digest.hexdigest()})


def _sides(folder: Path, paths: list[Path]) -> dict[Path, Half]:
    """Return the split of each file; no room is in both."""
    named: dict[Path, Half] = {}
    rooms: dict[Path, int] = {}
    for path in paths:
        parents = path.relative_to(folder).parts[:-1]
        if any(part.startswith("dev-test") for part in parents):
            named[path] = "test"
        elif any(part.startswith("dev-train") for part in parents):
            named[path] = "train"
        found = _ROOM.search(path.name)
        if found is None:
            raise DataError(
                path,
                place="its name",
                expected="a room, as in fold3_room21_mix001.csv",
                found=path.name,
                advice="Timelines to train and to test with are kept apart by room",
            )
        rooms[path] = int(found[1])
    if len(named) == len(paths) and len(set(named.values())) == 2:
        both = {rooms[p] for p in paths if named[p] == "train"} & {
            rooms[p] for p in paths if named[p] == "test"
        }
        if both:
            raise DataError(
                folder,
                place=f"room {min(both)}",
                expected="a room of dev-train or of dev-test",
                found="timelines of it in both",
            )
        return named
    test = set(sorted(set(rooms.values()))[1::3])
    if not test:
        raise DataError(
            folder, expected="timelines of two rooms or more", found=f"room {min(rooms.values())}"
        )
    return {path: "test" if rooms[path] in test else "train" for path in paths}
