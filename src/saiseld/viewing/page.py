"""The page of recordings: overlay video, a time line of the events by class, and a table.

One self-contained HTML file beside the videos; nothing is fetched, so it works from ``file://``.
Clicking an event, or choosing it with the keyboard, takes the video there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

from saiseld.conventions.taxonomy import CLASS_COLOURS, CLASS_NAMES
from saiseld.formats.sound_events import SoundEvent
from saiseld.runtime.files import write_bytes

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1d21; --ground: #fff; --line: #d8dbe0; --faint: #667; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8eb; --ground: #15171b; --line: #343841; --faint: #9aa0aa; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground);
       max-width: 90rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.4rem; margin: .2rem 0; overflow-wrap: anywhere; }
p { margin: .3rem 0; color: var(--faint); }
video { width: 100%; max-height: 70vh; background: #000; display: block; }
.time { position: relative; margin: 1rem 0; }
.row { display: flex; align-items: center; border-bottom: 1px solid var(--line); }
.row > span { width: 10rem; flex: none; font-size: .9rem; }
.lane { position: relative; flex: 1; height: 1.8rem; }
.lane button { position: absolute; top: .25rem; bottom: .25rem; min-width: 6px; border: 0;
               border-radius: 3px; padding: 0; cursor: pointer; }
button:focus-visible, tr:focus-visible { outline: 3px solid #3b82f6; outline-offset: 1px; }
.now { position: absolute; top: 0; bottom: 0; width: 2px; background: #e11d48;
       pointer-events: none; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid var(--line); }
th:nth-child(2), td:nth-child(2) { text-align: left; }
tbody tr { cursor: pointer; }
tbody tr:hover { background: color-mix(in srgb, var(--ink) 8%, transparent); }
tr.on { background: color-mix(in srgb, #3b82f6 25%, transparent); }
.dot { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .4em; }
@media (max-width: 40rem) {
  body { padding: .5rem; } .row > span { width: 6.5rem; font-size: .8rem; }
  th, td { padding: .2rem .15rem; font-size: .7rem; } .dot { width: .6em; height: .6em; } }
"""

_SCRIPT = """
for (const section of document.querySelectorAll('section')) {
  const video = section.querySelector('video'), now = section.querySelector('.now');
  const lane = section.querySelector('.lane'), length = +section.dataset.length;
  const marks = [...section.querySelectorAll('[data-from]')];
  function go(mark) {
    if (video) { video.currentTime = +mark.dataset.from; video.play().catch(() => {}); }
  }
  for (const mark of marks) {
    mark.addEventListener('click', () => go(mark));
    if (mark.tagName === 'TR') mark.addEventListener('keydown', e => {
      if (e.key === 'Enter' || e.key === ' ') { e.preventDefault(); go(mark); } });
  }
  function tick() {
    const t = video.currentTime;
    now.style.left = lane.offsetLeft + lane.offsetWidth * Math.min(t / length, 1) + 'px';
    for (const mark of marks)
      mark.classList.toggle('on', +mark.dataset.from <= t && t < +mark.dataset.to);
    requestAnimationFrame(tick);
  }
  if (video && lane) tick();
}
"""


@dataclass(frozen=True, slots=True)
class Section:
    """What the page shows of a recording.

    Parameters
    ----------
    name, seconds
        The recording and its length.
    events
        What sounded, by start.
    video
        File name of the overlay video beside the page, if there is one.
    notes
        Sentences under the name: what made it, what was missing.
    """

    name: str
    seconds: float
    events: Sequence[SoundEvent]
    video: str | None = None
    notes: Sequence[str] = ()


def write_page(path: str | Path, sections: Sequence[Section]) -> None:
    """Write the page of some recordings, whole or not at all."""
    title = escape(sections[0].name if len(sections) == 1 else f"{len(sections)} recordings")
    page = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<link rel="icon" href="data:,">',
        f"<title>{title}</title><style>{_STYLE}</style></head><body>",
        *map(_section, sections),
        f"<script>{_SCRIPT}</script></body></html>",
    ]
    write_bytes(path, "\n".join(page).encode())


def _section(section: Section) -> str:
    events = section.events
    video = escape(quote(section.video or ""))
    notes = [f"{len(events)} sound events in {section.seconds:.1f} s", *section.notes]
    parts = [
        f'<section data-length="{max(section.seconds, 0.1):.3f}"><h1>{escape(section.name)}</h1>',
        *(f"<p>{escape(note)}</p>" for note in notes),
        f'<video controls playsinline preload="metadata" src="{video}"></video>' if video else "",
        _time_line(events, section.seconds) if events else "<p>Nothing credible was heard.</p>",
        _table(events) if events else "",
        "</section>",
    ]
    return "\n".join(part for part in parts if part)


def _time_line(events: Sequence[SoundEvent], seconds: float) -> str:
    lanes = []
    for class_id in sorted({event.class_id for event in events}):
        marks = "".join(
            f'<button style="left:{100 * e.start_s / seconds:.3f}%;'
            f"width:{100 * (e.end_s - e.start_s) / seconds:.3f}%;"
            f'background:{_colour(class_id)}" data-from="{e.start_s:.3f}" '
            f'data-to="{e.end_s:.3f}" title="{_text_of(e)}" aria-label="{_text_of(e)}"></button>'
            for e in events
            if e.class_id == class_id
        )
        label = f"<span>{escape(CLASS_NAMES[class_id])}</span>"
        lanes.append(f'<div class="row">{label}<div class="lane">{marks}</div></div>')
    return f'<div class="time"><div class="now"></div>{"".join(lanes)}</div>'


def _table(events: Sequence[SoundEvent]) -> str:
    head = ("#", "sound", "from (s)", "to (s)", "azimuth", "elevation", "distance", "score")
    rows = []
    for e in events:
        distance = "–" if e.distance_cm is None else f"{e.distance_cm / 100:.1f} m"
        dot = f'<span class="dot" style="background:{_colour(e.class_id)}"></span>'
        cells = (
            str(e.number),
            dot + escape(e.class_name),
            f"{e.start_s:.1f}",
            f"{e.end_s:.1f}",
            f"{e.azimuth:.0f}°",
            f"({e.elevation:.0f}°)" if e.elevation_assumed else f"{e.elevation:.0f}°",
            distance,
            f"{e.score:.2f}",
        )
        rows.append(
            f'<tr tabindex="0" data-from="{e.start_s:.3f}" data-to="{e.end_s:.3f}">'
            + "".join(f"<td>{cell}</td>" for cell in cells)
            + "</tr>"
        )
    columns = "".join(f"<th>{cell}</th>" for cell in head)
    is_assumed = any(e.elevation_assumed for e in events)
    assumed = ", assumed and not measured where it is in brackets" if is_assumed else ""
    return (
        f'<div class="scroll"><table><thead><tr>{columns}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        f"<p>Azimuth is positive to the left, 0 in front; elevation positive upwards{assumed}.</p>"
    )


def _text_of(event: SoundEvent) -> str:
    return escape(
        f"{event.class_name}, {event.start_s:.1f} to {event.end_s:.1f} s, "
        f"azimuth {event.azimuth:.0f}°"
    )


def _colour(class_id: int) -> str:
    return "rgb({}, {}, {})".format(*CLASS_COLOURS[class_id])
