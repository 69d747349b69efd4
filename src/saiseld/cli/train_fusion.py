"""``saiseld train fusion``: learn what eye and ear are worth, alone and together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saiseld.cli.options import Jobs


def train_fusion(
    eye: Annotated[Path, typer.Argument(help="Folder of the detector's candidate tables.")],
    ear: Annotated[Path, typer.Argument(help="Folder of the hearing network's.")],
    labels: Annotated[Path, typer.Argument(help="Folder with <recording>_std.json below it.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Model to write (.json).")],
    emission: Annotated[
        str, typer.Option(help="Emission of the masks whose worth is learnt.")
    ] = "spot",
    every: Annotated[int, typer.Option(min=1, help="Take every so many-th frame.")] = 1,
    jobs: Jobs = 1,
) -> None:
    """Fit the fusion model and report what it is worth in rooms it has not seen.

    saiseld train fusion eye/ ear/ labels/ -o fusion.json
    """
    from saiseld.training.fusion import assess, fit, measure_all

    lessons = measure_all(eye, ear, labels, emission, every=every, jobs=jobs)
    fusion = fit(lessons)
    for name, precision in assess(lessons).items():
        typer.echo(f"{name}: average precision {precision:.3f}")
    fusion.save(output)
    typer.echo(f"{len(fusion.recordings)} recordings in {len(fusion.rooms)} rooms: {output}")
