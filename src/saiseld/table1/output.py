"""Table 1 and Figures 2 and 3 of KIST2026 as files: text, JSON and pictures."""

from __future__ import annotations

from math import isnan
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from saiseld.data.stairs26 import Split, open_dataset
from saiseld.decision.matchability import Matchability, Pool
from saiseld.evaluation.corpus import paired
from saiseld.evaluation.uncertainty import FEWEST_RECORDINGS, Interval
from saiseld.formats.candidates import candidate_files
from saiseld.runtime.files import output_folder, write_json
from saiseld.runtime.parallel import Workers
from saiseld.table1.figures import (
    busiest_frame,
    draw_figure2,
    draw_figure3,
    draw_table1,
    typical_match,
)
from saiseld.table1.table import (
    DRAWS,
    EMISSIONS,
    MEASURED_SYSTEMS,
    PAPER,
    PAPER_RECALL,
    Row,
    Table1,
    table1,
)
from saiseld.training.matchability.development import EMITTED, KIST2026, measure_all


def write_table1(
    data: Path,
    candidates: Path,
    folder: Path,
    cache: Path,
    *,
    split: Split = "dev-test",
    pool: Pool = "all",
    model: Path | None = None,
    temporal: bool = False,
    emissions: bool = False,
    allow_missing: bool = False,
    draws: int = DRAWS,
    jobs: Workers = 1,
) -> None:
    """Measure a split, print Table 1, and write it with its figures into a folder.

    Parameters
    ----------
    data
        A STAIRS26 tree with labels.
    candidates
        Folder of candidate tables of the split.
    folder
        Where ``table1.txt``, ``.json``, ``.png``, ``figure2.png`` and ``figure3.png`` go.
    cache
        Folder where drawn and decoded labels are kept.
    split
        Which recordings of the tree.
    pool
        Detections that TASK3B_1 and 2 learn from: all, as KIST2026 reads, with this package's own
        reading beside; or the emittable ones, where tables have no other energy maps.
    model
        A matchability model of other data, scored beside.
    temporal
        Score matchability with temporal evidence beside.
    emissions
        Score other emissions of the same detections.
    allow_missing
        Leave out recordings that lack candidates or labels.
    draws
        Bootstrap draws of recordings behind an interval.
    jobs
        Recordings at a time, or the cluster that they are spread over.
    """
    files = {recording.name: recording for recording in open_dataset(data).split(split)}
    labels = {name: r.labels for name, r in files.items() if r.labels is not None}
    tables = candidate_files(candidates)
    names, notes = paired(str(candidates), tables, labels, allow_missing=allow_missing)
    output_folder(folder)
    learned = None if model is None else Matchability.load(model)
    systems = (*MEASURED_SYSTEMS, *(EMISSIONS if emissions else ()))
    scored = {name: labels[name] for name in names}
    readings = (KIST2026, EMITTED) if pool == "all" else (EMITTED,)
    recordings = measure_all(tables, scored, systems, cache, readings=readings, jobs=jobs)
    caption = f"{data.resolve().name} {split}"
    table = table1(
        recordings, data=caption, model=learned, temporal=temporal, draws=draws, jobs=jobs
    )
    with (folder / "table1.txt").open("w", encoding="utf-8") as text:
        for console in (Console(), Console(file=text, width=150)):
            print_table1(table, console)
            for note in notes:
                console.print(note, markup=False)
    write_json(folder / "table1.json", table.as_dict())
    draw_table1(folder / "table1.png", table)
    if match := typical_match(recordings):
        name, mask = match
        draw_figure2(folder / "figure2.png", tables[name], labels[name], cache, mask)
    if busiest := busiest_frame(recordings):
        name, frame = busiest
        video = files[name].video
        draw_figure3(folder / "figure3.png", tables[name], labels[name], video, frame)


def print_table1(table: Table1, console: Console) -> None:
    """Print every row beside KIST2026's figures, and the findings."""
    console.print(
        f"{table.data}: {table.recordings} recordings of {table.rooms} rooms, "
        f"{table.frames} frames, {table.truths} masks",
        markup=False,
    )
    read = next((row.reading for row in table.rows if row.reading), "")
    ranked = f"matchability cross-fitted by room on {read}" if read else "by raw score"
    main = _table(
        f"Table 1, {ranked} (95 % intervals)",
        "rank",
        "KIST2026 mAP",
        "KIST2026 EFRQ",
    )
    for row, rank in zip(table.rows, table.rank, strict=True):
        paper = PAPER[row.system.name]
        main.add_row(*_cells(row), str(rank), f"{paper.mAP:.4f}", f"{paper.EFRQ:.3f}")
    console.print(main)
    if table.recordings < FEWEST_RECORDINGS:
        console.print(
            f"No intervals from fewer than {FEWEST_RECORDINGS} recordings", style="yellow"
        )
    console.print("rank: sum of the places by mAP, AP50 and EFRQ; smallest is best")
    for reading, why in table.unfitted.items():
        console.print(
            f"No rows that rank by matchability learned from {reading}: {why}",
            style="yellow",
            markup=False,
        )
    for title, rows in (
        ("Matchability fitted and read in other ways", table.beside),
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
        console.print(f"EFRQ lost against cap 3 by {name}: {_text(lost.interval, 3)}", markup=False)
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
    for reading, share in table.matchable.items():
        console.print(f"Matchable share, {reading}: {share:.3f}")


def _table(title: str, *more: str) -> Table:
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
    return value if isnan(interval.low) else f"{value} ({low}, {high})"
