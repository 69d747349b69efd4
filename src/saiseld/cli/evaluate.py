"""``saiseld evaluate``: official scores of prediction folders, and what explains them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from saiseld.cli.options import AllowMissing, Jobs, JsonFile, LabelsCache, OnCluster, workers

if TYPE_CHECKING:
    from saiseld.evaluation.diagnosis import RecallCeiling

Predictions = Annotated[
    list[Path],
    typer.Argument(
        help="Folders of <recording>.json (SELD metrics: or <recording>.csv); "
        "several are scored in one pass."
    ),
]
Labels = Annotated[
    Path,
    typer.Argument(
        help="Folder with <recording>_std.json or <recording>.json below it "
        "(SELD metrics: or <recording>.csv)."
    ),
]
OfMetric = Annotated[
    Literal[
        "2026-06-30",
        "2026-05-28",
        "2026-05-18",
        "2026-04-02",
        "seld-2024",
        "seld-2023",
        "seld-2022",
    ],
    typer.Option(help="Version of the official scorer, or the SELD metrics of a year."),
]
Thresholds = Annotated[
    list[float] | None,
    typer.Option(
        min=0.01,
        max=1,
        help="Soft-IoU threshold; may be repeated. Official since 2026-05-28: 0.25, 0.5, 0.75.",
    ),
]
ReportFolder = Annotated[Path | None, typer.Option(help="Write a page with plots to this folder.")]
Intervals = Annotated[
    bool,
    typer.Option(
        "--intervals",
        help="Bootstrap over recordings; with several systems, also against the first. "
        "SELD metrics: jackknife.",
    ),
]
Pictures = Annotated[
    Path | None,
    typer.Option(help="Folder of videos or frames, as background of the report's examples."),
]
CandidateTables = Annotated[
    Path | None,
    typer.Option(
        help="Folder of candidate tables: adds the highest recall that any decision could reach."
    ),
]
ReadingOf = Annotated[
    Literal["strict", "official"],
    typer.Option(
        help="official: accept everything that the official scorer accepts, and report it."
    ),
]
SixColumns = Annotated[
    Literal["auto", "polar", "cartesian"],
    typer.Option(help="SELD metrics: what 6 columns of a system's CSV hold."),
]
DistanceUnit = Annotated[
    Literal["m", "cm"], typer.Option(help="SELD metrics: distances in a system's CSV.")
]
MinScore = Annotated[
    float,
    typer.Option(min=0, max=1, help="SELD metrics: leave out masks and events with a lower score."),
]


def evaluate(
    predictions: Predictions,
    labels: Labels,
    metric: OfMetric = "2026-06-30",
    threshold: Thresholds = None,
    json: JsonFile = None,
    report: ReportFolder = None,
    intervals: Intervals = False,
    pictures: Pictures = None,
    candidates: CandidateTables = None,
    jobs: Jobs = 1,
    cluster: OnCluster = None,
    allow_missing: AllowMissing = False,
    reading: ReadingOf = "strict",
    coordinates: SixColumns = "auto",
    distance_unit: DistanceUnit = "m",
    min_score: MinScore = 0.0,
    cache: LabelsCache = None,
) -> None:
    """Score predictions as the official scorers do: acoustic images (2026) or SELD (2022 to 2024).

    saiseld evaluate predictions/ labels/ --report report/

    saiseld evaluate system/ STARSS23/metadata_dev --metric seld-2024 --intervals
    """
    from saiseld.cli.printing import print_reports, print_seld
    from saiseld.evaluation.comparison import check_soft_iou, compare_systems, named_folders
    from saiseld.evaluation.seld import SourceOptions, evaluate_seld_systems
    from saiseld.runtime.cache import user_cache
    from saiseld.runtime.errors import DataError
    from saiseld.runtime.files import output_folder, write_json
    from saiseld.viewing.tables import print_comparison

    systems = named_folders(predictions)
    if json is not None:
        output_folder(json.parent)
    if metric == "seld-2024" or metric == "seld-2023" or metric == "seld-2022":
        if report or threshold or candidates:
            check_soft_iou(metric, "--report, --threshold, --candidates")
        with workers(jobs, cluster) as at_work:
            scores = evaluate_seld_systems(
                systems,
                labels,
                metric,
                options=SourceOptions(coordinates, distance_unit, min_score),
                intervals=intervals,
                jobs=at_work,
                allow_missing=allow_missing,
                reading=reading,
                progress=True,
            )
        return print_seld(scores, json)
    if report or threshold or intervals:
        check_soft_iou(metric, "--report, --threshold, --intervals")
    if report and reading != "strict":
        raise DataError(
            "--report", expected="files of the format (--reading strict)", found=reading
        )
    folder = None if report is None else output_folder(report)
    cached = cache or user_cache("drawn-labels")
    with workers(jobs, cluster) as at_work:
        comparison = compare_systems(
            systems,
            labels,
            metric,
            thresholds=threshold,
            intervals=intervals,
            ceiling=_ceiling(candidates, labels, cached, allow_missing),
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


def _ceiling(
    candidates: Path | None, labels: Path, cache: Path, allow_missing: bool
) -> RecallCeiling | None:
    if candidates is None:
        return None
    from saiseld.training.matchability.targets import proposed_recall

    return proposed_recall(candidates, labels, cache, allow_missing=allow_missing)
