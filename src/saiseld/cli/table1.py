"""``saiseld table1``: Table 1, Figures 2 and 3 of KIST2026 from one's own development split."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from saiseld.cli.options import AllowMissing, Jobs, LabelsCache, OnCluster, workers


def table1(
    data: Annotated[Path, typer.Option(help="Dataset in the layout of STAIRS26, with labels.")],
    candidates: Annotated[Path, typer.Option(help="Folder of candidate tables of the split.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for table1.txt, .json and the figures.")
    ] = Path("table1"),
    split: Annotated[
        Literal["dev-train", "dev-test"], typer.Option(help="Split to score.")
    ] = "dev-test",
    pool: Annotated[
        Literal["all", "emittable"],
        typer.Option(
            help="Detections that matchability learns from; all needs tables of detect --all-maps."
        ),
    ] = "all",
    model: Annotated[
        Path | None, typer.Option(help="Matchability model of other data, scored as further rows.")
    ] = None,
    temporal: Annotated[
        bool, typer.Option("--temporal", help="Add rows for matchability with temporal evidence.")
    ] = False,
    emissions: Annotated[
        bool,
        typer.Option("--emissions", help="Add rows for other emissions of the same detections."),
    ] = False,
    allow_missing: AllowMissing = False,
    jobs: Jobs = 1,
    cluster: OnCluster = None,
    cache: LabelsCache = None,
) -> None:
    """Compare the six systems of KIST2026, their highest possible recall, and temporal filters.

    saiseld table1 --data STAIRS26 --candidates candidates
    """
    from saiseld.runtime.cache import user_cache
    from saiseld.table1.output import write_table1

    with workers(jobs, cluster) as at_work:
        write_table1(
            data,
            candidates,
            output,
            cache or user_cache("drawn-labels"),
            split=split,
            pool=pool,
            model=model,
            temporal=temporal,
            emissions=emissions,
            allow_missing=allow_missing,
            jobs=at_work,
        )
    typer.echo(f"Text, JSON and figures: {output}")
