"""``saiseld train viewing``: from which score masks are shown."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saiseld.cli.options import Jobs, LabelsCache, Tables


def train_viewing(
    candidates: Tables,
    labels: Annotated[Path, typer.Argument(help="Folder with <recording>_std.json below it.")],
    weights: Annotated[Path, typer.Option(help="Weights folder; viewing.json is written there.")],
    jobs: Jobs = 1,
    cache: LabelsCache = None,
) -> None:
    """Choose the score from which `saiseld image` shows masks, by F1 on these recordings.

    saiseld train viewing candidates/ labels/ --weights weights
    """
    from saiseld.decision.fusion import Fusion
    from saiseld.decision.matchability import Matchability
    from saiseld.decision.systems import DecisionModels
    from saiseld.pipeline import viewing_threshold as steps
    from saiseld.pipeline.defaults import VIEWING, default_system
    from saiseld.pipeline.weights import find_weights
    from saiseld.runtime.cache import user_cache

    found = find_weights(weights)
    model = found.matchability
    models = DecisionModels(
        Fusion.load(found.fusion) if "audio" in found.decided else None,
        None if model is None else Matchability.load(model),
    )
    chosen = steps.choose_viewing_threshold(
        candidates,
        labels,
        default_system(found.decided),
        models,
        cache or user_cache("drawn-labels"),
        jobs=jobs,
    )
    path = found.folder / VIEWING
    steps.save_viewing_threshold(chosen, path)
    typer.echo(f"{path}: masks of {chosen.threshold:g} and more, F1 {chosen.F1:.3f}")
