"""``saiseld calibrate``: matchability into candidate tables, and thresholds with a guarantee."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from saiseld.cli.options import FusionWeights, Jobs, LabelsCache, Tables

ThresholdsFile = Annotated[
    Path | None,
    typer.Option(
        help="Write a score threshold of each class to this file, for `emit --form dcase-csv`: "
        "best F20 on these recordings. Needs --labels (DCASE CSVs or masks)."
    ),
]
F20Metric = Annotated[
    Literal["seld-2024", "seld-2023", "seld-2022"],
    typer.Option(help="SELD metric whose F20 --class-thresholds maximises."),
]

RANKED_BY_MATCHABILITY = "TASK3B_2"
"""The system whose scores are the matchability that --model has filled in."""

Risk = Annotated[
    str | None,
    typer.Option(
        help="Guarantee to keep: fdr=0.2 (at most this share of masks is wrong) or "
        "miss=0.6 (of events is missed). Needs --labels of recordings that the model "
        "was not trained on."
    ),
]
System = Annotated[
    str | None,
    typer.Option(
        help="System that makes the masks. Default: for --risk TASK3B_2, whose score is the "
        "matchability; for --class-thresholds the system that the tables were made with."
    ),
]


def calibrate(
    candidates: Tables,
    model: Annotated[
        Path | None, typer.Option(help="Matchability model; --class-thresholds needs none.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder for the calibrated tables; without it they are changed in place.",
        ),
    ] = None,
    risk: Risk = None,
    class_thresholds: ThresholdsFile = None,
    metric: F20Metric = "seld-2024",
    labels: Annotated[
        Path | None, typer.Option(help="Labels that --risk or --class-thresholds calibrates on.")
    ] = None,
    delta: Annotated[
        float,
        typer.Option(min=0.001, max=0.5, help="Probability with which the guarantee may fail."),
    ] = 0.1,
    system: System = None,
    weights: FusionWeights = None,
    jobs: Jobs = 1,
    cache: LabelsCache = None,
) -> None:
    """Fill in the probability that each detection matches; with --risk, find a threshold.

    saiseld calibrate candidates/ --model matchability.skops -o calibrated

    With --class-thresholds, choose a score threshold for each class instead.
    """
    from saiseld.cli.printing import (
        print_class_thresholds,
        print_operating_point,
        warn_of_unseen_classes,
    )
    from saiseld.decision.matchability import Matchability
    from saiseld.decision.risk import Goal
    from saiseld.decision.systems import system_named
    from saiseld.pipeline import calibrate as steps
    from saiseld.pipeline.emit import decision_models
    from saiseld.pipeline.source_csv import calibrate_classes
    from saiseld.runtime.cache import user_cache
    from saiseld.runtime.errors import DataError

    if weights is not None and class_thresholds is None and risk is None:
        raise DataError(
            "--weights",
            expected="--class-thresholds or --risk, which decide by their fusion model",
            found="neither",
        )
    models = decision_models(weights)
    if class_thresholds is not None:
        if labels is None or risk is not None or model is not None:
            raise DataError(
                "--class-thresholds",
                expected="--labels, and neither --model nor --risk in the same run",
                found="no --labels" if labels is None else "one of them",
            )
        judged = None if system is None else system_named(system)
        chosen = calibrate_classes(candidates, labels, judged, metric, models, jobs=jobs)
        chosen.save(class_thresholds)
        return print_class_thresholds(chosen, class_thresholds)
    if model is None:
        raise DataError("--model", expected="a matchability model", found="none")
    learned, folder = Matchability.load(model), steps.calibrated_folder(candidates, output)
    goal = None if risk is None else Goal.parse(risk, delta)
    truth = {} if goal is None else steps.labels_unseen(candidates, labels, learned)
    unseen = steps.calibrate_recordings(candidates, model, folder, jobs=jobs)
    warn_of_unseen_classes(unseen)
    typer.echo(f"{len(unseen)} tables calibrated: {folder}")
    if goal is not None:
        cached = cache or user_cache("drawn-labels")
        judged = system_named(system or RANKED_BY_MATCHABILITY)
        point = steps.find_operating_point(folder, truth, judged, goal, cached, models, jobs=jobs)
        print_operating_point(point, judged.name)
