"""What a user can see go wrong: every error names the file, the place, the expected, the found.

Each is one line of bounded length whatever the input holds, and has no character that a terminal
would obey.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

_LONGEST = 400
"""Characters of each part of a message; the middle of a longer one is left out."""


def one_line(text: object, longest: int = _LONGEST) -> str:
    """Return a text without control characters, line breaks or lone surrogates, cut to a length."""
    printable = "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode()
        for c in _cut(str(text), longest)
    )
    return _cut(printable, longest)


def _cut(text: str, longest: int) -> str:
    half = longest // 2
    return text if len(text) <= longest else f"{text[:half]} ... {text[-half:]}"


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
        self.source, self.place, self.expected, self.found, self.advice = map(
            one_line, (source, place, expected, found, advice)
        )
        where = f"{self.source}: {self.place}" if place else self.source
        message = f"{where}: expected {self.expected}, found {self.found}"
        super().__init__(f"{message}. {self.advice}" if advice else message)

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


class DeviceError(InputError):
    """A device, or a cluster of machines, that is asked for and not there."""


class RecipeError(InputError):
    """A training or simulation recipe with an unknown key or impossible value."""


class DataError(InputError):
    """A data set (tree, labels, events, sounds) that is missing something or contradicts itself."""


class OutputError(InputError):
    """A result that cannot be written where it was asked for."""


class WorkError(SaiseldError):
    """Work on a recording that ended before it was done, by no mistake in the recording."""


@contextmanager
def refusing(
    kind: type[InputError], source: str | Path, expected: str, *, place: str = "", advice: str = ""
) -> Iterator[None]:
    """Turn whatever a decoder raises in this block into one error of ``kind``; ours pass.

    Decoders of foreign bytes fail in more ways than they say, with messages of any length.
    """
    try:
        yield
    except SaiseldError:
        raise
    except Exception as error:
        found = message_of(error)
        raise kind(source, place=place, expected=expected, found=found, advice=advice) from error


def message_of(error: BaseException) -> str:
    """Return the first line of an error's message, or its name where it has none."""
    message = getattr(error, "strerror", None) or str(error)
    return next((line for line in str(message).splitlines() if line.strip()), type(error).__name__)
