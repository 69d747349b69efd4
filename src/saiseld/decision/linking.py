"""From masks, frame by frame, to sound events: what a person is shown.

The challenge's files keep every guess; a viewer wants what is credible and steady. Masks below a
viewing threshold are left out, the rest are linked: a mask goes on with the nearest track of its
class that was last seen at most `GAP` frames ago and `REACH` degrees away. One sound is often
guessed as two classes in turn or at once; of tracks at one place that overlap in time the one with
the larger total score is kept, and a short track of another class inside or beside a longer one at
its place is taken for that one's. Tracks shorter than `SHORTEST` frames are dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.sphere import angles_of_vector, unit_vector
from saiseld.conventions.taxonomy import CLASS_NAMES, NUM_CLASSES
from saiseld.conventions.timebase import time_of_frame
from saiseld.formats.annotation import EnergyMask
from saiseld.formats.sound_events import SoundEvent, SoundEvents

REACH = 20.0
"""Degrees that a source may move between two masks of it; also what counts as one place."""
GAP = 5
"""Frames without a mask that do not end an event."""
SHORTEST = 3
"""Frames with a mask that make an event."""

Vector = NDArray[np.float64]


@dataclass(slots=True, eq=False)
class Track:
    """Masks of a class that follow one another.

    Parameters
    ----------
    class_id
        Of all of them.
    masks, vectors
        At least one, in order, and the unit vectors of their directions.
    """

    class_id: int
    masks: list[EnergyMask] = field(default_factory=list)
    vectors: list[Vector] = field(default_factory=list)

    @property
    def first(self) -> int:
        """Frame of the first mask."""
        return self.masks[0].frame

    @property
    def last(self) -> int:
        """Frame of the last mask."""
        return self.masks[-1].frame

    @property
    def weight(self) -> float:
        """Sum of the scores."""
        return sum(_score(mask) for mask in self.masks)

    @property
    def centre(self) -> Vector:
        """Mean of the vectors, shorter than one."""
        return np.asarray(np.mean(self.vectors, axis=0))


def link(
    masks: Sequence[EnergyMask], *, threshold: float, elevation_assumed: bool = False
) -> tuple[SoundEvents, list[EnergyMask]]:
    """Return the sound events of a recording, and the masks that belong to them.

    Parameters
    ----------
    masks
        Of all frames, in any order; masks without a score (ground truth) count as certain. Ids
        outside the 13 classes, and masks without energy, are left out.
    threshold
        Leave out masks scored below this.
    elevation_assumed
        What events say of their elevations.

    Returns
    -------
    The events by start, and their masks by frame: class and ``instance_id`` are the event's.
    """
    shown = [mask for mask in masks if is_shown(mask, threshold)]
    tracks = [track for track in _follow(shown) if len(track.masks) >= SHORTEST]
    kept = sorted(_without_doubles(tracks), key=lambda t: (t.first, t.class_id, t.last))
    events = SoundEvents(
        _event(number, track, elevation_assumed) for number, track in enumerate(kept, start=1)
    )
    steady = [
        replace(mask, class_id=track.class_id, instance_id=number)
        for number, track in enumerate(kept, start=1)
        for mask in track.masks
    ]
    return events, sorted(steady, key=lambda mask: (mask.frame, mask.instance_id))


def is_shown(mask: EnergyMask, threshold: float) -> bool:
    """Return whether a mask of a known class has energy and is scored ``threshold`` or more."""
    visible = _score(mask) >= threshold and 0 <= mask.class_id < NUM_CLASSES
    return visible and any((blob[:, 2] > 0).any() for blob in mask.segmentation)


class Linker:
    """Links masks of a class greedily, frame by frame, nearest pairs of a frame first."""

    def __init__(self) -> None:
        self.live: list[Track] = []

    def follow(self, frame: int, masks: Sequence[EnergyMask]) -> list[Track]:
        """Add the masks of a later frame to `live` tracks or new ones; return those that ended."""
        ended = [track for track in self.live if frame - track.last > GAP + 1]
        self.live = [track for track in self.live if frame - track.last <= GAP + 1]
        found = [(mask, unit_vector(*mask.direction)) for mask in masks]
        pairs = sorted(
            (angle_between(track.vectors[-1], vector), t, m)
            for t, track in enumerate(self.live)
            for m, (mask, vector) in enumerate(found)
            if track.class_id == mask.class_id
        )
        used_tracks: set[int] = set()
        used_masks: set[int] = set()
        for angle, t, m in pairs:
            if angle <= REACH and t not in used_tracks and m not in used_masks:
                self.live[t].masks.append(found[m][0])
                self.live[t].vectors.append(found[m][1])
                used_tracks.add(t)
                used_masks.add(m)
        self.live += [
            Track(mask.class_id, [mask], [vector])
            for m, (mask, vector) in enumerate(found)
            if m not in used_masks
        ]
        return ended


def _score(mask: EnergyMask) -> float:
    return 1.0 if mask.score is None else mask.score


def _follow(masks: Sequence[EnergyMask]) -> list[Track]:
    linker = Linker()
    ended: list[Track] = []
    by_frame: dict[int, list[EnergyMask]] = {}
    for mask in masks:
        by_frame.setdefault(mask.frame, []).append(mask)
    for frame in sorted(by_frame):
        ended += linker.follow(frame, by_frame[frame])
    return ended + linker.live


def _without_doubles(tracks: list[Track]) -> list[Track]:
    """Keep the weightier of tracks at one place and time."""
    kept: list[Track] = []
    for track in sorted(tracks, key=lambda t: (-t.weight, t.first, t.class_id)):
        if not any(_doubles(track, other) for other in kept):
            kept.append(track)
    return kept


def _doubles(track: Track, other: Track) -> bool:
    """Return whether at least half of a track lies within a weightier one, at its place."""
    theirs = {m.frame: v for m, v in zip(other.masks, other.vectors, strict=True)}
    together = [
        angle_between(v, theirs[m.frame])
        for m, v in zip(track.masks, track.vectors, strict=True)
        if m.frame in theirs
    ]
    if not together and track.class_id != other.class_id and len(track.masks) < 2 * SHORTEST:
        inside = other.first <= track.first and track.last <= other.last
        return inside and angle_between(track.centre, other.centre) <= REACH
    return len(together) * 2 >= len(track.masks) and float(np.median(together)) <= REACH


def angle_between(a: Vector, b: Vector) -> float:
    """Return the angle between two vectors in degrees."""
    cosine = a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def _event(number: int, track: Track, elevation_assumed: bool) -> SoundEvent:
    weights = np.array([_score(mask) for mask in track.masks]) + 1e-9
    azimuth, elevation = angles_of_vector(weights @ np.stack(track.vectors))
    distances = [mask.distance_cm for mask in track.masks if mask.distance_cm is not None]
    return SoundEvent(
        number=number,
        class_id=track.class_id,
        class_name=CLASS_NAMES[track.class_id],
        start_s=time_of_frame(track.first),
        end_s=time_of_frame(track.last + 1),
        azimuth=float(azimuth),
        elevation=float(elevation),
        distance_cm=float(np.median(distances)) if distances else None,
        score=max(_score(mask) for mask in track.masks),
        elevation_assumed=elevation_assumed,
    )
