"""What several commands print."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from saiseld.conventions.taxonomy import CLASS_NAMES

if TYPE_CHECKING:
    from saiseld.decision.risk import OperatingPoint
    from saiseld.evaluation.comparison import Comparison
    from saiseld.pipeline.image import Imaged


def print_imaged(name: str, imaged: Imaged | None) -> None:
    """Say on standard error what imaging a recording wrote; None if it was imaged before."""
    if imaged is None:
        typer.echo(f"{name}: already imaged", err=True)
        return
    told = f"{imaged.masks_file}: {imaged.masks} masks in {imaged.frames} frames, "
    told += f"{imaged.size:,} bytes"
    if imaged.missing_pictures:
        told += f"; {imaged.missing_pictures} frames without a picture"
    typer.echo(told, err=True)


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
        f"--threshold {point.threshold:g} keeps {point.kept:.1%} of the masks of {system} "
        f"({goal.risk} {point.observed:.3f} over {point.recordings} recordings)"
    )
