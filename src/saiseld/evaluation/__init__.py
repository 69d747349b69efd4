"""The official metrics, exact and fast, and what explains them. Imports no torch.

`evaluate` scores one system, `evaluate_systems` several in one pass. Underneath: masks are drawn
(`rendering`), compared (`soft_iou`), matched (`matched`: the costly half ends here, and nothing up
to here depends on the predictions' scores), ranked and averaged (`scores`).
"""

from saiseld.evaluation.coco_2026_04_02 import FieldScores
from saiseld.evaluation.matched import MatchedRecording, match_recording
from saiseld.evaluation.rendering import RenderedMasks, render, render_masks
from saiseld.evaluation.scores import THRESHOLDS, Scores, score
from saiseld.evaluation.systems import (
    METRICS,
    MatchedSystem,
    evaluate,
    evaluate_systems,
    evaluate_systems_2026_04_02,
    match_systems,
)

__all__ = [
    "METRICS",
    "THRESHOLDS",
    "FieldScores",
    "MatchedRecording",
    "MatchedSystem",
    "RenderedMasks",
    "Scores",
    "evaluate",
    "evaluate_systems",
    "evaluate_systems_2026_04_02",
    "match_recording",
    "match_systems",
    "render",
    "render_masks",
    "score",
]
