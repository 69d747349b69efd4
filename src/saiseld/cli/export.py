"""``saiseld export``: a trained system as ONNX graphs, which image without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    weights: Annotated[Path, typer.Argument(help="Weights folder.")],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Folder for the weights with their graphs; may be the weights folder itself.",
        ),
    ],
) -> None:
    """Write weights with ONNX graphs, which run without PyTorch, and faster on a CPU.

    saiseld export weights -o weights
    """
    from saiseld.pipeline.export import export_system

    for graph in export_system(weights, output):
        typer.echo(f"{graph}: {graph.stat().st_size:,} bytes")
