"""What several commands print."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from saiseld.conventions.taxonomy import CLASS_NAMES
from saiseld.runtime.text import counted

if TYPE_CHECKING:
    from saiseld.decision.class_thresholds import ClassThresholds
    from saiseld.decision.risk import OperatingPoint
    from saiseld.decision.systems import DecisionModels, System
    from saiseld.evaluation.comparison import Comparison
    from saiseld.evaluation.seld import SeldScores
    from saiseld.formats.sound_events import SoundEvents
    from saiseld.pipeline.image import Outcome
    from saiseld.training.matchability.assessment import Assessment


def print_imaged(folder: Path, name: str, outcome: Outcome) -> None:
    """Say what imaging a recording into a folder found; None if it was imaged before."""
    from saiseld.pipeline.image import Failed
    from saiseld.pipeline.results import Results

    if outcome is None:
        typer.echo(f"{name}: already imaged", err=True)
    elif isinstance(outcome, Failed):
        typer.secho(f"error: {outcome.error}", fg="red", err=True)
    else:
        print_events(name, outcome.events)
        if outcome.drawn_again:
            typer.echo(f"{name}: drawn again from the masks that were there", err=True)
            return
        line = f"{Results(folder, name).masks}: every guess, {counted(outcome.masks, 'mask')} in "
        line += f"{counted(outcome.frames, 'frame')}, the events' and what is less credible, "
        line += f"{outcome.size:,} bytes"
        if outcome.missing_pictures:
            line += f"; {counted(outcome.missing_pictures, 'frame')} without a picture"
        typer.echo(line, err=True)


def print_events(name: str, events: SoundEvents) -> None:
    """Print the sound events of a recording, a line each, in 80 columns."""
    if not events:
        typer.echo(f"{name}: nothing credible was heard")
        return
    assumed = ", elevation assumed" if any(e.elevation_assumed for e in events) else ""
    typer.echo(
        f"{name}: {counted(len(events), 'sound event')} (azimuth positive to the left{assumed})"
    )
    typer.echo(
        f"{'from':>8} {'to':>8}  {'sound':<20} {'azimuth':>8} {'elev.':>6} {'dist.':>7} score"
    )
    for e in events:
        distance = "–" if e.distance_cm is None else f"{e.distance_cm / 100:.1f} m"
        typer.echo(
            f"{e.start_s:6.1f} s {e.end_s:6.1f} s  {e.class_name:<20} {e.azimuth:7.0f}° "
            f"{e.elevation:5.0f}° {distance:>7} {e.score:5.2f}"
        )


def print_seld(scores: Mapping[str, SeldScores], json: Path | None) -> None:
    """Print SELD scores of systems, and write them where there is a file for them."""
    from saiseld.evaluation.seld import write_seld_scores
    from saiseld.viewing.tables import print_seld_scores

    print_seld_scores(scores)
    if json is not None:
        write_seld_scores(json, scores)


def emit_dcase_csvs(
    candidates: Path,
    output: Path,
    system: System | None,
    class_thresholds: Path | None,
    models: DecisionModels,
    *,
    unused: Sequence[str],
    jobs: int,
) -> None:
    """Write DCASE CSVs of candidate tables and say what was written."""
    from saiseld.decision.class_thresholds import ClassThresholds
    from saiseld.decision.systems import system_named
    from saiseld.evaluation.corpus import listed
    from saiseld.pipeline.source_csv import emit_csvs
    from saiseld.runtime.errors import DataError
    from saiseld.runtime.files import output_folder

    if class_thresholds is None or unused:
        raise DataError(
            "--form dcase-csv",
            expected="--class-thresholds, and no option of masks",
            found=", ".join(unused) or "no thresholds",
            advice="`saiseld calibrate` chooses thresholds",
        )
    chosen = ClassThresholds.load(class_thresholds)
    if system is None:
        system = system_named(chosen.system)
    if chosen.system != system.name:
        raise DataError(
            class_thresholds,
            place="system",
            expected=f"thresholds of {system.name}, whose scores they compare",
            found=chosen.system,
        )
    written = emit_csvs(candidates, output_folder(output), system, chosen, models, jobs=jobs)
    typer.echo(f"{system.name}: {len(written)} CSVs, {sum(written.values()):,} rows: {output}")
    seen = sorted(written.keys() & set(chosen.recordings))
    if seen:
        typer.secho(
            f"{len(seen)} of them chose the thresholds, so scores are optimistic: {listed(seen)}",
            fg="yellow",
            err=True,
        )


def print_class_thresholds(chosen: ClassThresholds, path: Path) -> None:
    """Print the thresholds that a system's classes got, and where they are."""
    typer.echo(f"thresholds of {chosen.system} for F20 of {chosen.metric}: {path}")
    for name, threshold in chosen.thresholds.items():
        f20 = chosen.f20[name]
        found = "no references: by all classes pooled" if f20 is None else f"F20 {f20:.3f}"
        typer.echo(f"{name:<20} {threshold:.4f}  {found}")


def print_reports(
    folder: Path,
    comparison: Comparison,
    predictions: Mapping[str, Path],
    labels: Path,
    pictures: Path | None = None,
) -> None:
    """Write the report of each system and say where; see `saiseld.viewing.report`."""
    from saiseld.viewing.report import write_reports

    for page in write_reports(folder, comparison, predictions, labels, pictures):
        typer.echo(f"Report: {page}")


def warn_of_unseen_classes(unseen: Mapping[str, Sequence[int]]) -> None:
    """Warn of classes, given by recording, that a matchability model was trained without."""
    classes = sorted({class_id for found in unseen.values() for class_id in found})
    if classes:
        logging.getLogger("saiseld").warning(
            "the model was trained without: %s; their matchability rests on other classes",
            ", ".join(CLASS_NAMES[class_id] for class_id in classes),
        )


def print_operating_point(point: OperatingPoint, system: str) -> None:
    """Say what a threshold guarantees and what it keeps of a system's masks."""
    goal = point.goal
    typer.echo(
        f"{goal.risk} at most {goal.alpha:g} with confidence {1 - goal.delta:g}: "
        f"--threshold {point.threshold:g} keeps {point.retained:.1%} of the masks of {system} "
        f"({goal.risk} {point.observed:.3f} over {point.recordings} recordings)"
    )


def print_assessment(assessment: Assessment) -> None:
    """Print what a matchability model is worth in rooms that it has not seen."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("soft IoU", "raw score", "matchability", "change", title="Macro AP, cap 1")
    for threshold, (raw, ranked) in assessment.macro_ap.items():
        table.add_row(threshold, f"{raw:.4f}", f"{ranked:.4f}", f"{ranked - raw:+.4f}")
    console.print(table)
    if lost := [t for t, (raw, ranked) in assessment.macro_ap.items() if ranked < raw]:
        message = f"Matchability ranks worse than the raw score at soft IoU {', '.join(lost)}."
        console.print(message, style="yellow")
    table = Table("", "Brier", "calibration error", title="Reliability")
    for name, found in (("raw score", assessment.before), ("matchability", assessment.after)):
        if found is not None:
            table.add_row(
                name, f"{found.brier_score:.4f}", f"{found.expected_calibration_error:.4f}"
            )
    console.print(table)
    table = Table("feature", "fall of average precision", title="Permutation importance")
    for name, fall in assessment.importance.items():
        table.add_row(name, f"{fall:.4f}")
    console.print(table)
    console.print("Cross-fitted: every detection was scored by a model that never saw its room.")
