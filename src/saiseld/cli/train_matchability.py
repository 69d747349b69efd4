"""``saiseld train matchability``: learn which detections match the ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from saiseld.training.matchability.assessment import Assessment


def train_matchability(
    candidates: Annotated[Path, typer.Argument(help="Folder of candidate tables.")],
    labels: Annotated[Path, typer.Argument(help="Folder with <recording>_std.json below it.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Model to write (.skops).")],
    target: Annotated[
        Literal["soft_iou", "box_iou"],
        typer.Option(
            help="What has to reach 0.25: soft IoU of the emitted mask, or IoU of the box."
        ),
    ] = "soft_iou",
    kind: Annotated[
        Literal["trees", "linear"],
        typer.Option(help="KIST2026's trees, or a linear model, for few rooms."),
    ] = "trees",
    gates: Annotated[
        bool,
        typer.Option("--gates", help="Train with the frame gates; they are 0 at inference."),
    ] = False,
    temporal: Annotated[
        bool, typer.Option("--temporal", help="Weigh a detection with its track's matchability.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Recordings at a time.")] = 1,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of drawn labels; the user's cache by default.")
    ] = None,
) -> None:
    """Fit the matchability model and report what it is worth in rooms it has not seen."""
    from dataclasses import asdict

    import orjson

    from saiseld.decision.matchability import cross_fit, fit
    from saiseld.decision.systems import system_named
    from saiseld.evaluation.corpus import labels_of
    from saiseld.formats.candidates import candidate_files
    from saiseld.runtime.cache import user_cache
    from saiseld.runtime.files import write_bytes
    from saiseld.training.matchability.assessment import assess
    from saiseld.training.matchability.development import (
        all_examples,
        fit_temporal,
        measure_all,
        smoothed,
    )

    tables = candidate_files(candidates)
    system = system_named("TASK3B_3")
    recordings = measure_all(
        tables,
        labels_of(tables, labels),
        (system,),
        cache or user_cache("drawn-labels"),
        target=target,
        gates=gates,
        jobs=jobs,
    )
    known = all_examples(recordings)
    probability = cross_fit(known, kind)
    model = fit(
        known,
        smoother=fit_temporal(recordings, probability) if temporal else None,
        recordings=[recording.recording for recording in recordings],
        target=target,
        gates=gates,
        kind=kind,
    )
    if temporal:
        probability = smoothed(recordings, probability)
    assessment = assess(recordings, probability, system.name, kind)
    model.save(output)
    report = output.with_suffix(".json")
    content = {"training": asdict(model.training), **assessment.as_dict()}
    write_bytes(
        report, orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY)
    )
    _print(assessment)
    typer.echo(
        f"{known.matched.sum()} of {len(known.matched)} candidates match, in "
        f"{len(model.training.rooms)} rooms: {output}, {report}"
    )


def _print(assessment: Assessment) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("soft IoU", "macro AP, raw", "macro AP, matchability", title="Gain, cap 1")
    for threshold, (raw, ranked) in assessment.macro_ap.items():
        table.add_row(threshold, f"{raw:.4f}", f"{ranked:.4f}")
    console.print(table)
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
