"""The 13 sound classes of DCASE 2026 Task 3. Owner of ids, names and display colours."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Ids = TypeVar("Ids", int, NDArray[np.int64])

CLASS_NAMES: tuple[str, ...] = (
    "Female speech",
    "Male speech",
    "Clapping",
    "Telephone",
    "Laughter",
    "Domestic sounds",
    "Walk, footsteps",
    "Door, open or close",
    "Music",
    "Musical instrument",
    "Water tap",
    "Bell",
    "Knock",
)
"""Zero-based class names, in official order."""

NUM_CLASSES = len(CLASS_NAMES)

CLASS_FOLDERS: tuple[str, ...] = (
    "female_speech",
    "male_speech",
    "clapping",
    "telephone",
    "laughter",
    "domestic_sounds",
    "footsteps",
    "door",
    "music",
    "musical_instrument",
    "water_tap",
    "bell",
    "knock",
)
"""Folder names of a class-folder sound bank, in class order."""

CLASS_COLOURS: tuple[tuple[int, int, int], ...] = (
    (230, 25, 75),
    (0, 130, 200),
    (255, 225, 25),
    (145, 30, 180),
    (245, 130, 48),
    (128, 128, 128),
    (170, 110, 40),
    (60, 180, 75),
    (240, 50, 230),
    (0, 128, 128),
    (70, 240, 240),
    (210, 245, 60),
    (250, 190, 212),
)
"""sRGB colour of each class wherever a class is drawn."""


def detector_label(class_id: Ids) -> Ids:
    """Return the detector's labels of class ids: background is 0, so class id + 1."""
    return class_id + 1


def class_of_label(label: Ids) -> Ids:
    """Return the class ids of detector labels (label 0, background, has none)."""
    return label - 1
