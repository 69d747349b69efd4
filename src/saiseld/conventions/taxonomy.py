"""The 13 sound classes of DCASE 2026 Task 3. Owner of ids, names, colours and levels."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Ids = TypeVar("Ids", int, NDArray[np.int64])


class SoundClass(NamedTuple):
    """A class of sounds.

    Parameters
    ----------
    name
        As the task calls it.
    folder
        Of its clips in a sound bank.
    colour
        sRGB, wherever the class is drawn.
    level_db
        Usual level at 1 m over speech, at which scenes are mixed.
    """

    name: str
    folder: str
    colour: tuple[int, int, int]
    level_db: float


CLASSES = (
    SoundClass("Female speech", "female_speech", (230, 25, 75), 0.0),
    SoundClass("Male speech", "male_speech", (0, 130, 200), 0.0),
    SoundClass("Clapping", "clapping", (255, 225, 25), 0.0),
    SoundClass("Telephone", "telephone", (145, 30, 180), -2.0),
    SoundClass("Laughter", "laughter", (245, 130, 48), 1.0),
    SoundClass("Domestic sounds", "domestic_sounds", (128, 128, 128), -1.0),
    SoundClass("Walk, footsteps", "footsteps", (170, 110, 40), -3.0),
    SoundClass("Door, open or close", "door", (60, 180, 75), 1.0),
    SoundClass("Music", "music", (240, 50, 230), -2.0),
    SoundClass("Musical instrument", "musical_instrument", (0, 128, 128), 0.0),
    SoundClass("Water tap", "water_tap", (70, 240, 240), -4.0),
    SoundClass("Bell", "bell", (210, 245, 60), -2.0),
    SoundClass("Knock", "knock", (250, 190, 212), -1.0),
)
"""In official order: the id of a class, from 0 on, is its place here."""

NUM_CLASSES = len(CLASSES)
CLASS_NAMES: tuple[str, ...] = tuple(one.name for one in CLASSES)
CLASS_FOLDERS: tuple[str, ...] = tuple(one.folder for one in CLASSES)
CLASS_COLOURS: tuple[tuple[int, int, int], ...] = tuple(one.colour for one in CLASSES)
CLASS_LEVELS_DB: tuple[float, ...] = tuple(one.level_db for one in CLASSES)


def detector_label(class_id: Ids) -> Ids:
    """Return the detector's labels of class ids: background is 0, so class id + 1."""
    return class_id + 1


def class_of_label(label: Ids) -> Ids:
    """Return the class ids of detector labels (label 0, background, has none)."""
    return label - 1
