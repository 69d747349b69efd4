"""The page that ``saiseld train all`` ends with: how good the system is and how to use it."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import msgspec

from saiseld.conventions.taxonomy import CLASS_NAMES
from saiseld.runtime.errors import DataError, refusing
from saiseld.runtime.files import write_bytes
from saiseld.runtime.html_table import TABLE_STYLE, html_table
from saiseld.training.all.plan import Plan
from saiseld.training.all.stages import StageRecord

PAGE = "index.html"
_ROWS = {
    "macro_mAP": "mAP",
    "macro_AP50": "AP50",
    "macro_AP75": "AP75",
    "macro_pearson_r": "EFRQ",
}
"""Rows of the scores, and what they are called here."""
_MEANS = {
    "audiovisual": ("both branches", ""),
    "audio": ("the audio branch alone", "without the detector"),
    "TASK3B_1": ("the detector alone, by matchability", "without the audio branch"),
    "TASK3B_3": ("the detector alone, by its score", "without audio branch and matchability"),
}
"""What each system is, and what it lacks."""
_STYLE = f"""
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; }}
body {{ padding: 0 1rem; }}
{TABLE_STYLE}
th, td {{ white-space: nowrap; }}
code {{ overflow-wrap: anywhere; }} .note {{ color: #8a4b00; }}
.systems :nth-child(2) {{ text-align: left; }} .stages :is(td, th) {{ text-align: left; }}
.stages td {{ vertical-align: top; white-space: normal; }}
.stages td:last-child {{ font-family: monospace; }}
"""


def write_page(weights: Path, plan: Plan, records: Mapping[str, StageRecord], data: Path) -> Path:
    """Write ``index.html`` into the folder of weights; return its path.

    Parameters
    ----------
    weights
        The folder, in which ``report/scores.json`` lies.
    plan, records
        What was done.
    data
        The corpus.

    Raises
    ------
    DataError
        If there are no scores.
    """
    path = weights / "report" / "scores.json"
    with refusing(DataError, path, "scores (JSON)"):
        scores: dict[str, Any] = msgspec.json.decode(path.read_bytes())
    if "per_class" in scores:  # of one system, not by name
        scores = {"audio": scores}
    where = f"{len(plan.scored)} recordings of {', '.join(plan.rooms['score'])}"
    note = ""
    if plan.is_optimistic:
        note = "<p class=note>Optimistic: networks were selected in these rooms.</p>"
    parts = [
        f"<h1>A system trained on {escape(data.resolve().name)}</h1>",
        f"<p>Use it: <code>{escape(image_command(weights, plan))}</code></p>",
        f"<h2>Scores in rooms held out</h2><p>{escape(where)}.</p>{note}",
        html_table(
            "Scores in rooms held out",
            ["system", "", *_ROWS.values()],
            [_row(*one) for one in scores.items()],
            kind="systems",
        ),
        "<p>In brackets: 95 % intervals over recordings; none for fewer than five. "
        "<a href='report/index.html'>What explains the scores</a>.</p>",
        "<h2>What each part brings</h2>",
        _parts(scores),
        "<h2>By class: mAP</h2>",
        html_table("mAP by class", ["class", *scores], _classes(scores)),
        "<p>–: does not sound in these rooms.</p>",
        "<h2>Rooms</h2>",
        html_table(
            "Rooms", ["role", "rooms"], [[r, ", ".join(rooms)] for r, rooms in plan.rooms.items()]
        ),
        "<h2>What was done</h2>",
        html_table(
            "What was done",
            ["stage", "seconds", "commands"],
            [[n, f"{r.seconds:.0f}", "\n".join(r.commands)] for n, r in records.items()],
            kind="stages",
        ),
    ]
    head = (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width, initial-scale=1'>"
        f"<title>saiseld: {escape(data.resolve().name)}</title><style>{_STYLE}</style><main>"
    )
    page = weights / PAGE
    write_bytes(page, "\n".join((head, *parts, "</main></html>", "")).encode())
    return page


def image_command(weights: Path, plan: Plan) -> str:
    """Return the command that images with the trained weights."""
    if plan.has_detector:
        return f"saiseld image RECORDING --video VIDEO --weights {weights} -o results"
    return f"saiseld image RECORDING --weights {weights} --system audio -o results"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _row(name: str, scores: Mapping[str, Any]) -> list[str]:
    cells = [name, _MEANS[name][0]]
    for row in _ROWS:
        low, high = scores.get("intervals", {}).get(row) or (None, None)
        between = "" if low is None or high is None else f" ({low:.3f}–{high:.3f})"
        cells.append(_number(scores[row]) + between)
    return cells


def _parts(scores: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a table of by how much each system falls short of the first, with its interval."""
    rows = []
    for name, one in list(scores.items())[1:]:
        value, low, high, *_ = one.get("difference", {}).get("macro_mAP") or (None,) * 3
        between = "–" if value is None else f"{value:+.3f}"
        if low is not None and high is not None:
            between += f" ({low:+.3f} to {high:+.3f})"
        rows.append([_MEANS[name][1], _number(one["macro_mAP"]), between])
    if not rows:
        return "<p>Nothing to compare.</p>"
    return html_table("What each part brings", ["system", "mAP", "against the first"], rows)


def _classes(scores: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    return [
        [name, *(_number(one["per_class"][name]["mAP"]) for one in scores.values())]
        for name in CLASS_NAMES
    ]
