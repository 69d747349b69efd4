"""What every format is written from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from saiseld.formats.annotation import EnergyMask
from saiseld.formats.sound_events import SoundEvent


@dataclass(frozen=True, slots=True, eq=False)
class RecordedEvents:
    """The sound events of a recording, and the masks that belong to them.

    Parameters
    ----------
    recording
        Its file; other programs are given the name alone.
    duration_s, sample_rate
        Of the recording, in seconds and Hz.
    events
        In order of their start.
    masks
        Frame by frame; ``instance_id`` is the number of the event.
    """

    recording: Path
    duration_s: float
    sample_rate: int
    events: Sequence[SoundEvent]
    masks: Sequence[EnergyMask] = ()

    @property
    def name(self) -> str:
        """Name of the recording, without folder and suffix."""
        return self.recording.stem


def place_text(event: SoundEvent) -> str:
    """Return direction, distance and score of an event as one line of text."""
    distance = "" if event.distance_cm is None else f" dist {event.distance_cm / 100:.2f} m"
    assumed = " (assumed)" if event.elevation_assumed else ""
    return (
        f"az {event.azimuth:.1f} el {event.elevation:.1f}{assumed}{distance} "
        f"score {event.score:.3f}"
    ).replace("-0.0 ", "0.0 ")


def lanes(events: Iterable[SoundEvent]) -> dict[str, list[SoundEvent]]:
    """Return events by tier: a class, and further tiers of it where its events overlap.

    Praat and ELAN take no overlapping events in one tier.
    """
    tiers: dict[str, list[SoundEvent]] = {}
    for event in sorted(events, key=lambda e: (e.start_s, e.end_s)):
        number = 1
        while True:
            tier = event.class_name if number == 1 else f"{event.class_name} ({number})"
            placed = tiers.setdefault(tier, [])
            if not placed or placed[-1].end_s <= event.start_s:
                placed.append(event)
                break
            number += 1
    return tiers
