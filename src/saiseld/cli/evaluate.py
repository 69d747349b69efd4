"""``saiseld evaluate``: official scores of prediction folders, and what explains them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from saiseld.conventions.taxonomy import CLASS_NAMES

if TYPE_CHECKING:
    from saiseld.data.video import Frame
    from saiseld.evaluation import FieldScores, MatchedSystem, Scores
    from saiseld.evaluation.diagnosis import RecallCeiling


def evaluate(
    predictions: Annotated[
        list[Path],
        typer.Argument(help="Folders of <recording>.json; several are scored in one pass."),
    ],
    labels: Annotated[
        Path, typer.Argument(help="Folder with <recording>_std.json or <recording>.json below it.")
    ],
    metric: Annotated[
        Literal["2026-06-30", "2026-05-28", "2026-04-02"],
        typer.Option(help="Version of the official scorer."),
    ] = "2026-06-30",
    threshold: Annotated[
        list[float] | None,
        typer.Option(
            min=0.01, max=1, help="Soft-IoU threshold; give it often. Official: 0.25, 0.5, 0.75."
        ),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write the scores to this file.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write a page with plots to this folder.")
    ] = None,
    intervals: Annotated[
        bool,
        typer.Option(
            "--intervals",
            help="Bootstrap over recordings; with several systems, also against the first.",
        ),
    ] = False,
    pictures: Annotated[
        Path | None, typer.Option(help="Videos or frames to draw the report's examples over.")
    ] = None,
    candidates: Annotated[
        Path | None,
        typer.Option(help="Folder of candidate tables: how much could be found at all?"),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Recordings at a time.")] = 1,
    allow_missing: Annotated[
        bool,
        typer.Option(
            "--allow-missing", help="Leave out recordings that lack predictions or labels."
        ),
    ] = False,
    cache: Annotated[
        Path | None,
        typer.Option(help="Folder where drawn labels are kept; the user's cache by default."),
    ] = None,
) -> None:
    """Score predictions as the official scorer does, under any of its three versions."""
    import orjson

    from saiseld.evaluation import THRESHOLDS, evaluate_systems_2026_04_02, match_systems
    from saiseld.runtime.cache import user_cache
    from saiseld.runtime.errors import DataError
    from saiseld.runtime.files import output_folder, write_bytes

    systems = _named(predictions)
    folder = None if report is None else output_folder(report)
    cached = cache or user_cache("drawn-labels")
    ceiling = None if candidates is None else _ceiling(candidates, labels, cached, allow_missing)
    scores: dict[str, Scores] | dict[str, FieldScores]
    content: dict[str, dict[str, Any]]
    if metric == "2026-04-02":
        if folder or threshold or intervals:
            raise DataError(
                "--report, --threshold, --intervals",
                expected="a metric of soft IoU (2026-06-30 or 2026-05-28)",
                found=metric,
            )
        scores = evaluate_systems_2026_04_02(
            systems, labels, jobs=jobs, allow_missing=allow_missing, progress=True
        )
        content = {name: s.as_dict() for name, s in scores.items()}
        _print(scores)
    else:
        matched = match_systems(
            systems, labels, jobs=jobs, allow_missing=allow_missing, cache=cached, progress=True
        )
        thresholds = tuple(sorted(set(threshold or THRESHOLDS)))
        scores = {name: system.score(metric, thresholds) for name, system in matched.items()}
        content = {name: s.as_dict() for name, s in scores.items()}
        _print(scores)
        if intervals:
            for name, found in _intervals(matched, metric, thresholds).items():
                content[name] |= found
        if folder:
            _report(folder, systems, labels, matched, scores, pictures, ceiling)
    if ceiling is not None:
        _print_ceiling(ceiling)
        content = {name: {**c, "recall_ceiling": ceiling.as_dict()} for name, c in content.items()}
    if json is not None:
        (first, *others) = content.values()
        write_bytes(json, orjson.dumps(content if others else first, option=orjson.OPT_INDENT_2))


def _ceiling(candidates: Path, labels: Path, cache: Path, allow_missing: bool) -> RecallCeiling:
    """Return the recall of every candidate box, as in KIST2026, Sec. 3."""
    import numpy as np

    from saiseld.data.label_columns import label_columns
    from saiseld.evaluation.corpus import find_label_files, paired
    from saiseld.evaluation.diagnosis import recall_ceiling
    from saiseld.formats.candidates import candidate_files, read_candidates
    from saiseld.training.matchability.targets import proposed_box_iou

    tables, truths = candidate_files(candidates), find_label_files(labels)
    names, _ = paired(str(candidates), tables, truths, allow_missing=allow_missing)
    best, class_id = [], []
    for name in names:
        truth = label_columns(truths[name], cache)
        best.append(proposed_box_iou(read_candidates(tables[name]), truth))
        class_id.append(truth.class_id)
    return recall_ceiling(np.concatenate(best), np.concatenate(class_id))


def _report(
    folder: Path,
    systems: dict[str, Path],
    labels: Path,
    matched: dict[str, MatchedSystem],
    scores: dict[str, Scores],
    pictures: Path | None,
    ceiling: RecallCeiling | None,
) -> None:
    """Write a report of each system: in the folder, or in a folder of its own below it."""
    from saiseld.evaluation.corpus import find_labels, find_predictions
    from saiseld.viewing.report import Subject, write_report

    for name, system in matched.items():
        predictions, _ = find_predictions(systems[name])
        subject = Subject(
            name=name,
            data="/".join(labels.resolve().parts[-2:]),
            matched=system,
            scores=scores[name],
            predictions=predictions,
            labels=find_labels(labels),
            picture=partial(_picture, pictures),
            ceiling=ceiling,
        )
        page = write_report(folder if len(matched) == 1 else folder / name, subject)
        typer.echo(f"Report: {page}")


def _picture(pictures: Path | None, recording: str, frame: int) -> Frame | None:
    from itertools import islice

    from saiseld.data.video import find_video, open_video

    video = None if pictures is None else find_video(pictures, recording)
    return None if video is None else next(islice(open_video(video), frame, None), None)


def _intervals(
    matched: dict[str, MatchedSystem],
    metric: Literal["2026-06-30", "2026-05-28"],
    thresholds: tuple[float, ...],
) -> dict[str, dict[str, Any]]:
    """Print and return bootstrap intervals, and the differences to the first system."""
    from saiseld.evaluation.uncertainty import compare, confidence_intervals

    (first, *others) = matched
    content: dict[str, dict[str, Any]] = {}
    for name, system in matched.items():
        own = confidence_intervals(system, metric, thresholds)
        _print_table(
            f"{name}: 95 % intervals, bootstrap over recordings",
            ("", "value", "from", "to"),
            [(row, i.value, i.low, i.high) for row, i in own.items()],
        )
        content[name] = {"intervals": {row: [i.low, i.high] for row, i in own.items()}}
    for name in others:
        differences = compare(matched[name], matched[first], metric, thresholds)
        lines = [
            (row, d.interval.value, d.interval.low, d.interval.high, d.p_value)
            for row, d in differences.items()
        ]
        _print_table(f"{name} minus {first}, paired", ("", "difference", "from", "to", "p"), lines)
        content[name]["difference"] = {"to": first, **{row: rest for row, *rest in lines}}
    return content


def _named(folders: list[Path]) -> dict[str, Path]:
    """Return folders by the last part of their path, numbered where that is not unique."""
    named: dict[str, Path] = {}
    for folder in folders:
        name, number = folder.resolve().name, 2
        while name in named:
            name, number = f"{folder.resolve().name}-{number}", number + 1
        named[name] = folder
    return named


def _print(scores: dict[str, Scores] | dict[str, FieldScores]) -> None:
    (first, *others) = scores.values()
    _print_table(
        f"official metric {first.metric}",
        ("", *scores),
        [(row, *(s.headline()[row] for s in scores.values())) for row in first.headline()],
    )
    if not others:
        per_class = first.as_dict()["per_class"]
        columns = list(next(iter(per_class.values())))
        lines = [(name, *values.values()) for name, values in per_class.items()]
        _print_table("by class", ("", *columns), lines)
    for name, s in scores.items():
        for note in s.notes:
            typer.secho(f"{name}: {note}", fg="yellow")


def _print_ceiling(ceiling: RecallCeiling) -> None:
    per_class = zip(CLASS_NAMES, ceiling.per_class, strict=True)
    _print_table(
        "recall if every candidate box were accepted",
        ("", *(f"IoU {iou:g}" for iou in ceiling.ious)),
        [(name, *recall) for name, recall in (("all", ceiling.recall), *per_class)],
    )


def _print_table(
    title: str, columns: Sequence[str], lines: Sequence[tuple[str | float | None, ...]]
) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right" if column else "left")
    for line in lines:
        table.add_row(*map(_cell, line))
    Console().print(table)


def _cell(value: str | float | None) -> str:
    if value is None or value != value:
        return "–"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
