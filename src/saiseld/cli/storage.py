"""Addresses of object storage in place of paths, for every command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from saiseld.runtime.errors import InputError
from saiseld.runtime.object_storage import fetched, sent, url_of

WRITTEN = ("output", "json", "report", "folder", "record", "cache", "find_channels")
"""Options whose files are written."""
ALSO_WRITTEN = (("calibrate", "class_thresholds"), ("train_viewing", "weights"))
"""Options of some commands whose files are written, and read by others."""


@contextmanager
def kept_here(command: str, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the options of a command with every address replaced by a place on this machine.

    What is read is fetched before, what is written is sent while the command runs and when it ends.
    """
    with ExitStack() as stack:

        def place(name: str, value: Any) -> Any:
            if isinstance(value, list):
                return [place(name, one) for one in value]
            url = url_of(value) if isinstance(value, (str, Path)) else None
            if url is None:
                return value
            if name in WRITTEN or (command, name) in ALSO_WRITTEN:
                return stack.enter_context(sent(url))
            if options.get("cluster") not in (None, "local"):
                raise InputError(
                    url,
                    expected="files that every machine of the cluster sees",
                    found="an address",
                    advice="Mount the store at the same place on each",
                )
            found = fetched(url)
            return type(value)(found)

        yield {name: place(name, value) for name, value in options.items()}
