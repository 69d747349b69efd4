"""The page on which a person listens to segments and confirms or corrects their classes.

It works from ``file://``. Decisions stay in the browser; the page hands them out as one DCASE CSV
a recording (frame, class, source, azimuth, elevation, distance in centimetres), which is what
`saiseld train seld`, `saiseld evaluate` and other programs read as labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

from saiseld.conventions.taxonomy import CLASS_NAMES
from saiseld.conventions.timebase import clock
from saiseld.formats.annotation import EnergyMask
from saiseld.formats.sound_events import SoundEvent
from saiseld.runtime.files import write_bytes
from saiseld.runtime.text import counted
from saiseld.viewing.page import HEAD, asset, colour_of, script_json


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A segment to listen to.

    Parameters
    ----------
    recording, file
        Name of the recording, and of the WAV beside the page.
    event, masks
        The event and its masks, whose frames and directions labels take.
    """

    recording: str
    file: str
    event: SoundEvent
    masks: Sequence[EnergyMask]


def write_segments_page(path: Path, segments: Sequence[Reviewed]) -> None:
    """Write the page, whole or not at all."""
    title = counted(len(segments), "segment")
    data = {
        "classes": [(name, colour_of(i)) for i, name in enumerate(CLASS_NAMES)],
        "segments": [_data(segment) for segment in segments],
    }
    page = [
        f"{HEAD}<title>{escape(title)}</title><style>{asset('page.css')}"
        f"{asset('segments.css')}</style></head><body><main><header><h1>{escape(title)}</h1>",
        "<p>Listen, then say whether the class is right. Decisions stay in this browser until you "
        "save them: one CSV of labels a recording.</p>",
        '<div class="controls"><span id="count" role="status"></span><span class="gap"></span>'
        '<label><input type="checkbox" id="all"> with those not looked at</label>'
        '<button id="save">Save labels</button></div><details><summary>Keys</summary><p>'
        '<span class="key">Space</span> play or stop, <span class="key">↑</span> '
        '<span class="key">↓</span> the segment before or after, <span class="key">Enter</span> '
        'right, <span class="key">Delete</span> no sound of any class.</p></details></header>',
        '<table><thead><tr><th class="left">recording</th><th>from</th><th>length</th>'
        '<th>direction</th><th>score</th><th class="left">sound</th><th class="left">class</th>'
        '<th class="left">decision</th></tr></thead><tbody></tbody></table><div id="end"></div>'
        "</main>",
        f'<script type="application/json" id="data">{script_json(data)}</script>',
        f"<script>{asset('segments.js')}</script></body></html>",
    ]
    write_bytes(path, "\n".join(page).encode())


def _data(segment: Reviewed) -> dict[str, object]:
    event = segment.event
    frames = [
        (
            mask.frame,
            *(round(angle) for angle in mask.direction),
            -1 if mask.distance_cm is None else round(mask.distance_cm),
        )
        for mask in segment.masks
    ]
    return {
        "recording": segment.recording,
        "file": quote(segment.file),
        "number": event.number,
        "class": event.class_id,
        "from": clock(event.start_s),
        "seconds": round(event.end_s - event.start_s, 1),
        "azimuth": round(event.azimuth),
        "score": round(event.score, 2),
        "frames": frames,
    }
