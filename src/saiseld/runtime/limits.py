"""How large an input may claim to be before anything is made as large as it claims.

Each limit is a constant beside the reader that it guards, generous enough for hours of recordings.
Who means more says so in the environment: ``SAISELD_MAX_FRAMES=5000000 saiseld image ...``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from saiseld.runtime.errors import InputError, RecipeError


@dataclass(frozen=True, slots=True)
class Limit:
    """The most of something that is read without asking.

    Parameters
    ----------
    name
        What is counted, as a word: ``frames``. The variable is ``SAISELD_MAX_FRAMES``.
    default
        The most that is read if the variable is not set.
    """

    name: str
    default: int

    @property
    def variable(self) -> str:
        """Name of the environment variable that sets another limit."""
        return f"SAISELD_MAX_{self.name.upper()}"

    @property
    def most(self) -> int:
        """The limit in force.

        Raises
        ------
        RecipeError
            If the variable is not a whole number.
        """
        text = os.environ.get(self.variable, "")
        if not text:
            return self.default
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise RecipeError(self.variable, expected="a whole number", found=repr(text))
        return int(text)

    def check(
        self, found: int, kind: type[InputError], source: str | Path, *, place: str = ""
    ) -> None:
        """Raise an error of ``kind`` where an input claims more."""
        if found > self.most:
            raise kind(
                source,
                place=place or self.name,
                expected=f"at most {self.most}",
                found=str(found),
                advice=f"If that is meant, set {self.variable}",
            )


FRAMES = Limit("frames", 864_000)
"""100 ms frames in a recording, a video, a table or a label: a day."""

DISTANCE_CM = Limit("distance_cm", 10_000_000)
"""Centimetres to a sound: 100 km."""
