"""``saiseld evaluate``: official scores of prediction folders, and what explains them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from saiseld.cli.options import AllowMissing, Jobs, JsonFile, LabelsCache, OnCluster, workers

Thresholds = Annotated[
    list[float] | None,
    typer.Option(
        min=0.01, max=1, help="Soft-IoU threshold; give it often. Official: 0.25, 0.5, 0.75."
    ),
]
Intervals = Annotated[
    bool,
    typer.Option(
        "--intervals",
        help="Bootstrap over recordings; with several systems, also against the first.",
    ),
]


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
    threshold: Thresholds = None,
    json: JsonFile = None,
    report: Annotated[
        Path | None, typer.Option(help="Write a page with plots to this folder.")
    ] = None,
    intervals: Intervals = False,
    pictures: Annotated[
        Path | None, typer.Option(help="Videos or frames to draw the report's examples over.")
    ] = None,
    candidates: Annotated[
        Path | None,
        typer.Option(help="Folder of candidate tables: how much could be found at all?"),
    ] = None,
    jobs: Jobs = 1,
    cluster: OnCluster = None,
    allow_missing: AllowMissing = False,
    reading: Annotated[
        Literal["strict", "official"],
        typer.Option(help="official: score whatever the official scorer accepts, and say so."),
    ] = "strict",
    cache: LabelsCache = None,
) -> None:
    """Score predictions as the official scorer does, under any of its three versions.

    saiseld evaluate predictions/ labels/ --report report/
    """
    from saiseld.cli.printing import print_reports
    from saiseld.evaluation.comparison import check_soft_iou, compare_systems, named_folders
    from saiseld.runtime.cache import user_cache
    from saiseld.runtime.errors import DataError
    from saiseld.runtime.files import output_folder, write_json
    from saiseld.viewing.tables import print_comparison

    systems = named_folders(predictions)
    cached = cache or user_cache("drawn-labels")
    if report or threshold or intervals:
        check_soft_iou(metric, "--report, --threshold, --intervals")
    if report and reading != "strict":
        raise DataError(
            "--report", expected="files of the format (--reading strict)", found=reading
        )
    folder = None if report is None else output_folder(report)
    if json is not None:
        output_folder(json.parent)
    ceiling = None
    if candidates is not None:
        from saiseld.training.matchability.targets import proposed_recall

        ceiling = proposed_recall(candidates, labels, cached, allow_missing=allow_missing)
    with workers(jobs, cluster) as at_work:
        comparison = compare_systems(
            systems,
            labels,
            metric,
            thresholds=threshold,
            intervals=intervals,
            ceiling=ceiling,
            jobs=at_work,
            allow_missing=allow_missing,
            reading=reading,
            cache=cached,
            progress=True,
        )
    print_comparison(comparison)
    if json is not None:
        write_json(json, comparison.as_dict())
    if folder is not None:
        print_reports(folder, comparison, systems, labels, pictures)
