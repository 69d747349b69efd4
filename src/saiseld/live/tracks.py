"""Marks: the masks that a person is shown, each with the number of the event that it belongs to.

The links and limits are those of `saiseld.decision.linking`, but nothing is known of what comes and
nothing said is taken back. A track is an event, and gets a number, once it has `SHORTEST` masks. Of
tracks at one place that are seen together one is shown: the first, until another has twice its
weight (a sum of scores in which a frame counts for less the older it is).
"""

from __future__ import annotations

from collections.abc import Sequence

from saiseld.decision.linking import (
    GAP,
    REACH,
    SHORTEST,
    Linker,
    Track,
    angle_between,
    is_shown,
)
from saiseld.formats.annotation import EnergyMask
from saiseld.live.frames import Mark

_FADES = 0.9
_OUTWEIGHS = 2.0
_REMEMBERED = 30  # masks of a track that count


class Marker:
    """Marks of one frame after the other.

    Parameters
    ----------
    threshold
        Leave out masks scored below this.
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self.linker = Linker()
        self._numbers: dict[int, int] = {}  # of live tracks, by their identity
        self._last = 0

    def marks(self, frame: int, masks: Sequence[EnergyMask]) -> tuple[Mark, ...]:
        """Return the marks of a frame, later than those before, by event."""
        visible = [mask for mask in masks if is_shown(mask, self._threshold)]
        for ended in self.linker.follow(frame, visible):
            self._numbers.pop(id(ended), None)
        live = self.linker.live
        for track in live:
            del track.masks[:-_REMEMBERED], track.vectors[:-_REMEMBERED]
        for track in sorted(live, key=lambda t: -_weight(t, frame)):
            new = id(track) not in self._numbers and track.last == frame
            if new and len(track.masks) >= SHORTEST:
                self._admit(track, frame)
        return tuple(
            _mark(self._numbers[id(track)], track)
            for track in sorted(live, key=lambda t: self._numbers.get(id(t), 0))
            if id(track) in self._numbers and track.last == frame
        )

    def _admit(self, track: Track, frame: int) -> None:
        """Give a track a number, in place of those that it outweighs where it is."""
        there = [
            other
            for other in self.linker.live
            if id(other) in self._numbers
            and frame - other.last <= GAP
            and angle_between(other.vectors[-1], track.vectors[-1]) <= REACH
        ]
        heaviest = max((_weight(other, frame) for other in there), default=0.0)
        if _weight(track, frame) <= _OUTWEIGHS * heaviest:
            return
        for other in there:
            del self._numbers[id(other)]
        self._last += 1
        self._numbers[id(track)] = self._last


def _weight(track: Track, frame: int) -> float:
    return sum((m.score or 0.0) * _FADES ** (frame - m.frame) for m in track.masks)


def _mark(number: int, track: Track) -> Mark:
    mask = track.masks[-1]
    azimuth, elevation = mask.direction
    score = 1.0 if mask.score is None else mask.score
    return Mark(number, mask.class_id, azimuth, elevation, mask.distance_cm, score)
