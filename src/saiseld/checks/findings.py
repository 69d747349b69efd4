"""What a check found: how bad, where, what, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from saiseld.runtime.errors import InputError

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a check noticed.

    Parameters
    ----------
    severity
        ``"error"``: results would be wrong or absent; ``"warning"``: they may be; ``"note"``: good
        to know.
    path
        The file or folder it is about.
    what
        What was expected and found.
    advice
        What to do about it.
    """

    severity: Severity
    path: Path
    what: str
    advice: str = ""


def unreadable(path: Path, error: InputError) -> Finding:
    """Return the finding that a file cannot be used, as reading it said."""
    where = f"{error.place}: " if error.place else ""
    what = f"{where}expected {error.expected}, found {error.found}"
    return Finding("error", path, what, error.advice)
