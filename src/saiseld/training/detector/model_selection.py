"""What models are selected by: realised mAP in rooms set aside for it (KIST2026, Sec. 2.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saiseld.decision.selection import emittable
from saiseld.decision.systems import System, decide
from saiseld.detector.detect import detect_frames
from saiseld.detector.model import Detector
from saiseld.evaluation import Scores, match_recording, render_masks, score
from saiseld.evaluation.matched import MatchedRecording
from saiseld.formats.annotation import EnergyMask, iter_annotations
from saiseld.training.detector.dataset import FrameDataset, collate

SYSTEM = System("selection", emission="grid7", ranking="raw", max_per_class=3)
"""A grid fine enough for masks to be as good as the boxes and maps are."""

_BATCH = 8


class Selection:
    """Frames of some recordings, evenly spread, whose ground truth is drawn once.

    Parameters
    ----------
    dataset
        The recordings of the rooms to select in.
    frames
        How many frames at most.
    """

    def __init__(self, dataset: FrameDataset, frames: int) -> None:
        self._dataset = dataset
        step = max(1, -(-len(dataset) // frames))
        self.samples = range(0, len(dataset), step)
        """Numbers of the frames in the data set."""
        self.truth = render_masks(self._masks())

    def score(self, detector: Detector) -> Scores:
        """Return the official scores of a detector, in evaluation mode, on these frames."""
        return score([self.matched(detector, SYSTEM)])

    def matched(self, detector: Detector, system: System) -> MatchedRecording:
        """Return a detector's masks on these frames, as a system emits them, matched."""
        table = detect_frames(detector, "selection", self.batches(), keep=emittable)
        return match_recording(render_masks(decide(table, system)), self.truth)

    def batches(self) -> Iterator[tuple[NDArray[np.float32], NDArray[Any]]]:
        """Yield the frames as `saiseld.detector.detect.detect_frames` takes them."""
        for start in range(0, len(self.samples), _BATCH):
            numbers = self.samples[start : start + _BATCH]
            rgb, latent, _ = collate([self._dataset[number] for number in numbers])
            yield latent.numpy(), rgb.numpy()

    def _masks(self) -> Iterator[EnergyMask]:
        frame_of = {self._dataset.place(n): frame for frame, n in enumerate(self.samples)}
        for number, recording in enumerate(self._dataset.recordings):
            assert recording.labels is not None  # the dataset has read them
            for mask in iter_annotations(recording.labels):
                if (number, mask.frame) in frame_of:
                    yield replace(mask, frame=frame_of[number, mask.frame])
