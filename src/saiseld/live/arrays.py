"""Which of a source's channels are the four capsules, which way round, and where the front is.

Of the tetrahedron alone: other arrays are converted (`saiseld.arrays`). Version 0.2 kept JSON,
which is still read::

    {"channels": [1, 2, 3, 4], "polarity": [1, 1, 1, 1], "turn": 0.0}
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saiseld.arrays.description import MicrophoneArray
from saiseld.formats.json_fields import read_json_fields
from saiseld.runtime.errors import AudioError, DataError, one_line

CAPSULES = 4


@dataclass(frozen=True, slots=True)
class ChannelMap:
    """The way from a source's channels to the capsules of the tetrahedron.

    Parameters
    ----------
    channels
        For each capsule, in the order of `saiseld.conventions.arrays.TETRAHEDRON`, the source's
        channel, counted from 1.
    polarity
        1, or -1 where a channel is wired the other way round.
    turn
        Degrees by which the array's front points to the left of the scene's, which is the
        picture's middle.
    """

    channels: tuple[int, ...] = (1, 2, 3, 4)
    polarity: tuple[int, ...] = (1, 1, 1, 1)
    turn: float = 0.0

    def __post_init__(self) -> None:
        right = (
            len(self.channels) == CAPSULES == len(set(self.channels))
            and min(self.channels) >= 1
            and len(self.polarity) == CAPSULES
            and set(self.polarity) <= {1, -1}
            and isfinite(self.turn)
        )
        if not right:
            raise DataError(
                "channels",
                expected="4 different channels from 1, polarities 1 or -1, a turn in degrees",
                found=f"{self.channels}, {self.polarity}, {self.turn}",
            )

    @classmethod
    def read(cls, path: Path) -> ChannelMap:
        """Read a map of version 0.2.

        Raises
        ------
        DataError
            If it is none.
        """
        try:
            return read_json_fields(path, cls, DataError, "a channel map (JSON)")
        except DataError as error:
            if error.source == one_line(path):
                raise
            raise DataError(
                path, place=error.source, expected=error.expected, found=error.found
            ) from None

    @classmethod
    def of(cls, array: MicrophoneArray) -> ChannelMap:
        """Return the map of a described tetrahedron."""
        return cls(array.channels, array.polarity, array.yaw_deg)

    def check(self, source: str, channels: int) -> None:
        """Raise ``AudioError`` where a source has not the channels that are picked."""
        if max(self.channels) > channels:
            raise AudioError(
                source,
                place="channels",
                expected=f"{max(self.channels)} or more, for {self.channels}",
                found=str(channels),
                advice="Say which are the capsules with --channels or --array",
            )

    def capsules(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (n, 4) of (n, channels) samples."""
        picked = samples[:, [channel - 1 for channel in self.channels]]
        return picked * np.array(self.polarity, np.float32)
