"""Tiers: Praat TextGrids by praatio, ELAN documents by pympi-ling; one tier a class."""

from __future__ import annotations

from mimetypes import guess_type
from pathlib import Path

from saiseld.formats.exchange.model import RecordedEvents, lanes, place_text
from saiseld.runtime.extras import optional_module
from saiseld.runtime.files import temporary_folder

PRAATIO = "praatio.textgrid", "saiseld[exchange]", "TextGrid"
PYMPI = "pympi.Elan", "saiseld[exchange]", "ELAN document"
"""Module, what brings it, and what it is needed for."""

_EMPTY_TIER = "events"


def textgrid(recorded: RecordedEvents, folder: Path) -> str:
    """Return a Praat TextGrid in the long text format, made in a folder that can be written."""
    library = optional_module(*PRAATIO)
    tiers = lanes(recorded.events)
    duration = max([recorded.duration_s, *(e.end_s for e in recorded.events)])
    grid = library.Textgrid(0.0, duration)
    for name, events in tiers.items() or {_EMPTY_TIER: []}.items():
        entries = [(e.start_s, e.end_s, place_text(e)) for e in events]
        grid.addTier(library.IntervalTier(name, entries, 0.0, duration))
    with temporary_folder(folder) as scratch:
        file = scratch / "events.TextGrid"
        grid.save(str(file), format="long_textgrid", includeBlankSpaces=True)
        return file.read_text("utf-8")


def elan_document(recorded: RecordedEvents) -> str:
    """Return an ELAN annotation document that links the recording by its name."""
    library = optional_module(*PYMPI)
    document = library.Eaf(author="saiseld")
    tiers = lanes(recorded.events)
    for name, events in tiers.items():
        document.add_tier(name)
        for e in events:
            times = round(1000 * e.start_s), round(1000 * e.end_s)
            document.add_annotation(name, *times, place_text(e))
    if tiers:
        document.remove_tier("default")
    file = recorded.recording.name
    kind = guess_type(file)[0] or "audio/x-wav"
    document.add_linked_file(file, relpath=f"./{file}", mimetype=kind)
    text: str = library.to_string(document)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + text
