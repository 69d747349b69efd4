"""``saiseld calibrate``: matchability into candidate tables, and thresholds with a guarantee."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saiseld.cli.options import Jobs, LabelsCache, Tables


def calibrate(
    candidates: Tables,
    model: Annotated[Path, typer.Option(help="Matchability model.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder for the calibrated tables; in place if absent."
        ),
    ] = None,
    risk: Annotated[
        str | None,
        typer.Option(
            help="Guarantee: fdr=0.2 (at most that share of masks wrong) or miss=0.6 (of events "
            "missed). Needs --labels of recordings the model was not trained on."
        ),
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="Labels that --risk calibrates on.")] = None,
    delta: Annotated[
        float, typer.Option(min=0.001, max=0.5, help="Chance the guarantee may fail.")
    ] = 0.1,
    system: Annotated[str, typer.Option(help="Whose masks --risk is about.")] = "TASK3B_2",
    jobs: Jobs = 1,
    cache: LabelsCache = None,
) -> None:
    """Fill in the probability that each detection matches; with --risk, find a threshold.

    saiseld calibrate candidates/ --model matchability.skops -o calibrated
    """
    from saiseld.cli.printing import print_operating_point, warn_of_unseen_classes
    from saiseld.decision.matchability import Matchability
    from saiseld.decision.risk import Goal
    from saiseld.decision.systems import system_named
    from saiseld.pipeline import calibrate as steps
    from saiseld.runtime.cache import user_cache

    learned, folder = Matchability.load(model), steps.calibrated_folder(candidates, output)
    goal = None if risk is None else Goal.parse(risk, delta)
    truth = {} if goal is None else steps.labels_unseen(candidates, labels, learned)
    unseen = steps.calibrate_recordings(candidates, learned, folder, jobs=jobs)
    warn_of_unseen_classes(unseen)
    typer.echo(f"{len(unseen)} tables calibrated: {folder}")
    if goal is not None:
        cached = cache or user_cache("drawn-labels")
        judged = system_named(system)
        point = steps.find_operating_point(folder, truth, judged, goal, cached, jobs=jobs)
        print_operating_point(point, system)
