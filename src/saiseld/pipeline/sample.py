"""The packaged scene, to try things on."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from saiseld.decision.linking import link
from saiseld.formats.annotation import EnergyMask, read_annotations
from saiseld.formats.sound_events import SoundEvents
from saiseld.pipeline.weights import DEMO


class Sample(NamedTuple):
    """Files of a recording whose sounds are known."""

    recording: Path
    video: Path
    truth: Path

    def true_masks(self) -> list[EnergyMask]:
        """Return the energy masks of its labels, without scores."""
        return read_annotations(self.truth)

    def true_events(self) -> SoundEvents:
        """Return the labels as sound events, of score 1."""
        return link(self.true_masks(), threshold=0.0)[0]


def sample() -> Sample:
    """Return the packaged scene: ten seconds of a simulated room, with video and truth.

    Examples
    --------
    >>> scene = sample()
    >>> scene.recording.suffix, scene.video.suffix
    ('.wav', '.mp4')
    """
    (recording,) = DEMO.glob("*.wav")
    (truth,) = DEMO.glob("*.json")
    return Sample(recording, recording.with_suffix(".mp4"), truth)
