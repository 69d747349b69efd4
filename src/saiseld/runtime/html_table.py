"""Tables of web pages: where the window is too narrow they scroll, by keyboard too."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

TABLE_STYLE = """
.table { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
"""


def html_table(
    label: str, head: Sequence[str], rows: Sequence[Sequence[str]], kind: str = ""
) -> str:
    """Return a table in a region of its own, which takes the focus so that its keys scroll it.

    Parameters
    ----------
    label
        What the table is, for those who hear the page; of its own on a page.
    head, rows
        Text of the cells; an empty one heads no column.
    kind
        Class of the ``table``, for its style.
    """
    named = f' class="{escape(kind)}"' if kind else ""
    lines = [_line([("th" if cell else "td", cell) for cell in head])]
    lines += [_line([("td", cell) for cell in row]) for row in rows]
    return (
        f'<div class="table" role="region" tabindex="0" aria-label="{escape(label)}">'
        f"<table{named}>{''.join(lines)}</table></div>"
    )


def _line(cells: Sequence[tuple[str, str]]) -> str:
    inner = "".join(f"<{tag}>{escape(cell)}</{tag}>" for tag, cell in cells)
    return f"<tr>{inner.replace(chr(10), '<br>')}</tr>"
