"""``saiseld evaluate``: official scores of prediction folders, and what explains them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from saiseld.evaluation import FieldScores, Scores


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

    from saiseld.errors import DataError
    from saiseld.evaluation import THRESHOLDS, evaluate_systems_2026_04_02, match_systems
    from saiseld.files import write_bytes

    systems = _named(predictions)
    scores: dict[str, Scores] | dict[str, FieldScores]
    if metric == "2026-04-02":
        if report or threshold:
            raise DataError(
                "--report and --threshold",
                expected="a metric of soft IoU (2026-06-30 or 2026-05-28)",
                found=metric,
            )
        scores = evaluate_systems_2026_04_02(
            systems, labels, jobs=jobs, allow_missing=allow_missing, progress=True
        )
    else:
        matched = match_systems(
            systems,
            labels,
            jobs=jobs,
            allow_missing=allow_missing,
            cache=cache or _user_cache(),
            progress=True,
        )
        thresholds = tuple(sorted(set(threshold or THRESHOLDS)))
        scores = {name: system.score(metric, thresholds) for name, system in matched.items()}
    _print(scores)
    if json is not None:
        content = {name: s.as_dict() for name, s in scores.items()}
        first = next(iter(content.values()))
        write_bytes(
            json,
            orjson.dumps(content if len(content) > 1 else first, option=orjson.OPT_INDENT_2),
        )


def _named(folders: list[Path]) -> dict[str, Path]:
    """Return folders by name: the last part of the path, or all of it where that is not unique."""
    names = [folder.name for folder in folders]
    return {
        folder.name if names.count(folder.name) == 1 else str(folder): folder for folder in folders
    }


def _user_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "saiseld" / "drawn-labels"


def _print(scores: dict[str, Scores] | dict[str, FieldScores]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    (first, *others) = scores.values()
    table = Table(title=f"official metric {first.metric}")
    table.add_column("")
    for name in scores:
        table.add_column(name, justify="right")
    for row in first.headline():
        table.add_row(row, *(_number(s.headline()[row]) for s in scores.values()))
    console.print(table)
    if not others:
        per_class = first.as_dict()["per_class"]
        columns = list(next(iter(per_class.values())))
        table = Table("class", *columns, title="by class")
        for name, values in per_class.items():
            table.add_row(name, *(_number(values[column]) for column in columns))
        console.print(table)
    for name, s in scores.items():
        for note in s.notes:
            console.print(f"{name}: {note}", style="yellow", markup=False, highlight=False)


def _number(value: float | None) -> str:
    if value is None or value != value:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.4f}"
