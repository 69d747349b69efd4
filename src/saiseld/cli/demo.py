"""``saiseld demo``: the main job on the packaged scene, scored against its truth."""

from __future__ import annotations

from pathlib import Path

import typer

from saiseld.cli.options import Results


def demo(
    output: Results = Path("demo"),
) -> None:
    """Image the packaged scene: masks, overlay video, report, and its score.

    saiseld demo -o demo
    """
    from functools import partial

    from saiseld.cli.printing import print_imaged, print_reports
    from saiseld.evaluation.comparison import compare_systems
    from saiseld.pipeline.draw import show_truth
    from saiseld.pipeline.image import image_recordings
    from saiseld.pipeline.sample import sample
    from saiseld.pipeline.weights import DEMO
    from saiseld.runtime.cache import user_cache
    from saiseld.viewing.tables import print_comparison

    recording, video, truth = sample()
    image_recordings([recording], output, video=video, on_done=partial(print_imaged, output))
    show_truth(output, recording, truth)
    systems = {output.resolve().name: output}
    comparison = compare_systems(systems, DEMO, cache=user_cache("drawn-labels"), progress=True)
    print_comparison(comparison)
    print_reports(output / "report", comparison, systems, DEMO, DEMO)
    typer.echo(f"Look at {output / 'index.html'} and {output / 'report' / 'index.html'}")
