"""Scores as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.box import SIMPLE
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from saiseld.conventions.taxonomy import CLASS_NAMES
from saiseld.evaluation.comparison import Comparison
from saiseld.evaluation.diagnosis import RecallCeiling
from saiseld.evaluation.seld import SeldScores
from saiseld.evaluation.uncertainty import FEWEST_RECORDINGS
from saiseld.runtime.errors import one_line
from saiseld.runtime.text import counted

Cell = str | float | None


def print_comparison(comparison: Comparison) -> None:
    """Print every table of a comparison, and what is to be noted of its scores."""
    console = Console()
    for part in (*_scores(comparison), *_intervals(comparison)):
        console.print(part, soft_wrap=isinstance(part, Text))
    if comparison.ceiling is not None:
        console.print(_ceiling(comparison.ceiling))


def print_seld_scores(scores: Mapping[str, SeldScores]) -> None:
    """Print SELD scores of systems, of a single one also by class and with its intervals."""
    console = Console()
    first = next(iter(scores.values()))
    single = first.intervals if len(scores) == 1 else {}
    lines = [
        (row, *(s.headline()[row] for s in scores.values()), *single.get(row, ()))
        for row in first.headline()
    ]
    ends = ("from", "to") if single else ()
    console.print(plain_table(f"official metric {first.metric}", ("", *scores, *ends), lines))
    if len(scores) == 1:
        by_class = zip(CLASS_NAMES, first.per_class, strict=True)
        rows = [
            (name, *(str(v) if k == "references" else v for k, v in own.items()))
            for name, own in by_class
        ]
        columns = ["refs" if k == "references" else k for k in first.per_class[0]]
        console.print(plain_table("by class", ("", *columns), rows))
    else:
        for name, found in scores.items():
            if found.intervals:
                title = f"{name}: 95 % intervals, jackknife over recordings"
                rows = [(row, *pair) for row, pair in found.intervals.items()]
                console.print(plain_table(title, ("", "from", "to"), rows))
    for name, found in scores.items():
        for note in found.notes:
            console.print(Text(f"{name}: {note}", "yellow"), soft_wrap=True)


def plain_table(title: str, columns: Sequence[str], lines: Sequence[Sequence[Cell]]) -> Table:
    """Return a table of texts (left, where the column has no name) and numbers.

    Floats have four decimals; None and NaN are a dash.
    """
    table = Table(
        title=_escaped(title),
        title_justify="left",
        box=SIMPLE,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for column in columns:
        table.add_column(_escaped(column), justify="right" if column else "left")
    for line in lines:
        table.add_row(*map(_cell, line))
    return table


def short_name(column: str) -> str:
    """Return the heading of a column of scores by class."""
    return {"pearson_r": "r", "pearson_n": "pairs"}.get(column, column)


def _scores(comparison: Comparison) -> Iterator[RenderableType]:
    scores = comparison.scores
    first = scores[comparison.first]
    yield plain_table(
        f"official metric {first.metric}",
        ("", *scores),
        [(row, *(s.headline()[row] for s in scores.values())) for row in first.headline()],
    )
    if len(scores) == 1:
        per_class = first.as_dict()["per_class"]
        columns = list(next(iter(per_class.values())))
        lines = [(name, *values.values()) for name, values in per_class.items()]
        yield plain_table("by class", ("", *map(short_name, columns)), lines)
    for name, found in scores.items():
        yield from (Text(f"{name}: {note}", "yellow") for note in found.notes)


def _intervals(comparison: Comparison) -> Iterator[RenderableType]:
    if not comparison.intervals:
        return
    recordings = len(comparison.matched[comparison.first].recordings)
    if recordings < FEWEST_RECORDINGS:
        few = f"{counted(recordings, 'recording')}, of {FEWEST_RECORDINGS} that they take at least"
        yield Text(f"no intervals: {few}", "yellow")
        for name, differences in comparison.differences.items():
            lines = [(row, d.interval.value) for row, d in differences.items()]
            yield plain_table(f"{name} minus {comparison.first}", ("", "difference"), lines)
        return
    for name, intervals in comparison.intervals.items():
        yield plain_table(
            f"{name}: 95 % intervals, bootstrap over recordings",
            ("", "value", "from", "to"),
            [(row, i.value, i.low, i.high) for row, i in intervals.items()],
        )
    for name, differences in comparison.differences.items():
        yield plain_table(
            f"{name} minus {comparison.first}, paired; p by exchange of the systems",
            ("", "difference", "from", "to", "p"),
            [
                (row, d.interval.value, d.interval.low, d.interval.high, d.p_value)
                for row, d in differences.items()
            ],
        )


def _ceiling(ceiling: RecallCeiling) -> Table:
    per_class = zip(CLASS_NAMES, ceiling.per_class, strict=True)
    return plain_table(
        "recall if every candidate box were accepted",
        ("", *(f"IoU {iou:g}" for iou in ceiling.ious)),
        [(name, *recall) for name, recall in (("all", ceiling.recall), *per_class)],
    )


def _cell(value: Cell) -> str:
    if value is None or value != value:
        return "–"
    return f"{value:.4f}" if isinstance(value, float) else _escaped(value)


def _escaped(text: str) -> str:
    """Return a name without what a terminal, or its markup here, would obey."""
    return escape(one_line(text))
