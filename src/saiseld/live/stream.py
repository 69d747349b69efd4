"""The stream: blocks of audio and pictures in, what is known of each frame out.

The engine of `saiseld image` makes the rows (`saiseld.pipeline.engine`); this adds what live input
needs: samples and pictures put on one clock, a picture's turn against the array, marks and
measures. With latency ``"exact"`` masks are equal to those of `saiseld image` for the same samples
and pictures, at any lengths of blocks. With ``"low"`` the audio branch's windows end with the
latest sound, a frame is known 0.5 to 1 s after it, and masks differ from those of ``exact`` where
the future would have told more (docs/howto/live.md says how much). What the detector alone decides
is equal either way.

Memory is bounded: the audio branch holds 5 s of sound, and frames wait for it that long at most.

Overload, by rule (`saiseld.pipeline.engine.Backpressure`): where work begins later than
``skip_lag_s`` seconds after a frame's sound came, every second picture is passed over, and what was
seen in the one before stands for it; where it would begin later than ``max_lag_s`` it is not begun.
Such a frame is given all the same, in its place, without masks, and counted as dropped.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.sphere import WIDTH
from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.decision.systems import System, decide, system_named
from saiseld.formats.annotation import EnergyMask
from saiseld.live.frames import HEAT_SHAPE, LiveFrame
from saiseld.live.measures import heat, levels, spectrum
from saiseld.live.synchronizer import Health, InputSynchronizer, Picture, Taken, as_rgb
from saiseld.live.tracks import Marker
from saiseld.pipeline.defaults import VIEWING_THRESHOLD, branches_for
from saiseld.pipeline.engine import Backpressure, Block, Engine, Latency
from saiseld.pipeline.imager import Imager
from saiseld.runtime.errors import RecipeError

WIDEST = 1920
"""Pixels of a picture's width that are kept for looking at."""

LATENCIES: dict[str, Latency] = {"low": "low", "exact": "exact"}
_OLD_LATENCY = "prompt"
_log = logging.getLogger(__name__)


def latency_named(name: str) -> Latency:
    """Return a latency by name; that of version 0.2 is taken, with a notice.

    Raises
    ------
    RecipeError
        If there is no such latency.
    """
    if name == _OLD_LATENCY:
        _log.warning("latency 'prompt' is called 'low' now; 0.4 will not know the old name")
        return "low"
    if name not in LATENCIES:
        raise RecipeError("latency", expected=" or ".join(LATENCIES), found=name)
    return LATENCIES[name]


class Stream:
    """Who sounds where, as it is heard and seen. Not for several threads at once.

    Parameters
    ----------
    imager
        The system's networks.
    video
        Whether there are pictures: without, the audio branch decides alone.
    latency
        ``"exact"`` or ``"low"``; see the module.
    sample_rate
        Of the sound in Hz.
    system
        What is kept and emitted, frame by frame, or its name; the imager's default if None.
    threshold
        Show as marks only masks scored this or more.
    max_lag_s
        Seconds after which work on a frame is not begun any more; None works on all, however late.
    skip_lag_s
        Seconds after which every second picture is passed over; None looks at all.
    yaw_deg
        Degrees by which the array's front points to the left of the pictures' middle: what the
        detector is shown is turned to the array, and masks back to the pictures.
    elevation_assumed
        Whether the array is planar, so that elevations are assumed; frames say it.
    clock
        What the times of blocks and pictures are of.

    Raises
    ------
    RecipeError
        For a system that needs the whole recording.
    CheckpointError
        For a system that needs a branch that the weights do not hold.
    """

    def __init__(
        self,
        imager: Imager,
        *,
        video: bool,
        latency: Latency = "low",
        sample_rate: int = SAMPLE_RATE,
        system: System | str | None = None,
        threshold: float = VIEWING_THRESHOLD,
        max_lag_s: float | None = None,
        skip_lag_s: float | None = None,
        yaw_deg: float = 0.0,
        elevation_assumed: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if isinstance(system, str):
            system = system_named(system)
        self._system = system or imager.default_system
        self._models = imager.networks.decision_models
        if not self._models.frame_by_frame(self._system):
            raise RecipeError(
                "system", expected="one that decides frame by frame", found=self._system.name
            )
        self._yaw_deg, self._elevation_assumed = yaw_deg, elevation_assumed
        self._input = InputSynchronizer(sample_rate, video=video)
        self._marker = Marker(threshold)
        self.waiting: deque[Taken] = deque()
        self._dropped = 0
        branches = branches_for(self._system, video=video)
        self._needs_picture = "detector" in branches
        self._engine = Engine(
            imager.networks,
            branches,
            video=video,
            latency=latency,
            backpressure=Backpressure(
                blocks=False, max_lag_s=max_lag_s, skip_lag_s=skip_lag_s, clock=clock
            ),
            only_pictured=self._system.is_fused,
        )

    def warm_up(self) -> None:
        """Do once what takes longer the first time, before there is any sound."""
        self._engine.warm_up()

    @property
    def delay(self) -> float:
        """Seconds from a frame's last sample to when all is there that it is made of, at most."""
        return self._engine.delay

    @property
    def health(self) -> Health:
        """What was wrong with what came."""
        return self._input.health

    @property
    def drift_ppm(self) -> float | None:
        """How much faster the microphones' clock runs than the computer's, in millionths."""
        return self._input.clock.drift_ppm

    def push(
        self, samples: NDArray[np.floating], time: float, position: int | None = None
    ) -> list[LiveFrame]:
        """Take a block of sound and return the frames that are known now, in order.

        Parameters
        ----------
        samples
            (n, 4), any n, full scale 1. Samples that are no numbers are taken as 0 and counted.
        time
            ``time.monotonic()`` when the last of them arrived.
        position
            The source's number of the first sample, if it counts them: then gaps are filled with
            silence once `synchronizer.PATIENCE_S` has passed, and samples that come twice or later
            than that are left out.

        Raises
        ------
        AudioError
            If there are not four channels.
        """
        self._input.push(samples, time, position)
        return list(self._given(self._input.frames()))

    def picture(self, rgb: Picture | None, time: float) -> None:
        """Take a picture, in order; None says that from then on there is none.

        It stands for the frames from the nearest beginning of one on, for a second at most if no
        other follows. A frame waits up to 0.3 s for its picture while there is a camera.

        Parameters
        ----------
        rgb
            (H, W, 3) RGB bytes, or as PyAV decodes it; a panorama twice as wide as high.
        time
            ``time.monotonic()`` when it was taken; put where the microphones' clock was then
            (`saiseld.live.clock`).

        Raises
        ------
        VideoError
            If it is no picture of this kind.
        """
        self._input.picture(rgb, time)

    def close(self) -> list[LiveFrame]:
        """Return the frames that are left; what follows the last whole one is left out."""
        frames = list(self._given(self._input.close()))
        return frames + list(self._of_blocks(self._engine.close()))

    def _given(self, taken: Iterable[Taken]) -> Iterator[LiveFrame]:
        for one in taken:
            self.waiting.append(one)
            blocks = self._engine.push(one.sound, [self._picture_of(one)], captured=one.captured)
            yield from self._of_blocks(blocks)
        yield from self._of_blocks(self._engine.push(None))

    def _picture_of(self, taken: Taken) -> NDArray[np.uint8] | None:
        """Return a frame's picture as the detector is shown it, turned to the array."""
        if taken.picture is None or not self._needs_picture:
            return None
        small = as_rgb(taken.picture, WIDTH)
        return np.roll(small, round(self._yaw_deg), axis=1) if self._yaw_deg else small

    def _of_blocks(self, blocks: Iterable[Block]) -> Iterator[LiveFrame]:
        for block in blocks:
            masks: dict[int, list[EnergyMask]] = {}
            for mask in decide(block.candidates, self._system, self._models):
                masks.setdefault(mask.frame, []).append(self._placed(mask))
            for processed in block.processed:
                taken = self.waiting.popleft()
                yield self._frame(taken, tuple(masks.get(taken.frame, ())), bool(processed))

    def _frame(self, taken: Taken, masks: tuple[EnergyMask, ...], processed: bool) -> LiveFrame:
        self._dropped += not processed
        picture = taken.picture
        return LiveFrame(
            frame=taken.frame,
            captured=taken.captured,
            masks=masks,
            marks=self._marker.marks(taken.frame, masks) if processed else (),
            heat=heat(masks) if masks else np.zeros(HEAT_SHAPE, np.uint8),
            levels=levels(taken.sound),
            spectrum=spectrum(taken.sound),
            sound=taken.sound,
            picture=None if picture is None else _to_look_at(picture),
            imaged=processed,
            dropped=self._dropped,
            skipped=self._engine.skipped,
            elevation_assumed=self._elevation_assumed,
        )

    def _placed(self, mask: EnergyMask) -> EnergyMask:
        """Return a mask in the pictures' directions."""
        if not self._yaw_deg:
            return mask
        blobs = tuple(_turned(blob, self._yaw_deg) for blob in mask.segmentation)
        return replace(mask, segmentation=blobs)


def _turned(blob: NDArray[np.float64], yaw_deg: float) -> NDArray[np.float64]:
    """Return points (n, 3) turned to the left."""
    turned = blob.copy()
    turned[:, 0] = np.mod(turned[:, 0] - yaw_deg, WIDTH)
    return turned


def _to_look_at(picture: Picture) -> NDArray[np.uint8]:
    return as_rgb(picture, min(_width(picture), WIDEST))


def _width(picture: Picture) -> int:
    return picture.shape[1] if isinstance(picture, np.ndarray) else picture.width
