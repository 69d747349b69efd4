"""Where in the sound a moment of the computer's clock lies, though the two run at different speeds.

Sound is the measure of everything here: frame k is its k-th tenth of a second by the microphones'
own clock. Pictures carry the computer's time. Two such clocks differ by up to 200 millionths, a
frame in ten minutes, so the line between them is fitted to the times at which blocks of sound
arrive and pictures are put where it says: the pictures are resampled, and no sample of sound is
touched.

A block arrives late more often than early (network, scheduler), so what counts is the earliest
arrival in each `STEP_S` of sound.
"""

from __future__ import annotations

from collections import deque

import numpy as np

STEP_S = 10.0
"""Seconds of sound that give one point of the line."""

STEPS = 180
"""Points that the line is fitted to: the last half hour."""

FEWEST = 6
"""Points from which a drift can be told; with fewer the clocks are taken to run alike."""

JUMP_S = 1.0
"""Where a step lies this far off the line, sound was interrupted: the line begins anew."""


class Clock:
    """The line from sound to the computer's time."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, float]] = deque(maxlen=STEPS)
        self._earliest: tuple[float, float] | None = None
        self._step = 0
        self._origin = 0.0  # offsets are counted from the first, so that no digit is lost
        self.slope = 0.0
        self._middle, self._offset = 0.0, 0.0

    @property
    def ready(self) -> bool:
        """Whether any sound has come."""
        return self._earliest is not None

    @property
    def drift_ppm(self) -> float | None:
        """How much faster the microphones' clock runs, in millionths; None if not known yet."""
        return -1e6 * self.slope if len(self._points) >= FEWEST else None

    def note(self, sound_s: float, time: float) -> None:
        """Note that the sound up to ``sound_s`` seconds had arrived at ``time``."""
        if self._earliest is None:
            self._origin = time - sound_s
        offset = time - sound_s - self._origin
        if self._earliest is None or int(sound_s / STEP_S) != self._step:
            self._end_step()
            self._step, self._earliest = int(sound_s / STEP_S), (sound_s, offset)
        elif offset < self._earliest[1]:
            self._earliest = sound_s, offset
        if self._line(sound_s) - offset > JUMP_S:
            self._points.clear()
        if not self._points:
            (self._middle, self._offset), self.slope = self._earliest, 0.0

    def sound_at(self, time: float) -> float:
        """Return the seconds of sound that had arrived at a time."""
        # time = sound + origin + offset + slope (sound - middle)
        late = time - self._origin - self._offset - self._middle
        return self._middle + late / (1 + self.slope)

    def _line(self, sound_s: float) -> float:
        return self._offset + self.slope * (sound_s - self._middle)

    def _end_step(self) -> None:
        if self._earliest is None:
            return
        sound, offset = self._earliest
        if abs(offset - self._line(sound)) > JUMP_S:
            self._points.clear()
        self._points.append((sound, offset))
        at, offsets = np.array(self._points).T
        self._middle, self._offset, self.slope = float(at.mean()), float(offsets.mean()), 0.0
        if len(at) >= FEWEST:
            apart = at - at.mean()
            self.slope = float(apart @ offsets / (apart @ apart))
