"""The main job: a recording, with its video where there is one, to masks of who sounds where.

Everything goes block by block, so that an hour needs little more memory than five minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import chain, islice, repeat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saiseld.acoustics.front_end import FrontEnd
from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.data.context import in_context
from saiseld.data.recordings import Recording, open_recording, recording_of_array
from saiseld.data.video import Frame, open_video, rgb_planes, shows_something
from saiseld.decision.matchability import Matchability
from saiseld.decision.selection import emittable
from saiseld.decision.systems import Senses, System, decide
from saiseld.detector.detect import candidate_table, load_detector
from saiseld.detector.detections import Found, Keep
from saiseld.formats.annotation import EnergyMask
from saiseld.formats.candidates import Candidates
from saiseld.formats.features import AcousticImages
from saiseld.pipeline.defaults import DEFAULT_SYSTEM, EYE_SYSTEM
from saiseld.pipeline.hearing import Hearing
from saiseld.pipeline.prediction import Prediction
from saiseld.pipeline.weights import find_weights
from saiseld.runtime.devices import DeviceName, device_if, device_of
from saiseld.runtime.errors import CheckpointError, RecipeError
from saiseld.runtime.threads import in_threads, one_blas_thread, threads_here

BATCH = 8
"""Frames that go through the detector together."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """What was detected in some frames in a row.

    Parameters
    ----------
    candidates
        Their detections, frames counted from the start of the recording.
    start
        Number of the first frame.
    pictured
        (n,) whether a frame had a picture.
    """

    candidates: Candidates
    start: int
    pictured: NDArray[np.bool_]

    @property
    def frames(self) -> int:
        """How many frames."""
        return len(self.pictured)

    @property
    def missing_pictures(self) -> int:
        """How many of them without a picture."""
        return int(np.sum(~self.pictured))


OnBlock = Callable[[Block, list[EnergyMask]], object]
"""Told each block as soon as it is imaged, with its masks."""


class Imager:
    """A trained system, loaded once and used on many recordings.

    Parameters
    ----------
    weights
        A weights folder (`saiseld.pipeline.weights`), or None for the packaged ones.
    device
        ``auto``, ``cpu``, ``cuda`` or ``mps``; auto takes a GPU where torch finds one.
    half
        Whether a GPU computes in 16 bits; a CPU never does.
    fast
        Whether the eye multiplies bytes and the ear looks once, on the CPU: half of the time,
        scores that differ a little (docs/performance.md#fast).
    threads
        Batches of frames at a time; as many as there are cores if None
        (`saiseld.runtime.threads.threads_here`). No number depends on it.

    Raises
    ------
    CheckpointError
        If the weights are not there or do not fit.
    DeviceError
        If the device is not there.
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        *,
        device: DeviceName = "auto",
        half: bool = False,
        fast: bool = False,
        threads: int | None = None,
    ) -> None:
        self.weights = paths = find_weights(weights)
        self.fast = fast
        self._device = runs_on = device_of(device_if(fast, device))
        self._threads = threads_here() if threads is None else threads
        self.front_end = FrontEnd(paths.front_end, device=runs_on, threads=self._threads)
        self.detector = load_detector(paths.detector, runs_on, half=half, fast=fast)
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

    def pictures(self, video: str | Path | None) -> Iterator[Frame | None]:
        """Yield a video's pictures as the detector is shown them; none if there is no video."""
        if video is None:
            return iter(())
        return open_video(video, scaling=self.detector.frame_scaling)

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
            One a frame from frame 0 on; where it ends or gives None, or one that shows nothing (a
            covered lens), the ImageNet mean stands in.
        images
            The recording's acoustic images if they are at hand (a features file).
        keep
            Detections that get an energy map and a distance: those that some rule can emit. None
            for all; no emitted number depends on it.
        """
        if images is None:
            images = self.front_end.images(recording)
        batches = _batches(in_context(images, self.detector.context), chain(pictures, repeat(None)))

        def find(batch: _Batch) -> tuple[_Batch, list[Found]]:
            return batch, self.detector.find(rgb_planes(batch.shown), batch.latent, keep=keep)

        start = 0
        frames: list[Found] = []
        for batch, found in in_threads(find, batches, self._threads):
            frames += found
            if batch.is_last:
                table = self._table(recording.name, recording.frames, frames, start, batch.images)
                pictured = [picture is not None for picture in batch.pictures]
                yield Block(table, start, np.array(pictured))
                start += len(frames)
                frames = []

    def look(
        self, images: AcousticImages, pictures: Sequence[Frame | None], name: str
    ) -> Candidates:
        """Return what is detected in a few frames in a row, numbered from 0.

        Parameters
        ----------
        images
            Of the frames, their latents in context (`saiseld.data.context`).
        pictures
            One a frame; where it is None, the ImageNet mean stands in.
        name
            Of what they are from.
        """
        found = self.detector.find(rgb_planes(pictures), images.latent, keep=emittable)
        return self._table(name, len(found), found, 0, images)

    def _table(
        self, name: str, of: int, frames: Sequence[Found], start: int, images: AcousticImages
    ) -> Candidates:
        """Return what was found in frames in a row, the first of them number ``start``."""
        found = candidate_table(self.detector, name, frames)
        table = replace(
            found,
            frames=of,
            frame=found.frame + np.int32(start),
            closure=images.closure[found.frame],
            diffuseness=images.diffuseness[found.frame],
            provenance={
                **found.provenance,
                "front_end": self.front_end.identity,
                **({"fast": True} if self.fast else {}),
            },
        )
        return table if self.matchability is None else self.matchability.calibrate(table)

    @property
    def default_system(self) -> System:
        """Eye and ear together where the weights hold an ear, else the eye's."""
        return DEFAULT_SYSTEM if self.weights.can_hear else EYE_SYSTEM

    @cached_property
    def hearing(self) -> Hearing:
        """The ear, loaded when it is first asked for."""
        views = 1 if self.fast else None
        return Hearing(self.weights.ear, self.weights.fusion, self._device, views=views)

    def sensed(
        self, recording: Recording, video: str | Path | None, senses: Senses
    ) -> Iterator[Block]:
        """Yield the candidates of eye, ear or both; of the ear alone where there is no picture.

        Parameters
        ----------
        recording
            The recording.
        video
            Its video or folder of frames, if there is one.
        senses
            What to ask.
        """
        if senses == "eye":
            yield from self.blocks(recording, self.pictures(video))
        elif senses == "ear" or video is None:
            for heard in self.hearing.blocks(recording):
                table = self.hearing.alone(heard.table)
                yield Block(table, heard.start, np.zeros(heard.frames, bool))
        else:
            heard_until = self.hearing.reader(recording)
            for block in self.blocks(recording, self.pictures(video)):
                ear = heard_until(block.start + block.frames)
                eye = block.candidates
                table = self.hearing.together(eye, ear, block.start, block.pictured)
                yield replace(block, candidates=table)

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
            What is kept and emitted, frame by frame; `default_system` if None.
        on_block
            Called with what was detected in the frames just done, and their masks.

        Raises
        ------
        RecipeError
            For a system that needs the whole recording: detect, then `saiseld emit`.
        """
        system = system or self.default_system
        if not system.frame_by_frame:
            raise RecipeError(
                "system",
                expected="one that decides frame by frame",
                found=system.name,
                advice="Image with another one and give its candidates to `saiseld emit`",
            )
        masks: list[EnergyMask] = []
        missing = 0
        with one_blas_thread():
            for block in self.sensed(recording, video, system.senses):
                found = decide(block.candidates, system)
                masks += found
                missing += block.missing_pictures
                on_block(block, found)
        path = None if video is None else Path(video)
        return Prediction(recording, masks, missing, path)


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """Some frames of a block, from ``start`` on."""

    images: AcousticImages
    pictures: list[Frame | None]
    start: int

    @property
    def latent(self) -> NDArray[np.float32]:
        return self.images.latent[self.start : self.start + BATCH]

    @property
    def shown(self) -> list[Frame | None]:
        return self.pictures[self.start : self.start + BATCH]

    @property
    def is_last(self) -> bool:
        return self.start + BATCH >= len(self.pictures)


def _batches(
    blocks: Iterable[AcousticImages], picture_of: Iterator[Frame | None]
) -> Iterator[_Batch]:
    for images in blocks:
        given = islice(picture_of, len(images.latent))
        pictures = [p if p is not None and shows_something(p) else None for p in given]
        for start in range(0, len(pictures), BATCH):
            yield _Batch(images, pictures, start)


@cache
def load_imager(
    weights: Path | None, device: DeviceName = "auto", half: bool = False, fast: bool = False
) -> Imager:
    """Return the `Imager` of a weights folder, loaded once a process."""
    return Imager(weights, device=device, half=half, fast=fast)


def image(
    recording: str | Path | None = None,
    video: str | Path | None = None,
    *,
    audio: NDArray[np.floating] | None = None,
    sample_rate: int = SAMPLE_RATE,
    weights: str | Path | None = None,
    device: DeviceName = "auto",
    fast: bool = False,
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
    device
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    fast
        Half of the time on a CPU, scores that differ a little; see `Imager`.

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
    return Imager(weights, device=device, fast=fast).image(opened, video)
