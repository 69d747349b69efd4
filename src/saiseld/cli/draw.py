"""``saiseld draw``: events, overlay video and page again, from what was imaged before."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saiseld.cli.options import Results, Threshold, Video


def draw(
    source: Annotated[Path, typer.Argument(help="Candidate table, or masks in official JSON.")],
    recording: Annotated[Path, typer.Argument(help="The recording that it was imaged from.")],
    output: Results,
    video: Video = None,
    threshold: Threshold = None,
) -> None:
    """Draw what was imaged with another threshold or picture; nothing is imaged again.

    saiseld draw out/meeting.candidates.parquet meeting.wav --video meeting.mp4 -o shown
    """
    from saiseld.cli.printing import print_events
    from saiseld.pipeline.defaults import VIEWING_THRESHOLD
    from saiseld.pipeline.draw import draw_again

    shown = VIEWING_THRESHOLD if threshold is None else threshold
    events = draw_again(source, recording, video, output, threshold=shown)
    print_events(recording.stem, events)
    typer.echo(f"Look at {output / 'index.html'}", err=True)
