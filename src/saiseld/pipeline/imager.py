"""The main job: a recording, with its video where there is one, to masks of who sounds where.

Everything goes block by block, so that an hour needs little more memory than five minutes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, islice, repeat
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from saiseld.acoustics.front_end import FrontEnd
from saiseld.data.context import in_context
from saiseld.data.recordings import Recording, open_recording
from saiseld.data.video import Frame, open_video, rgb_planes
from saiseld.decision.matchability import Matchability
from saiseld.decision.selection import emittable
from saiseld.decision.systems import System, decide, system_named
from saiseld.detector.detect import detect_frames
from saiseld.detector.model import Detector, Keep
from saiseld.formats.annotation import EnergyMask
from saiseld.formats.candidates import Candidates
from saiseld.formats.features import FRAMES_PER_BLOCK, AcousticImages
from saiseld.pipeline.weights import find_weights
from saiseld.runtime.errors import CheckpointError, RecipeError

BATCH = 8
"""Frames that go through the detector together."""

DEFAULT_SYSTEM = system_named("TASK3B_3")
"""Ranked by raw score: the better order in the calibration rooms of the packaged weights."""


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What was imaged in a recording.

    Parameters
    ----------
    recording
        The recording.
    masks
        Who sounds where, frame by frame.
    missing_pictures
        Frames without a picture, imaged with the ImageNet mean.
    """

    recording: Recording
    masks: list[EnergyMask]
    missing_pictures: int


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """What was detected in n frames in a row, and what it was detected in.

    Parameters
    ----------
    candidates
        Their detections, frames counted from the start of the recording.
    pictures
        Of each frame its picture, or None where there is none.
    audio
        (n x 2400, 4) their sound, None where acoustic images stood in for it.
    """

    candidates: Candidates
    pictures: list[Frame | None]
    audio: NDArray[np.float32] | None

    @property
    def frames(self) -> int:
        """How many frames."""
        return len(self.pictures)

    @property
    def missing_pictures(self) -> int:
        """How many of them without a picture."""
        return sum(picture is None for picture in self.pictures)


OnBlock = Callable[[Block, list[EnergyMask]], object]
"""Told each block as soon as it is imaged, with its masks."""


class Imager:
    """A trained system, loaded once and used on many recordings.

    Parameters
    ----------
    weights
        A weights folder (`saiseld.pipeline.weights`), or None for the packaged ones.

    Raises
    ------
    CheckpointError
        If the weights are not there or do not fit.
    """

    def __init__(self, weights: str | Path | None = None) -> None:
        paths = find_weights(weights)
        self.front_end = FrontEnd(paths.front_end)
        self.detector = Detector.load(paths.detector)
        reranker = paths.matchability
        self.matchability = None if reranker is None else Matchability.load(reranker)
        if self.front_end.projection != self.detector.projection:
            raise CheckpointError(
                paths.detector,
                place="projection",
                expected=f"that of {paths.front_end}, {self.front_end.projection}",
                found=self.detector.projection,
                advice="Use a front end and a detector that were trained together",
            )

    def blocks(
        self,
        recording: Recording,
        pictures: Iterable[Frame | None],
        images: Iterable[AcousticImages] | None = None,
        *,
        keep: Keep | None = emittable,
    ) -> Iterator[Block]:
        """Yield what is detected in a recording, some frames at a time.

        Parameters
        ----------
        recording
            The recording.
        pictures
            One a frame from frame 0 on; where it ends or gives None, the ImageNet mean stands in.
        images
            The recording's acoustic images if they are at hand (a features file).
        keep
            Detections that get an energy map and a distance: those that some rule can emit. None
            for all; no emitted number depends on it.
        """
        picture_of = chain(pictures, repeat(None))
        start = 0
        # What is heard waits here for its frames: with a context they come a block later.
        heard: deque[NDArray[np.float32]] = deque()
        if images is None:
            images = self.front_end.images_of(_kept(recording.blocks(FRAMES_PER_BLOCK), heard))
        for block in in_context(images, self.detector.context):
            shown = list(islice(picture_of, len(block.latent)))
            latents, planes = torch.from_numpy(block.latent), torch.from_numpy(rgb_planes(shown))
            batches = zip(torch.split(latents, BATCH), torch.split(planes, BATCH), strict=True)
            found = detect_frames(self.detector, recording.name, batches, keep=keep)
            table = replace(
                found,
                frames=recording.frames,
                frame=found.frame + np.int32(start),
                closure=block.closure[found.frame],
                diffuseness=block.diffuseness[found.frame],
                provenance={**found.provenance, "front_end": self.front_end.identity},
            )
            if self.matchability is not None:
                table = self.matchability.calibrate(table)
            yield Block(table, shown, heard.popleft() if heard else None)
            start += len(shown)

    def image(
        self,
        recording: Recording,
        video: str | Path | None = None,
        *,
        system: System | None = None,
        on_block: OnBlock = lambda block, masks: None,
    ) -> Prediction:
        """Return who sounds where in a recording.

        Parameters
        ----------
        recording
            4 or 32 channels.
        video
            Its video or folder of frames, if there is one.
        system
            What is kept and emitted, frame by frame; ``DEFAULT_SYSTEM`` if None.
        on_block
            Called with what was detected in the frames just done, and their masks.

        Raises
        ------
        RecipeError
            For a system that needs the whole recording: detect, then `saiseld emit`.
        """
        system = system or DEFAULT_SYSTEM
        if not system.frame_by_frame:
            raise RecipeError(
                "system",
                expected="one that decides frame by frame",
                found=system.name,
                advice="Image with another one and give its candidates to `saiseld emit`",
            )
        pictures = open_video(video) if video is not None else iter(())
        masks: list[EnergyMask] = []
        missing = 0
        for block in self.blocks(recording, pictures):
            found = decide(block.candidates, system)
            masks += found
            missing += block.missing_pictures
            on_block(block, found)
        return Prediction(recording, masks, missing)


@cache
def load_imager(weights: Path | None) -> Imager:
    """Return the `Imager` of a weights folder, loaded once a process."""
    return Imager(weights)


def _kept(
    blocks: Iterable[NDArray[np.float32]], kept: deque[NDArray[np.float32]]
) -> Iterator[NDArray[np.float32]]:
    for block in blocks:
        kept.append(block)
        yield block


def image(
    recording: str | Path, video: str | Path | None = None, *, weights: str | Path | None = None
) -> Prediction:
    """Image one recording; for several, make an `Imager` once.

    Examples
    --------
    >>> prediction = image("meeting.wav", "meeting.mp4")  # doctest: +SKIP
    >>> prediction.masks[0].class_id, prediction.masks[0].score  # doctest: +SKIP
    (1, 0.82)
    """
    return Imager(weights).image(open_recording(recording), video)
