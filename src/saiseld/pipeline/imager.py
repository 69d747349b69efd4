"""The main job: a recording, with its video where there is one, to masks of who sounds where.

Everything goes block by block, so that an hour needs little more memory than five minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, islice, repeat
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from saiseld.acoustics.front_end import FrontEnd
from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.data.context import in_context
from saiseld.data.recordings import Recording, open_recording, recording_of_array
from saiseld.data.video import Frame, open_video, rgb_planes
from saiseld.decision.matchability import Matchability
from saiseld.decision.selection import emittable
from saiseld.decision.systems import System, decide
from saiseld.detector.detect import detect_frames
from saiseld.detector.model import Detector, Keep
from saiseld.formats.annotation import EnergyMask
from saiseld.formats.candidates import Candidates
from saiseld.formats.features import FRAMES_PER_BLOCK, AcousticImages
from saiseld.pipeline.defaults import DEFAULT_SYSTEM
from saiseld.pipeline.prediction import Prediction
from saiseld.pipeline.weights import find_weights
from saiseld.runtime.errors import CheckpointError, RecipeError

BATCH = 8
"""Frames that go through the detector together."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """What was detected in some frames in a row.

    Parameters
    ----------
    candidates
        Their detections, frames counted from the start of the recording.
    frames, missing_pictures
        How many frames, and how many of them without a picture.
    """

    candidates: Candidates
    frames: int
    missing_pictures: int


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
        if images is None:
            images = self.front_end.images_of(recording.blocks(FRAMES_PER_BLOCK))
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
            yield Block(table, len(shown), sum(picture is None for picture in shown))
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
        path = None if video is None else Path(video)
        return Prediction(recording, masks, missing, path)


@cache
def load_imager(weights: Path | None) -> Imager:
    """Return the `Imager` of a weights folder, loaded once a process."""
    return Imager(weights)


def image(
    recording: str | Path | None = None,
    video: str | Path | None = None,
    *,
    audio: NDArray[np.floating] | None = None,
    sample_rate: int = SAMPLE_RATE,
    weights: str | Path | None = None,
) -> Prediction:
    """Image one recording; for several, make an `Imager` once.

    Parameters
    ----------
    recording
        A recording's file.
    video
        Its video or folder of frames, if there is one.
    audio, sample_rate
        Instead of a file: samples (n, 4 or 32), and how many a second.
    weights
        A weights folder, or None for the packaged ones.

    Examples
    --------
    >>> prediction = image("meeting.wav", "meeting.mp4")  # doctest: +SKIP
    >>> prediction.events()[0].class_name, prediction.events()[0].azimuth  # doctest: +SKIP
    ('Male speech', 42.3)
    """
    if (recording is None) == (audio is None):
        raise TypeError("give either a recording's file or audio=array, sample_rate=rate")
    if audio is not None:
        opened = recording_of_array(audio, sample_rate)
    else:
        assert recording is not None
        opened = open_recording(recording)
    return Imager(weights).image(opened, video)
