"""The formats by name and by ending."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from saiseld.formats.dcase_csv import write_dcase_csv
from saiseld.formats.exchange.frames import coco_json, dcase_rows
from saiseld.formats.exchange.jams import jams_json
from saiseld.formats.exchange.model import RecordedEvents
from saiseld.formats.exchange.text import audacity_labels, raven_table, rttm_lines
from saiseld.formats.exchange.tiers import PRAATIO, PYMPI, elan_document, textgrid
from saiseld.runtime.errors import OutputError
from saiseld.runtime.extras import optional_module
from saiseld.runtime.files import write_bytes


@dataclass(frozen=True, slots=True)
class ExchangeFormat:
    """A format.

    Parameters
    ----------
    name
        What it is asked for by.
    ending
        Of its files, after the recording's name.
    write
        Writes events to a path.
    other_endings
        That name it too, where somebody chooses the path.
    needs
        Arguments of `saiseld.runtime.extras.optional_module`, if it needs a package.
    """

    name: str
    ending: str
    write: Callable[[Path, RecordedEvents], None]
    other_endings: tuple[str, ...] = ()
    needs: tuple[str, str, str] | None = None


def _by_text(encode: Callable[[RecordedEvents], str]) -> Callable[[Path, RecordedEvents], None]:
    return lambda path, recorded: write_bytes(path, encode(recorded).encode())


def _by_bytes(encode: Callable[[RecordedEvents], bytes]) -> Callable[[Path, RecordedEvents], None]:
    return lambda path, recorded: write_bytes(path, encode(recorded))


def _write_textgrid(path: Path, recorded: RecordedEvents) -> None:
    write_bytes(path, textgrid(recorded, path.parent).encode())


def _write_dcase(path: Path, recorded: RecordedEvents) -> None:
    write_dcase_csv(path, dcase_rows(recorded))


EXCHANGE_FORMATS: Mapping[str, ExchangeFormat] = MappingProxyType(
    {
        format_.name: format_
        for format_ in (
            ExchangeFormat("audacity", ".audacity.txt", _by_text(audacity_labels), (".txt",)),
            ExchangeFormat("raven", ".selections.txt", _by_text(raven_table)),
            ExchangeFormat("rttm", ".rttm", _by_text(rttm_lines)),
            ExchangeFormat("textgrid", ".TextGrid", _write_textgrid, needs=PRAATIO),
            ExchangeFormat("jams", ".jams", _by_bytes(jams_json)),
            ExchangeFormat("elan", ".eaf", _by_text(elan_document), needs=PYMPI),
            ExchangeFormat("dcase", ".dcase.csv", _write_dcase, (".csv",)),
            ExchangeFormat("coco", ".coco.json", _by_bytes(coco_json)),
        )
    }
)
"""Every format by its name."""


def exchange_formats_named(names: str) -> tuple[str, ...]:
    """Return the formats of a list such as ``"audacity,raven"``, each once.

    Raises
    ------
    OutputError
        If there is no such format, or a package that it needs is not there: better said before
        hours of work than after.
    """
    requested = tuple(dict.fromkeys(name.strip().casefold() for name in names.split(",")))
    for name in requested:
        if name not in EXCHANGE_FORMATS:
            raise OutputError(
                "--write", expected=f"of {', '.join(EXCHANGE_FORMATS)}", found=repr(name)
            )
        needs = EXCHANGE_FORMATS[name].needs
        if needs is not None:
            optional_module(*needs)
    return requested


def exchange_format_of(path: Path) -> str | None:
    """Return the name of the format that a file's ending means, by the longest; None for none."""
    file = path.name.casefold()
    endings = [
        (len(ending), format_.name)
        for format_ in EXCHANGE_FORMATS.values()
        for ending in (format_.ending, *format_.other_endings)
        if file.endswith(ending.casefold())
    ]
    return max(endings)[1] if endings else None


def exchange_path(folder: Path, name: str, format_name: str) -> Path:
    """Return where the events of a recording go in a format."""
    return folder / f"{name}{EXCHANGE_FORMATS[format_name].ending}"


def write_exchange(path: str | Path, recorded: RecordedEvents, format_name: str) -> None:
    """Write sound events in a format, whole or not at all.

    Parameters
    ----------
    path
        The file.
    recorded
        The events, their masks and what is said of the recording.
    format_name
        One of `EXCHANGE_FORMATS`.

    Raises
    ------
    OutputError
        If the file cannot be written, or a package that the format needs is not there.
    """
    EXCHANGE_FORMATS[format_name].write(Path(path), recorded)
