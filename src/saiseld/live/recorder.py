"""What was heard, seen and found, as whole segments: WAV, MP4 and JSON of the same name.

Of a source with other channels than the four capsules these are kept too, as they came, beside the
capsules: ``<segment>.channels.wav``, which is imaged again with ``--array`` where it is named.

Each file of a segment is written under another name and renamed when the segment is whole: sound,
then pictures, then masks. So a segment that has its JSON has all, and one that was being written
when the machine stopped is not there; what it left behind the next run removes. A recording is
imaged again with ``saiseld image FOLDER --video FOLDER``: its sound is kept to the last digit, its
pictures as far as H.264 does.
"""

from __future__ import annotations

from collections import deque
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from math import inf
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self, TypeAlias

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

from saiseld.conventions.arrays import TETRAHEDRON
from saiseld.conventions.timebase import FPS, SAMPLE_RATE
from saiseld.data.recordings import CHANNELS_SUFFIX
from saiseld.formats.annotation import AnnotationWriter, annotation_writer
from saiseld.live.frames import LiveFrame
from saiseld.live.sources import Block, in_order
from saiseld.live.synchronizer import Rgb
from saiseld.runtime.files import atomic_path, output_folder, run_number

Samples: TypeAlias = NDArray[np.float32]

CRF = "18"
"""Of H.264: hardly to be told from what came."""


_SUFFIXES = (".wav", ".mp4", ".json", CHANNELS_SUFFIX)
_WAV_BYTES = 1 << 32


class Recorder:
    """Writes segments; a context.

    Parameters
    ----------
    folder
        Where they go.
    seconds
        How long one is.
    channels_rate
        Samples a second of what `add_channels` is given.

    Raises
    ------
    OutputError
        If the folder cannot be written, or the disk is full.
    """

    def __init__(self, folder: Path, seconds: float, channels_rate: int = SAMPLE_RATE) -> None:
        self._held = ExitStack()
        self._folder = output_folder(folder)
        self._run = self._held.enter_context(run_number(folder))
        self._frames = max(round(seconds * FPS), 1)
        self._segment: _Segment | None = None
        self._rate = channels_rate
        self._expected: int | None = None
        self._came: deque[tuple[float, Samples]] = deque()
        self._coming = Lock()

    def add_channels(self, block: Block) -> None:
        """Take what a source gives, all its channels; called from the thread that listens."""
        samples, expected = block.samples, self._expected
        if block.position is not None:
            samples, self._expected = in_order(block, expected)
        with self._coming:
            self._came.append((block.time, samples))

    def _channels_until(self, time: float) -> list[Samples]:
        """Return what had come at a time and was not written yet."""
        with self._coming:
            parts = []
            while self._came and self._came[0][0] <= time:
                parts.append(self._came.popleft()[1])
            return parts

    def add(self, frame: LiveFrame) -> None:
        """Write a frame; they come in order."""
        if self._segment is None or frame.frame - self._segment.first >= self._frames:
            self._end()
            name = _free_name(self._folder, self._run)
            self._segment = _Segment(self._folder / name, frame.frame, self._frames, self._rate)
        self._segment.add(frame, self._channels_until(frame.captured))

    def _end(self, *, is_last: bool = False) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
            if is_last:
                segment.add_channels(self._channels_until(inf))
            segment.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the segment that is being written: what there is of it is whole."""
        with self._held:
            self._end(is_last=True)


class _Segment:
    """The files of a segment, being written."""

    def __init__(self, target: Path, first: int, frames: int, channels_rate: int) -> None:
        self.first = first
        with ExitStack() as files:
            # The first to be opened is the last to be renamed.
            self._masks: AnnotationWriter = files.enter_context(
                annotation_writer(target.with_suffix(".json"))
            )
            self._pictures = _Pictures(target.with_suffix(".mp4"), files)
            sound = files.enter_context(atomic_path(target.with_suffix(".wav")))
            self._sound = files.enter_context(
                soundfile.SoundFile(
                    sound, "w", SAMPLE_RATE, len(TETRAHEDRON), subtype="FLOAT", format="WAV"
                )
            )
            path = target.with_name(f"{target.name}{CHANNELS_SUFFIX}")
            self._channels = _Channels(path, files, frames, channels_rate)
            self._files = files.pop_all()

    def add(self, frame: LiveFrame, channels: list[Samples]) -> None:
        number = frame.frame - self.first
        try:
            self._channels.add(channels)
            self._sound.write(frame.sound)
            if frame.picture is not None:
                self._pictures.add(frame.picture, number)
            self._masks.append(replace(mask, frame=number) for mask in frame.masks)
        except BaseException as error:
            # Whoever wrote is asked what the disk says, and nothing stays behind.
            self._files.__exit__(type(error), error, error.__traceback__)
            raise

    def add_channels(self, channels: list[Samples]) -> None:
        try:
            self._channels.add(channels)
        except BaseException as error:
            self._files.__exit__(type(error), error, error.__traceback__)
            raise

    def end(self) -> None:
        self._files.close()


class _Channels:
    """A WAV of all channels that begins with the first samples, and is absent if there are none."""

    def __init__(self, path: Path, files: ExitStack, frames: int, rate: int) -> None:
        self._path, self._frames, self._rate = path, frames, rate
        self._files = files.enter_context(ExitStack())
        self._sound: soundfile.SoundFile | None = None

    def add(self, parts: list[Samples]) -> None:
        for samples in parts:
            if self._sound is None:
                temporary = self._files.enter_context(atomic_path(self._path))
                size = 4 * samples.shape[1] * self._rate * (self._frames / FPS + 60)
                self._sound = self._files.enter_context(
                    soundfile.SoundFile(
                        temporary,
                        "w",
                        self._rate,
                        samples.shape[1],
                        subtype="FLOAT",
                        format="WAV" if size < _WAV_BYTES else "RF64",
                    )
                )
            self._sound.write(samples)


class _Pictures:
    """An MP4 that begins with its first picture, and is absent if there is none."""

    def __init__(self, path: Path, files: ExitStack) -> None:
        self._path = path
        self._files = files.enter_context(ExitStack())
        self._container: av.container.OutputContainer | None = None

    def add(self, rgb: Rgb, number: int) -> None:
        height, width = (side - side % 2 for side in rgb.shape[:2])
        if self._container is None:
            temporary = self._files.enter_context(atomic_path(self._path))
            self._container = self._files.enter_context(av.open(str(temporary), "w", format="mp4"))
            options = {"crf": CRF, "preset": "veryfast"}
            self._stream = self._container.add_stream("libx264", rate=FPS, options=options)
            self._stream.width, self._stream.height = width, height
            self._stream.pix_fmt = "yuv420p"
            self._files.callback(self._flush)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), "rgb24")
        frame.pts = number
        self._container.mux(self._stream.encode(frame))

    def _flush(self) -> None:
        assert self._container is not None
        self._container.mux(self._stream.encode(None))


def _free_name(folder: Path, run: int) -> str:
    """Return a name by the clock that no segment has yet, nor one of another run here.

    Segments that others are writing cannot be seen: the number of the run keeps names apart.
    """
    clock = datetime.now().astimezone().strftime("%Y%m%dT%H%M%S")
    name = clock if run == 1 else f"{clock}_r{run}"
    number = 1
    while any((folder / f"{name}_{number:03d}{suffix}").exists() for suffix in _SUFFIXES):
        number += 1
    return f"{name}_{number:03d}"
