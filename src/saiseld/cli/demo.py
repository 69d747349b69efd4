"""``saiseld demo``: the main job on the packaged scene, scored against its truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")] = Path(
        "demo"
    ),
) -> None:
    """Image the packaged scene: masks, overlay video, report, and its score."""
    from saiseld.cli.evaluate import evaluate
    from saiseld.cli.image import image
    from saiseld.pipeline.weights import PACKAGED

    scene = PACKAGED / "demo"
    (recording,) = scene.glob("*.wav")
    image([recording], output, video=recording.with_suffix(".mp4"))
    evaluate([output], scene, report=output / "report")
    typer.echo(f"Look at {output / recording.stem}.mp4 and {output / 'report' / 'index.html'}")
