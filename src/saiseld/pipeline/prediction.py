"""What was imaged in a recording, for use in Python."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.sphere import HEIGHT, WIDTH
from saiseld.conventions.timebase import SAMPLE_RATE, SAMPLES_PER_FRAME, time_of_frame
from saiseld.data.recordings import Recording
from saiseld.data.video import Frame, open_video
from saiseld.decision.linking import link
from saiseld.evaluation.rendering import render
from saiseld.formats.annotation import EnergyMask, write_annotations
from saiseld.formats.exchange import EXCHANGE_FORMATS, exchange_format_of, write_exchange
from saiseld.formats.sound_events import (
    SOUND_EVENTS_SUFFIX,
    SoundEvents,
    write_sound_events,
)
from saiseld.pipeline.defaults import VIEWING_THRESHOLD
from saiseld.pipeline.draw import draw_results, recorded_events, write_folder_page
from saiseld.pipeline.results import Results, refuse_inputs
from saiseld.runtime.errors import OutputError
from saiseld.runtime.extras import optional_module
from saiseld.runtime.files import output_folder
from saiseld.viewing.notebook import Picture, prediction_html
from saiseld.viewing.page import fullest_frame
from saiseld.viewing.panorama import draw_panorama, enlarged

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, eq=False)
class Prediction:
    """What was imaged in a recording.

    Parameters
    ----------
    recording
        The recording.
    masks
        Who sounds where, frame by frame: every guess, as the challenge wants them.
    missing_pictures
        Frames without a picture, imaged with the ImageNet mean.
    video
        Its video, if there was one.
    threshold
        Score from which a mask is shown, chosen for the weights.
    """

    recording: Recording
    masks: list[EnergyMask]
    missing_pictures: int
    video: Path | None = None
    threshold: float = VIEWING_THRESHOLD

    def __repr__(self) -> str:
        return f"Prediction({self._summary()})"

    def _repr_html_(self) -> str:
        events, visible = self._linked(None)
        return prediction_html(
            self._summary(), self._drawn(fullest_frame(visible), visible), events
        )

    def _linked(self, threshold: float | None) -> tuple[SoundEvents, list[EnergyMask]]:
        return link(
            self.masks,
            threshold=self.threshold if threshold is None else threshold,
            elevation_assumed=self.recording.elevation_assumed,
        )

    def _summary(self) -> str:
        counts = Counter(mask.class_name for mask in self.masks)
        seconds = time_of_frame(self.recording.frames)
        classes = ", ".join(sorted(counts)) or "nothing"
        return f"{self.recording.name!r}, {seconds:.1f} s: {len(self.masks)} masks of {classes}"

    @property
    def elevation_assumed(self) -> bool:
        """Whether elevations are assumed: the array that recorded is planar and hears azimuth."""
        return self.recording.elevation_assumed

    def events(self, threshold: float | None = None) -> SoundEvents:
        """Return what is credible, linked over time; ``.to_pandas()`` makes it a table.

        Parameters
        ----------
        threshold
            Leave out masks scored below this, instead of the one chosen for the weights; see
            `saiseld.decision.linking`.
        """
        return self._linked(threshold)[0]

    def table(self) -> pa.Table:
        """Return all masks as an Arrow table, one row each, without their points."""
        import pyarrow as pa

        schema = pa.schema(
            [
                ("frame", pa.int64()),
                ("time_s", pa.float64()),
                ("class_id", pa.int64()),
                ("class_name", pa.string()),
                *((name, pa.float64()) for name in ("score", "azimuth", "elevation")),
                ("distance_cm", pa.float64()),
                ("elevation_assumed", pa.bool_()),
            ]
        )
        rows: list[dict[str, Any]] = [
            {
                "frame": mask.frame,
                "time_s": time_of_frame(mask.frame),
                "class_id": mask.class_id,
                "class_name": mask.class_name,
                "score": mask.score,
                "azimuth": mask.azimuth,
                "elevation": mask.elevation,
                "distance_cm": mask.distance_cm,
                "elevation_assumed": self.elevation_assumed,
            }
            for mask in self.masks
        ]
        return pa.Table.from_pylist(rows, schema=schema)

    def to_pandas(self) -> Any:
        """Return `table` as a pandas DataFrame.

        Raises
        ------
        OutputError
            If pandas is not there; the extra ``pandas`` brings it.
        """
        optional_module("pandas", "saiseld[pandas]", "DataFrame")
        return self.table().to_pandas()

    def energy(self, frame: int) -> NDArray[np.float32]:
        """Return the (180, 360) energy of a frame: the largest of its masks, times their scores.

        Rows go from elevation 90 down to -90, columns from azimuth 180 on the left to -180.

        Raises
        ------
        IndexError
            If the recording has no such frame.
        """
        self._check(frame)
        drawn = [
            render(mask.segmentation) * (1.0 if mask.score is None else mask.score)
            for mask in self._by_frame.get(frame, [])
        ]
        if not drawn:
            return np.zeros((HEIGHT, WIDTH), np.float32)
        return enlarged(np.max(drawn, axis=0), WIDTH)

    def plot(self, frame: int, *, threshold: float | None = None) -> Picture:
        """Return an RGB picture of a frame: its credible masks over the video's.

        An array (h, w, 3) of uint8 that notebooks show; its axes are in degrees.

        Raises
        ------
        IndexError
            If the recording has no such frame.
        """
        self._check(frame)
        return self._drawn(frame, self._linked(threshold)[1])

    def play(self, start_s: float = 0.0, end_s: float | None = None) -> Any:
        """Return a player of the sound for a notebook: the mean of the four capsules.

        Parameters
        ----------
        start_s, end_s
            From when to when, in seconds; to the end if None.

        Raises
        ------
        ValueError
            If there is no sound between them.
        OutputError
            If IPython is not there.
        """
        display = optional_module("IPython.display", "ipython", "play")
        first = round(start_s * SAMPLE_RATE)
        total = self.recording.frames * SAMPLES_PER_FRAME
        last = total if end_s is None else min(round(end_s * SAMPLE_RATE), total)
        if not 0 <= first < last:
            raise ValueError(f"no sound from {start_s} to {end_s} s of {total / SAMPLE_RATE} s")
        blocks, done = [], 0
        for block in self.recording.blocks():
            blocks.append(block[max(first - done, 0) : max(last - done, 0)].mean(axis=1))
            done += len(block)
            if done >= last:
                break
        return display.Audio(np.concatenate(blocks), rate=SAMPLE_RATE)

    def _drawn(self, frame: int, visible: list[EnergyMask]) -> Picture:
        pixels = draw_panorama(
            [mask for mask in visible if mask.frame == frame],
            next(islice(self._pictures(), frame, None), None),
            title=self.recording.name,
            clock=f"{time_of_frame(frame):.1f} s",
        )
        return Picture.of(pixels)

    def save(
        self, path: str | Path, *, threshold: float | None = None, overlay: bool = True
    ) -> Path:
        """Write all results into a folder, or what a file's ending says into that file.

        Parameters
        ----------
        path
            A folder, for masks, events, overlay video and page. Or a file: ``.json`` for all masks
            in the official format, ``.events.csv`` for sound events, or an ending of
            `saiseld.formats.exchange`, such as ``.TextGrid``, ``.rttm`` or ``.txt`` (Audacity).
        threshold
            Leave out masks scored below this, of all but official masks.
        overlay
            Whether a folder gets the overlay video.

        Returns
        -------
        The page in the folder, or the file.

        Raises
        ------
        OutputError
            If it cannot be written, its ending is not known, or a file to write is one of the
            inputs.
        """
        inputs = [self.recording.path, *([] if self.video is None else [self.video])]
        path = Path(path)
        if _is_file(path):
            refuse_inputs([path], inputs)
            self._save_file(path, threshold)
            return path
        results = Results(output_folder(path), self.recording.name)
        refuse_inputs(results.files(), inputs)
        draw_results(
            results,
            self.recording,
            self.masks,
            self.video,
            threshold=self.threshold if threshold is None else threshold,
            overlay=overlay,
        )
        write_folder_page(results.folder)
        write_annotations(results.masks, self.masks)
        return results.page

    def _save_file(self, path: Path, threshold: float | None) -> None:
        events, visible = self._linked(threshold)
        format_name = exchange_format_of(path)
        if path.name.casefold().endswith(SOUND_EVENTS_SUFFIX):
            write_sound_events(path, events)
        elif format_name is not None:
            write_exchange(path, recorded_events(self.recording, events, visible), format_name)
        else:
            write_annotations(path, self.masks)

    def _check(self, frame: int) -> None:
        if not 0 <= frame < self.recording.frames:
            raise IndexError(f"frame {frame} of {self.recording.frames}")

    @cached_property
    def _by_frame(self) -> dict[int, list[EnergyMask]]:
        frames: dict[int, list[EnergyMask]] = {}
        for mask in self.masks:
            frames.setdefault(mask.frame, []).append(mask)
        return frames

    def _pictures(self) -> Iterator[Frame | None]:
        return iter(()) if self.video is None else open_video(self.video)


def _is_file(path: Path) -> bool:
    """Return whether a path has the ending of a file that can be saved."""
    if path.is_dir():
        return False
    if exchange_format_of(path) is not None or path.suffix.casefold() == ".json":
        return True
    if not path.suffix[1:].isalpha():
        return False  # a folder, such as out or out.2
    endings = [
        ".json",
        SOUND_EVENTS_SUFFIX,
        *(exchange.ending for exchange in EXCHANGE_FORMATS.values()),
    ]
    raise OutputError(
        path,
        expected=f"a folder, or a file that ends in {', '.join(endings)}",
        found=f"{path.suffix}",
        advice="A folder of such a name must be there before",
    )
