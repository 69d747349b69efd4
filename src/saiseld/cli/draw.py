"""``saiseld draw``: events, overlay video and page again, from what was imaged before."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saiseld.cli.options import ExchangeFormats, Results, Threshold, Video


def draw(
    source: Annotated[Path, typer.Argument(help="Candidate table, or masks in official JSON.")],
    recording: Annotated[Path, typer.Argument(help="The recording that was imaged.")],
    output: Results,
    video: Video = None,
    threshold: Threshold = None,
    write: ExchangeFormats = None,
) -> None:
    """Draw an imaged recording again, with another threshold or video, without imaging it.

    With --write, also write the events for other programs.

    saiseld draw out/meeting.candidates.parquet meeting.wav --video meeting.mp4 -o shown

    saiseld draw out/meeting.json meeting.wav -o shown --write audacity,textgrid
    """
    from saiseld.cli.printing import print_events
    from saiseld.formats.exchange import exchange_formats_named
    from saiseld.pipeline.defaults import VIEWING_THRESHOLD
    from saiseld.pipeline.draw import draw_again

    used = VIEWING_THRESHOLD if threshold is None else threshold
    formats = () if write is None else exchange_formats_named(write)
    events = draw_again(source, recording, video, output, threshold=used, formats=formats)
    print_events(recording.stem, events)
    typer.echo(f"Look at {output / 'index.html'}", err=True)
