"""``saiseld train fusion``: fit the audiovisual fusion."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saiseld.cli.options import Jobs


def train_fusion(
    detector: Annotated[Path, typer.Argument(help="Folder of the detector's candidate tables.")],
    audio: Annotated[Path, typer.Argument(help="Folder of the audio branch's candidate tables.")],
    labels: Annotated[Path, typer.Argument(help="Folder with <recording>_std.json below it.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Model to write (.json).")],
    emission: Annotated[
        str, typer.Option(help="Emission of the masks that are compared with the labels.")
    ] = "spot",
    every: Annotated[int, typer.Option(min=1, help="Use every Nth frame.")] = 1,
    jobs: Jobs = 1,
) -> None:
    """Fit the fusion model and report its average precision in held-out rooms.

    saiseld train fusion detector/ audio/ labels/ -o fusion.json
    """
    from saiseld.runtime.text import counted
    from saiseld.training.fusion import assess, fit, measure_all

    measured = measure_all(detector, audio, labels, emission, every=every, jobs=jobs)
    fusion = fit(measured)
    for name, precision in assess(measured).items():
        typer.echo(f"{name}: average precision {precision:.3f}")
    fusion.save(output)
    typer.echo(
        f"{counted(len(fusion.recordings), 'recording')} in "
        f"{counted(len(fusion.rooms), 'room')}: {output}"
    )
