"""``saiseld draw``: events, overlay video and page again, from what was imaged before."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saiseld.cli.options import ExchangeFormats, FusionWeights, Results, Video


def draw(
    source: Annotated[Path, typer.Argument(help="Candidate table, or masks in official JSON.")],
    recording: Annotated[Path, typer.Argument(help="The recording that was imaged.")],
    output: Results,
    video: Video = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Score from which masks are shown. Default: that which it was imaged with.",
        ),
    ] = None,
    weights: FusionWeights = None,
    write: ExchangeFormats = None,
) -> None:
    """Draw an imaged recording again, with another threshold or video, without imaging it.

    With --write, also write the events for other programs.

    saiseld draw out/meeting.candidates.parquet meeting.wav --video meeting.mp4 -o shown

    saiseld draw out/meeting.json meeting.wav -o shown --write audacity,textgrid
    """
    from saiseld.cli.printing import print_events
    from saiseld.formats.candidates import CANDIDATES_SUFFIX
    from saiseld.formats.exchange import exchange_formats_named
    from saiseld.pipeline.draw import draw_again
    from saiseld.pipeline.emit import decision_models
    from saiseld.runtime.errors import DataError

    formats = () if write is None else exchange_formats_named(write)
    if weights is not None and not source.name.endswith(CANDIDATES_SUFFIX):
        raise DataError("--weights", expected="a candidate table to decide on", found=str(source))
    events = draw_again(
        source,
        recording,
        video,
        output,
        threshold=threshold,
        models=decision_models(weights),
        formats=formats,
    )
    print_events(recording.stem, events)
    typer.echo(f"Look at {output / 'index.html'}", err=True)
