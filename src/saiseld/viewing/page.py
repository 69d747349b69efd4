"""The page of a recording: overlay video, a time line by class and a table, kept together.

Self-contained HTML files beside the videos; nothing is fetched, so they work from ``file://``. A
page shows one recording. Of several there is an index too, which links and searches them; it is
made from what the pages say of themselves.
"""

from __future__ import annotations

import base64
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np

from saiseld.conventions.taxonomy import CLASS_COLOURS, CLASS_NAMES
from saiseld.conventions.timebase import FPS, clock, frame_of_time
from saiseld.formats.annotation import EnergyMask
from saiseld.formats.sound_events import SoundEvent
from saiseld.runtime.files import write_bytes
from saiseld.runtime.text import counted
from saiseld.viewing.panorama import Layout

_ASSETS = Path(__file__).parent / "assets"
_SUMMARY_BYTES = 1 << 14
_SUMMARY_OPEN = b'<script type="application/json" id="summary">'
HEAD = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<link rel="icon" href="data:,">'
)


@dataclass(frozen=True, slots=True)
class Section:
    """What a page shows of a recording.

    Parameters
    ----------
    name, seconds
        What the recording is called, and its length.
    events, masks
        What sounded, by start, and its masks: their ``instance_id`` is the event's number.
    threshold
        Masks scored below are not shown, neither here nor in the video.
    video, poster
        File name of the overlay video beside the page, and a JPEG of a frame of it with sounds;
        None without a video.
    notes, warnings
        Sentences: what made the results, and what in the recording lowers them.
    true_events, true_masks
        Labels to be shown beside, if there are any; numbered as ``events`` are.
    """

    name: str
    seconds: float
    events: Sequence[SoundEvent]
    masks: Sequence[EnergyMask] = ()
    threshold: float | None = None
    video: str | None = None
    poster: bytes | None = None
    notes: Sequence[str] = ()
    warnings: Sequence[str] = ()
    true_events: Sequence[SoundEvent] = ()
    true_masks: Sequence[EnergyMask] = ()


class Summary(msgspec.Struct):
    """What a page says of itself: name, length in seconds, events of each class, warnings."""

    name: str
    seconds: float
    classes: dict[str, int]
    warnings: int


def fullest_frame(masks: Iterable[EnergyMask]) -> int:
    """Return the first frame in which the scores of masks sum to the most; 0 without masks."""
    scores = Counter[int]()
    for mask in masks:
        scores[mask.frame] += round(1000 * _score(mask))
    return min(scores, key=lambda number: (-scores[number], number), default=0)


def write_page(path: str | Path, section: Section) -> None:
    """Write the page of a recording, whole or not at all."""
    counts = Counter(event.class_name for event in section.events)
    summary = Summary(section.name, section.seconds, dict(counts), len(section.warnings))
    page = [
        HEAD,
        f"{_SUMMARY_OPEN.decode()}{script_json(msgspec.to_builtins(summary))}</script>",
        f"<title>{escape(section.name)}</title><style>{asset('page.css')}</style></head>",
        f'<body class="one">{_header(section)}<main><section class="view" '
        'aria-label="Picture and time line">',
        _picture(section),
        _controls(has_video=section.video is not None),
        '<div class="lanes"><canvas id="lanes" tabindex="0" role="slider" aria-label="Time line" '
        f'aria-valuemin="0" aria-valuemax="{section.seconds:.1f}" aria-valuenow="0"></canvas>'
        '<div class="now" hidden></div></div></section>',
        f'<section class="list" aria-label="Sound events">{_list(section)}</section></main>',
        f'<script type="application/json" id="data">{script_json(_data(section))}</script>',
        f"<script>{asset('page.js')}</script></body></html>",
    ]
    write_bytes(path, "\n".join(page).encode())


def read_summary(path: Path) -> Summary | None:
    """Return what a page says of itself, None if it is not one of `write_page`."""
    with path.open("rb") as file:
        start = file.read(_SUMMARY_BYTES)
    found = start.partition(_SUMMARY_OPEN)[2].partition(b"</script>")[0]
    try:
        return msgspec.json.decode(found, type=Summary)
    except msgspec.DecodeError:
        return None


def write_index(path: str | Path, pages: Sequence[tuple[str, Summary]]) -> None:
    """Write the index of several recordings' pages, given by file name beside the index."""
    colours = dict(zip(CLASS_NAMES, map(colour_of, range(len(CLASS_NAMES))), strict=True))
    recordings = [
        {
            "name": summary.name,
            "page": quote(name),
            "seconds": summary.seconds,
            "events": sum(summary.classes.values()),
            "classes": [
                (name, colours.get(name, "gray"), count)
                for name, count in sorted(summary.classes.items(), key=lambda kv: (-kv[1], kv[0]))
            ],
            "warnings": summary.warnings,
        }
        for name, summary in pages
    ]
    title = counted(len(pages), "recording")
    style = (
        "form{display:flex;flex-wrap:wrap;gap:.5rem;align-items:center;margin:.5rem 0}"
        "#search{flex:1;min-width:8rem}.chip{display:inline-block;margin-right:.8em;"
        "white-space:nowrap}.warned{color:var(--warn)}tbody tr{cursor:auto}"
        "table{table-layout:fixed}"
        "th:nth-child(n+2):nth-child(-n+3){width:4.5rem}th:first-child{width:30%}"
        "th:last-child{width:6.5rem}td{white-space:normal;overflow-wrap:anywhere}"
        "@media(max-width:40rem){th:nth-child(2),td:nth-child(2){display:none}"
        "th:nth-child(3){width:3rem}th:last-child{width:4.2rem}.chip{white-space:normal}}"
    )
    page = [
        f"{HEAD}<title>{title}</title><style>{asset('page.css')}{style}</style></head><body>",
        f'<main><h1>{title}</h1><form role="search" onsubmit="return false">'
        '<input id="search" type="search" aria-label="Search names, classes, warnings" '
        'placeholder="Search name, class, warning"> <label>Order <select id="order">'
        "<option>name</option><option>events</option><option>length</option>"
        '<option>warnings</option></select></label> <span id="count" role="status"></span></form>',
        '<table><thead><tr><th class="left">recording</th><th>length</th><th>events</th>'
        '<th class="left">sounds</th><th class="left">notes</th></tr></thead><tbody></tbody>'
        '</table><div id="end"></div></main>',
        f'<script type="application/json" id="data">{script_json(recordings)}</script>',
        f"<script>{asset('index.js')}</script></body></html>",
    ]
    write_bytes(path, "\n".join(page).encode())


def _header(section: Section) -> str:
    counts = f"{counted(len(section.events), 'sound event')} in {clock(section.seconds)}"
    notes = ". ".join([counts, *section.notes]) + "."
    warnings = "".join(f"<li>{escape(text)}</li>" for text in section.warnings)
    if warnings:
        warnings = (
            '<ul class="warnings" tabindex="0" aria-label="Warnings of the recording">'
            f"{warnings}</ul>"
        )
    return (
        f'<header><a id="back" href="index.html">All recordings</a>'
        f"<h1>{escape(section.name)}</h1><p>{escape(notes)}</p>{warnings}</header>"
    )


def _picture(section: Section) -> str:
    if section.video is None:
        inside = '<canvas aria-label="Map of directions" role="img"></canvas>'
    else:
        poster = "" if section.poster is None else f' poster="{_jpeg(section.poster)}"'
        inside = (
            f'<video playsinline preload="metadata" src="{escape(quote(section.video))}"{poster}>'
            "</video>"
        )
    return f'<div class="picture">{inside}<div class="marks" aria-hidden="true"></div></div>'


def _controls(*, has_video: bool) -> str:
    play = '<button id="play">Play</button>' if has_video else ""
    sound = (
        '<label>Volume <input id="loud" type="range" min="0" max="1" step="0.05" value="1"></label>'
        '<button id="large" class="wide">Full screen</button>'
    )
    return (
        f'<div class="controls">{play}<output id="clock"></output>{sound if has_video else ""}'
        '<span class="gap"></span><span id="range" role="status"></span>'
        '<button id="out" aria-label="Zoom out">−</button>'
        '<button id="in" aria-label="Zoom in">+</button><button id="all">Whole</button></div>'
    )


def _list(section: Section) -> str:
    now = '<h2>Sounding now</h2><ul id="now"></ul>'
    if section.true_events:
        now += '</div><div><h2>Truth</h2><ul id="true"></ul>'
    now = f'<div class="sounding"><div>{now}</div></div>'
    if not section.events:
        return f"{now}<p>Nothing credible was found.</p><table hidden><tbody></tbody></table>"
    columns = (
        '<th>from</th><th class="wide">to</th><th class="left">sound</th><th>direction</th>'
        '<th>elev.</th><th class="wide">dist.</th><th>now</th><th>mean</th>'
    )
    is_assumed = any(event.elevation_assumed for event in section.events)
    assumed = ", assumed and not measured where it is in brackets" if is_assumed else ""
    limit = "" if section.threshold is None else f" of {section.threshold:.2f} or more"
    return (
        f'{now}<div class="scroll" id="scroll" tabindex="0" role="region" aria-label="Table of '
        f'sound events"><table><thead><tr>{columns}</tr></thead><tbody></tbody></table>'
        '<div id="end"></div></div><details><summary>What the numbers mean, and keys</summary>'
        f"<p>Picture, time line and table show the same: masks scored{limit}, joined to events. "
        "The number beside a name in the picture is the mask's score in that tenth of a second "
        "(<b>now</b>); <b>mean</b> is that of an event's masks, and the score in its CSV their "
        "highest. Times are minutes:seconds. Left is positive azimuth, up positive elevation"
        f"{assumed}.</p>"
        '<p><span class="key">Space</span> play, <span class="key">←</span> <span class="key">→'
        '</span> 1 s (with Shift 10 s), <span class="key">+</span> <span class="key">−</span> '
        '<span class="key">0</span> zoom, <span class="key">,</span> <span class="key">.</span> '
        "move. On the time line: click to go there, turn the wheel or pinch to zoom, drag to "
        "move.</p></details>"
    )


def _data(section: Section) -> dict[str, Any]:
    layout = Layout()
    wide, high = layout.size
    panorama = {
        "x": layout.left / wide,
        "y": layout.top / high,
        "w": layout.width / wide,
        "h": layout.height / high,
        "ratio": wide / high,
    }
    return {
        "seconds": section.seconds,
        "fps": FPS,
        "start": fullest_frame(section.masks) / FPS,
        "classes": [(name, colour_of(i)) for i, name in enumerate(CLASS_NAMES)],
        "panorama": None if section.video is None else panorama,
        "events": _tracks(section.events, section.masks),
        "truth": _tracks(section.true_events, section.true_masks),
    }


def _tracks(events: Sequence[SoundEvent], masks: Sequence[EnergyMask]) -> list[dict[str, Any]]:
    """Return events with score (in hundredths) and direction frame by frame, null between masks."""
    of_event: dict[int, list[EnergyMask]] = defaultdict(list)
    for mask in masks:
        of_event[mask.instance_id].append(mask)
    return [_track(event, of_event[event.number]) for event in events]


def _track(event: SoundEvent, masks: Sequence[EnergyMask]) -> dict[str, Any]:
    first = frame_of_time(event.start_s)
    last = max((mask.frame for mask in masks), default=first - 1)
    scores: list[int | None] = [None] * (last - first + 1)
    azimuths, elevations = scores.copy(), scores.copy()
    for mask in masks:
        azimuth, elevation = mask.direction
        place = mask.frame - first
        scores[place] = round(100 * _score(mask))
        azimuths[place], elevations[place] = round(azimuth), round(elevation)
    mean = float(np.mean([_score(mask) for mask in masks])) if masks else event.score
    return {
        "n": event.number,
        "c": event.class_id,
        "s": round(event.start_s, 3),
        "e": round(event.end_s, 3),
        "a": round(event.azimuth),
        "l": round(event.elevation),
        "d": None if event.distance_cm is None else round(event.distance_cm),
        "mean": round(100 * mean),
        "q": event.elevation_assumed,
        "top": round(100 * event.score),
        "f": first,
        "m": scores,
        "az": azimuths,
        "el": elevations,
    }


def _score(mask: EnergyMask) -> float:
    return 1.0 if mask.score is None else mask.score


def script_json(value: object) -> str:
    """Return JSON that ends no script element, whatever a name holds."""
    return msgspec.json.encode(value).decode().replace("<", "\\u003c")


def _jpeg(content: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"


def asset(name: str) -> str:
    """Return a style sheet or script of the pages."""
    return (_ASSETS / name).read_text("utf-8")


def colour_of(class_id: int) -> str:
    """Return a class's colour as CSS has it."""
    return "rgb({}, {}, {})".format(*CLASS_COLOURS[class_id])
