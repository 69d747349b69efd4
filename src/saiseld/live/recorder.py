"""What was heard, seen and found, as whole segments: WAV, MP4 and JSON of the same name.

Each file of a segment is written under another name and renamed when the segment is whole: sound,
then pictures, then masks. So a segment that has its JSON has all, and one that was being written
when the machine stopped is not there; what it left behind the next run removes. A recording is
imaged again with ``saiseld image FOLDER --video FOLDER``: its sound is kept to the last digit, its
pictures as far as H.264 does.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
import soundfile

from saiseld.conventions.arrays import TETRAHEDRON
from saiseld.conventions.timebase import FPS, SAMPLE_RATE
from saiseld.formats.annotation import AnnotationWriter, annotation_writer
from saiseld.live.frames import LiveFrame
from saiseld.live.intake import Rgb
from saiseld.runtime.files import atomic_path, output_folder, run_number

CRF = "18"
"""Of H.264: hardly to be told from what came."""


_SUFFIXES = (".wav", ".mp4", ".json")


class Recorder:
    """Writes segments; a context.

    Parameters
    ----------
    folder
        Where they go.
    seconds
        How long one is.

    Raises
    ------
    OutputError
        If the folder cannot be written, or the disk is full.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self._held = ExitStack()
        self._folder = output_folder(folder)
        self._run = self._held.enter_context(run_number(folder))
        self._frames = max(round(seconds * FPS), 1)
        self._segment: _Segment | None = None

    def add(self, frame: LiveFrame) -> None:
        """Write a frame; they come in order."""
        if self._segment is None or frame.frame - self._segment.first >= self._frames:
            self._end()
            self._segment = _Segment(
                self._folder / _free_name(self._folder, self._run), frame.frame
            )
        self._segment.add(frame)

    def _end(self) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
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
            self._end()


class _Segment:
    """The three files of a segment, being written."""

    def __init__(self, target: Path, first: int) -> None:
        self.first = first
        self._target = target
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
            self._files = files.pop_all()

    def add(self, frame: LiveFrame) -> None:
        number = frame.frame - self.first
        try:
            self._sound.write(frame.sound)
            if frame.picture is not None:
                self._pictures.add(frame.picture, number)
            self._masks.append(replace(mask, frame=number) for mask in frame.masks)
        except BaseException as error:
            # Whoever wrote is asked what the disk says, and nothing stays behind.
            self._files.__exit__(type(error), error, error.__traceback__)
            raise

    def end(self) -> None:
        self._files.close()


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
