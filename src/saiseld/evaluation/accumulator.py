"""The metric as a running state, for use inside training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from saiseld.evaluation.matched import MatchedRecording, match_recording
from saiseld.evaluation.rendering import render_masks
from saiseld.evaluation.scores import THRESHOLDS, Scores, SoftIouMetric, score
from saiseld.formats.annotation import EnergyMask


class Accumulator:
    """Scores of everything seen so far: ``update`` with batches, ``merge`` others, ``compute``.

    Masks are drawn and matched at once and dropped; what is kept is a few numbers a detection.

    Examples
    --------
    >>> from saiseld.evaluation import Accumulator
    >>> running = Accumulator()
    >>> running.update(predictions=[], labels=[])
    >>> running.compute().micro.n_gt
    0
    """

    def __init__(
        self, metric: SoftIouMetric = "2026-06-30", thresholds: Sequence[float] = THRESHOLDS
    ) -> None:
        self.metric, self.thresholds = metric, tuple(thresholds)
        self._matched: list[MatchedRecording] = []

    def update(self, predictions: Iterable[EnergyMask], labels: Iterable[EnergyMask]) -> None:
        """Add some frames of one recording, whole frames only: matching is within a frame."""
        self._matched.append(match_recording(render_masks(predictions), render_masks(labels)))

    def merge(self, other: Accumulator) -> None:
        """Add what another process has seen."""
        if (self.metric, self.thresholds) != (other.metric, other.thresholds):
            raise ValueError("only accumulators of one metric and the same thresholds merge")
        self._matched.extend(other._matched)

    def compute(self) -> Scores:
        """Return the scores so far; NaN where nothing defines them."""
        return score(self._matched, self.metric, self.thresholds)

    def reset(self) -> None:
        """Forget everything seen."""
        self._matched.clear()
