"""What a user can see go wrong: every error names the file, the place, the expected, the found."""

from __future__ import annotations

from functools import partial
from pathlib import Path


class SaiseldError(Exception):
    """Base of every error that is the user's to mend; printed without a traceback."""


class InputError(SaiseldError):
    """A file, folder or value that cannot be used.

    Parameters
    ----------
    source
        The file or folder (or the name of a value) at fault.
    expected, found
        What was needed and what was there.
    place
        Where in the source: ``"annotation 12, point 3"``, ``"channel 2"``, ``"key lam.D"``.
    advice
        What to do about it, if that is known.
    """

    def __init__(
        self,
        source: str | Path,
        *,
        expected: str,
        found: str,
        place: str = "",
        advice: str = "",
    ) -> None:
        where = f"{source}: {place}" if place else f"{source}"
        message = f"{where}: expected {expected}, found {found}"
        super().__init__(f"{message}. {advice}" if advice else message)
        self.source, self.place, self.expected, self.found = str(source), place, expected, found
        self.advice = advice

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the way between processes, which keyword-only arguments would not."""
        texts = {"expected": self.expected, "found": self.found}
        texts |= {"place": self.place, "advice": self.advice}
        return partial(type(self), **texts), (self.source,)


class AudioError(InputError):
    """A recording that cannot be read or has the wrong shape."""


class VideoError(InputError):
    """A video or folder of frames that cannot be read."""


class AnnotationError(InputError):
    """An annotation JSON that breaks the official format (docs/conventions.md#annotation-json)."""


class CandidateError(InputError):
    """A candidate table of another schema, or with impossible values."""


class CheckpointError(InputError):
    """Weights that do not fit the model."""


class RecipeError(InputError):
    """A training or simulation recipe with an unknown key or impossible value."""


class DataError(InputError):
    """A data set (tree, labels, events, sounds) that is missing something or contradicts itself."""


class OutputError(InputError):
    """A result that cannot be written where it was asked for."""
