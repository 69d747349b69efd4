"""``saiseld table1``: Table 1, Figures 2 and 3 of KIST2026 from one's own development split."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from saiseld.evaluation.uncertainty import Interval
    from saiseld.experiments.table1 import Row, Table1


def table1(
    data: Annotated[Path, typer.Option(help="STAIRS26 tree with the labels.")],
    candidates: Annotated[Path, typer.Option(help="Folder of candidate tables of the split.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for table1.txt, .json and the figures.")
    ] = Path("table1"),
    split: Annotated[Literal["dev-train", "dev-test"], typer.Option(help="Split.")] = "dev-test",
    model: Annotated[
        Path | None, typer.Option(help="A matchability model of other data, scored beside.")
    ] = None,
    temporal: Annotated[
        bool, typer.Option("--temporal", help="Score matchability with temporal evidence beside.")
    ] = False,
    emissions: Annotated[
        bool, typer.Option("--emissions", help="Score other emissions of the same detections.")
    ] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Leave out recordings that lack either side.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Recordings at a time.")] = 1,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of drawn labels; the user's cache by default.")
    ] = None,
) -> None:
    """Compare the six systems, the ceiling of recall, and what suppressing detections costs."""
    import orjson
    from rich.console import Console

    from saiseld.data.stairs26 import open_tree
    from saiseld.decision.matchability import Matchability
    from saiseld.evaluation.corpus import paired
    from saiseld.experiments.table1 import EMISSIONS, MEASURED_SYSTEMS
    from saiseld.experiments.table1 import table1 as compare
    from saiseld.experiments.table1_figures import (
        busiest_frame,
        draw_figure2,
        draw_figure3,
        draw_table1,
        typical_match,
    )
    from saiseld.formats.candidates import candidate_files
    from saiseld.runtime.cache import user_cache
    from saiseld.runtime.files import output_folder, write_bytes
    from saiseld.training.matchability.development import measure_all

    tree = {recording.name: recording for recording in open_tree(data).split(split)}
    labels = {name: r.labels for name, r in tree.items() if r.labels is not None}
    tables = candidate_files(candidates)
    names, notes = paired(str(candidates), tables, labels, allow_missing=allow_missing)
    folder, cached = output_folder(output), cache or user_cache("drawn-labels")
    learned = None if model is None else Matchability.load(model)
    recordings = measure_all(
        tables,
        {name: labels[name] for name in names},
        (*MEASURED_SYSTEMS, *(EMISSIONS if emissions else ())),
        cached,
        jobs=jobs,
    )
    table = compare(
        recordings,
        data=f"{data.resolve().name} {split}",
        model=learned,
        temporal=temporal,
        jobs=jobs,
    )
    with (folder / "table1.txt").open("w", encoding="utf-8") as text:
        for console in (Console(), Console(file=text, width=150)):
            _print(table, console)
            for note in notes:
                console.print(note, markup=False)
    options = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY
    write_bytes(folder / "table1.json", orjson.dumps(table.as_dict(), option=options))
    draw_table1(folder / "table1.png", table)
    if match := typical_match(recordings):
        name, mask = match
        draw_figure2(folder / "figure2.png", tables[name], labels[name], cached, mask)
    if busiest := busiest_frame(recordings):
        name, frame = busiest
        video = tree[name].video
        draw_figure3(folder / "figure3.png", tables[name], labels[name], video, frame)
    typer.echo(f"Text, JSON and figures: {folder}")


def _print(table: Table1, console: Console) -> None:
    from saiseld.experiments.table1 import PAPER_RECALL

    console.print(
        f"{table.data}: {table.recordings} recordings of {table.rooms} rooms, "
        f"{table.frames} frames, {table.truths} masks",
        markup=False,
    )
    main = _table(
        "Table 1, matchability cross-fitted by room (95 % intervals)",
        "rank",
        "KIST2026 mAP",
        "KIST2026 EFRQ",
    )
    for row, rank in zip(table.rows, table.rank, strict=True):
        paper = f"{row.system.paper_mAP:.4f}", f"{row.system.paper_EFRQ:.3f}"
        main.add_row(*_cells(row), str(rank), *paper)
    console.print(main)
    console.print("rank: sum of the places by mAP, AP50 and EFRQ; smallest is best")
    for title, rows in (
        ("Matchability fitted in other ways", table.beside),
        ("Over-prediction: caps and temporal filters", table.suppression),
        ("Other emissions", table.emissions),
    ):
        if not rows:
            continue
        lines = _table(title)
        for row in rows:
            lines.add_row(*_cells(row))
        console.print(lines)
    for name, lost in table.EFRQ_lost.items():
        console.print(f"{name} loses {_text(lost.interval, 3)} EFRQ against cap 3", markup=False)
    harmful = table.harmful()
    console.print(
        "KIST2026's finding that suppressing detections costs EFRQ: "
        + (f"confirmed for {'; '.join(harmful)}" if harmful else "not confirmed")
        + f" ({len(harmful)} of {len(table.EFRQ_lost)} ways).",
        markup=False,
    )
    ceiling = ", ".join(
        f"{here:.2f} at IoU {iou} (KIST2026 {paper:.2f})"
        for here, iou, paper in zip(
            table.recall.recall, table.recall.ious, PAPER_RECALL, strict=True
        )
    )
    console.print(f"Recall if every proposed box were accepted: {ceiling}")
    console.print(f"Matchable share of the candidates that can be emitted: {table.matchable:.3f}")


def _table(title: str, *more: str) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("", overflow="fold")
    for name in ("masks/ frame", "mAP", "AP50", "EFRQ", *more):
        table.add_column(name, justify="right", overflow="fold")
    return table


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.name,
        f"{row.masks_per_frame:.2f}",
        _text(row.mAP, 4),
        f"{row.AP50.value:.4f}",
        _text(row.EFRQ, 3),
    )


def _text(interval: Interval, places: int) -> str:
    value, low, high = (f"{v:.{places}f}" for v in (interval.value, interval.low, interval.high))
    return f"{value} ({low}, {high})"
