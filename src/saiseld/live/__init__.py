"""Sound seen while it happens: samples and pictures stream in, frames of who sounds where out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from saiseld.live.stream import Stream as Stream


def __getattr__(name: str) -> object:
    # What shows frames has no need of what makes them.
    if name == "Stream":
        from saiseld.live.stream import Stream

        return Stream
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
