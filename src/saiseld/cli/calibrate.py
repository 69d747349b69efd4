"""``saiseld calibrate``: matchability into candidate tables, and thresholds with a guarantee."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def calibrate(
    candidates: Annotated[Path, typer.Argument(help="Candidate table, or a folder of them.")],
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
    jobs: Annotated[int, typer.Option(min=1, help="Recordings at a time.")] = 1,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of drawn labels; the user's cache by default.")
    ] = None,
) -> None:
    """Fill in the probability that each detection matches; with --risk, find a threshold."""
    from saiseld.decision.matchability import Matchability
    from saiseld.decision.risk import Goal, operating_point
    from saiseld.decision.systems import system_named
    from saiseld.formats.candidates import CANDIDATES_SUFFIX, candidate_files
    from saiseld.runtime.cache import user_cache
    from saiseld.runtime.errors import DataError
    from saiseld.runtime.files import output_folder
    from saiseld.runtime.parallel import run_all
    from saiseld.training.matchability.development import (
        calibrate_recording,
        labels_of,
        match_recordings,
    )

    files, learned = candidate_files(candidates), Matchability.load(model)
    folder = output_folder(output or (candidates if candidates.is_dir() else candidates.parent))
    goal = None if risk is None else Goal.parse(risk, delta)
    truth: dict[str, Path] = {}
    if goal is not None:
        if labels is None:
            raise DataError("--risk", expected="--labels to calibrate on", found="none")
        truth = labels_of(files, labels)
        seen = sorted(files.keys() & set(learned.training.recordings))
        if seen:
            raise DataError(
                candidates,
                expected="recordings that the model was not trained on",
                found=f"{len(seen)} that it was, such as {seen[0]}",
                advice="Scores of what a model has seen guarantee nothing about what it has not",
            )
    calibrated = {name: folder / f"{name}{CANDIDATES_SUFFIX}" for name in files}
    tasks = {name: (path, learned, calibrated[name]) for name, path in files.items()}
    unseen = run_all(calibrate_recording, tasks, jobs=jobs, title="calibrating")
    _warn_of_classes(unseen)
    typer.echo(f"{len(files)} tables calibrated: {folder}")
    if goal is not None:
        matched = match_recordings(
            calibrated, truth, system_named(system), cache or user_cache("drawn-labels"), jobs=jobs
        )
        point = operating_point(matched, goal)
        point.write(folder / "operating_point.json")
        typer.echo(
            f"{goal.risk} at most {goal.alpha:g} with confidence {1 - goal.delta:g}: "
            f"--threshold {point.threshold:g} keeps {point.kept:.1%} of the masks of {system} "
            f"({goal.risk} {point.observed:.3f} over {point.recordings} recordings)"
        )


def _warn_of_classes(unseen: dict[str, list[int]]) -> None:
    from logging import getLogger

    from saiseld.conventions.taxonomy import CLASS_NAMES

    classes = sorted({class_id for found in unseen.values() for class_id in found})
    if classes:
        getLogger("saiseld").warning(
            "the model was trained without: %s; their matchability rests on other classes",
            ", ".join(CLASS_NAMES[class_id] for class_id in classes),
        )
