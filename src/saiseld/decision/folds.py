"""Rooms: the groups that keep what is learnt apart from what is scored."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from saiseld.runtime.errors import DataError

FOLDS = 5
"""Most groups of rooms that are held out in turn."""


def room_of(recording: str) -> str:
    """Return the room in a recording's name; the whole name where it tells none."""
    found = re.search(r"room\d+", recording)
    return found[0] if found else recording


def room_folds(room: NDArray[np.str_]) -> Iterator[NDArray[np.bool_]]:
    """Yield the (N,) masks of up to ``FOLDS`` groups of whole rooms, each held out once.

    Raises
    ------
    DataError
        If there is but one room.
    """
    rooms = np.unique(room)
    if len(rooms) < 2:
        raise DataError(
            "candidates",
            expected="recordings of two rooms or more, to hold one out",
            found=f"only {rooms[0]}" if len(rooms) else "none with an energy map",
        )
    from sklearn.model_selection import GroupKFold  # slow to load

    for _, rows in GroupKFold(min(FOLDS, len(rooms))).split(room, groups=room):
        held_out = np.zeros(len(room), bool)
        held_out[rows] = True
        yield held_out
