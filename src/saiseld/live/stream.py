"""The stream: blocks of sound and pictures in, what is known of each frame out.

Masks are those that `saiseld image` gives for the same samples and pictures. With latency
``"exact"`` they are equal, at any lengths of blocks: the ear hears a frame in two windows, the
second of which ends up to 5 s later, and all wait for it. With ``"prompt"`` the ear's windows end
with the latest sound, a frame is known 0.5 to 1 s after it, and masks differ from those of
``exact`` where the future would have told more (docs/howto/live.md says how much). What the eye
alone decides is equal either way.

Memory is bounded: the ear holds 5 s of sound, and of frames there are those that wait for it.

Overload, by rule: work on a frame that would begin later than ``most_behind`` seconds after its
sound came is not begun. Of the eye that costs the frame, of the ear those that need the window.
Such a frame is given all the same, in its place, without masks, and counted as dropped.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.sphere import WIDTH
from saiseld.conventions.timebase import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from saiseld.data.context import with_neighbours
from saiseld.data.video import shows_something
from saiseld.decision.systems import System, decide
from saiseld.formats.annotation import EnergyMask
from saiseld.formats.candidates import Candidates
from saiseld.formats.features import AcousticImages
from saiseld.live.frames import HEAT_SHAPE, LiveFrame
from saiseld.live.intake import CHANNELS, Health, InputSynchronizer, Picture, Taken, as_rgb
from saiseld.live.measures import heat, levels, spectrum
from saiseld.live.tracks import Marker
from saiseld.pipeline.defaults import VIEWING_THRESHOLD
from saiseld.pipeline.imager import Imager
from saiseld.runtime.errors import RecipeError
from saiseld.runtime.threads import leave_own_threads_off

if TYPE_CHECKING:
    from saiseld.seld.inference import LowLatencyInference, SlidingWindowInference
    from saiseld.seld.output import SeldOutput

Latency = Literal["exact", "prompt"]

PROMPT_HOP, PROMPT_AHEAD = 5, 5
"""Frames from one window to the next, and that are waited for after a frame, where it is prompt."""

WIDEST = 1920
"""Pixels of a picture's width that are kept for looking at."""

_NAME = "live"
_PICTURED = np.ones(1, bool)


@dataclass(slots=True, eq=False)
class _Waiting:
    """A frame that is not known yet: its parts, and whether something of it was left out."""

    taken: Taken
    wants_eye: bool
    seen: Candidates | None = None
    is_dropped: bool = False


class Stream:
    """Who sounds where, as it is heard and seen. Not for several threads at once.

    Parameters
    ----------
    imager
        The system.
    video
        Whether there are pictures: without, the ear decides alone.
    latency
        ``"exact"`` or ``"prompt"``; see the module.
    sample_rate
        Of the sound in Hz.
    system
        What is kept and emitted, frame by frame; the imager's default if None.
    threshold
        Show as marks only masks scored this or more.
    most_behind
        Seconds after which work on a frame is not begun any more; None works on all, however late.
    turn
        Degrees by which the array's front points to the left of the pictures' middle: what the
        eye sees is turned to the array, and masks back to the pictures.
    clock
        What the times of blocks and pictures are of.

    Raises
    ------
    RecipeError
        For a system that needs the whole recording.
    """

    def __init__(
        self,
        imager: Imager,
        *,
        video: bool,
        latency: Latency = "prompt",
        sample_rate: int = SAMPLE_RATE,
        system: System | None = None,
        threshold: float = VIEWING_THRESHOLD,
        most_behind: float | None = None,
        turn: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._imager, self._latency = imager, latency
        self._system = system or imager.default_system
        if not self._system.frame_by_frame:
            raise RecipeError(
                "system", expected="one that decides frame by frame", found=self._system.name
            )
        self._most_behind, self._turn, self._clock = most_behind, turn, clock
        self._intake = InputSynchronizer(sample_rate, video=video)
        self._marker = Marker(threshold)
        self._waiting: deque[_Waiting] = deque()
        self._dropped = 0
        self._sees = self._system.senses == "eye" or (video and self._system.senses == "both")
        self._context = imager.detector.context if self._sees else 0
        self._images: deque[AcousticImages] = deque(maxlen=2 * self._context + 1)
        self._pending: deque[_Waiting] = deque()  # whose context is not there yet
        self._hears = self._system.senses != "eye"
        self._heard: dict[int, Candidates] = {}
        self._heard_to = 0
        if self._hears:
            self._listener = _listener(imager, latency)
            self._thread = ThreadPoolExecutor(1, "ear", initializer=leave_own_threads_off)
            self._jobs: deque[Future[list[tuple[int, int, Candidates]]]] = deque()

    def warm_up(self) -> None:
        """Do once what takes longer the first time, before there is any sound."""
        silence = np.zeros((SAMPLES_PER_FRAME, CHANNELS), np.float32)
        if self._hears:
            listener = _listener(self._imager, self._latency)
            self._thread.submit(lambda: [*listener.push(silence), *listener.close()]).result()
        if self._sees:
            (images,) = self._imager.front_end.images_of([silence])
            latent = with_neighbours(images.latent, self._context)
            self._imager.look(replace(images, latent=latent), [None], _NAME)

    @property
    def delay(self) -> float:
        """Seconds from a frame's last sample to when all is there that it is made of, at most."""
        if not self._hears:
            return self._context / FPS
        if self._latency == "prompt":
            return (PROMPT_HOP + PROMPT_AHEAD - 1) / FPS
        from saiseld.seld.output import WINDOW_FRAMES

        return (WINDOW_FRAMES - 1) / FPS

    @property
    def health(self) -> Health:
        """What was wrong with what came."""
        return self._intake.health

    @property
    def drift_ppm(self) -> float | None:
        """How much faster the microphones' clock runs than the computer's, in millionths."""
        return self._intake.clock.drift_ppm

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
            What the source calls the first sample, counting on, if it counts: then what is missing
            is filled with silence once `intake.PATIENCE_S` has passed, and what comes twice or
            later than that is left out.

        Raises
        ------
        AudioError
            If there are not four channels.
        """
        self._intake.push(samples, time, position)
        for taken in self._intake.frames():
            self._begin(taken)
        return list(self._known(wait=False))

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
        self._intake.picture(rgb, time)

    def close(self) -> list[LiveFrame]:
        """Return the frames that are left; what follows the last whole one is left out."""
        for taken in self._intake.close():
            self._begin(taken)
        while self._pending:
            self._look()
        if self._hears:
            if self._waiting or self._heard_to:
                self._jobs.append(self._thread.submit(self._hear_rest))
            frames = list(self._known(wait=True))
            self._thread.shutdown()
            return frames
        return list(self._known(wait=True))

    def _begin(self, taken: Taken) -> None:
        blind = self._system.senses == "both" and taken.picture is None
        waiting = _Waiting(taken, wants_eye=self._sees and not blind)
        self._waiting.append(waiting)
        if self._hears:
            self._jobs.append(self._thread.submit(self._hear, taken))
        # Neighbours need its acoustic image, whatever becomes of the frame itself.
        if not self._context:
            waiting.is_dropped = waiting.wants_eye and self._is_late(taken)
            if waiting.is_dropped or not waiting.wants_eye:
                return
        self._images += self._imager.front_end.images_of([taken.sound])
        self._pending.append(waiting)
        if len(self._pending) > self._context:
            self._look()

    def _look(self) -> None:
        """Let the eye look at the first frame whose context is there, or never will be."""
        waiting = self._pending.popleft()
        if not waiting.wants_eye:
            return
        if self._context and self._is_late(waiting.taken):
            waiting.is_dropped = True
            return
        own = len(self._images) - 1 - len(self._pending)
        latent = np.concatenate([images.latent for images in self._images])
        images = replace(
            self._images[own], latent=with_neighbours(latent, self._context)[own : own + 1]
        )
        picture = waiting.taken.picture
        small = None if picture is None else as_rgb(picture, WIDTH)
        if small is not None and self._turn:
            small = np.roll(small, round(self._turn), axis=1)
        if small is not None and not shows_something(small):
            small = None
            if self._system.senses == "both":
                waiting.wants_eye = False
                return
        waiting.seen = self._imager.look(images, [small], _NAME)

    def _hear(self, taken: Taken) -> list[tuple[int, int, Candidates]]:
        late = self._is_late(taken)
        return [self._decoded(heard) for heard in self._listener.push(taken.sound, late=late)]

    def _hear_rest(self) -> list[tuple[int, int, Candidates]]:
        return [self._decoded(heard) for heard in self._listener.close()]

    def _decoded(self, heard: SeldOutput) -> tuple[int, int, Candidates]:
        from saiseld.seld.decode import candidates

        made_by = {"weights": self._imager.hearing.digest}
        frames = len(heard)
        (table,) = candidates(_NAME, frames, [replace(heard, start=0)], made_by)
        return heard.start, frames, table

    def _is_late(self, taken: Taken) -> bool:
        if self._most_behind is None:
            return False
        return self._clock() - taken.captured > self._most_behind

    def _known(self, *, wait: bool) -> Iterator[LiveFrame]:
        """Yield the frames that are known; with ``wait`` all that there are."""
        while self._hears and self._jobs and (wait or self._jobs[0].done()):
            for start, frames, table in self._jobs.popleft().result():
                self._heard_to = start + frames
                for number in range(frames):
                    own = table.take(table.frame == number)
                    alone = replace(own, frame=np.zeros_like(own.frame), frames=1)
                    self._heard[start + number] = alone
            yield from self._ready()
        yield from self._ready()
        while wait and self._waiting:
            yield self._frame(self._waiting.popleft())

    def _ready(self) -> Iterator[LiveFrame]:
        while self._waiting:
            waiting = self._waiting[0]
            looked_for = waiting.wants_eye and waiting.seen is None and not waiting.is_dropped
            if looked_for or (self._hears and waiting.taken.frame >= self._heard_to):
                return
            yield self._frame(self._waiting.popleft())

    def _frame(self, waiting: _Waiting) -> LiveFrame:
        taken = waiting.taken
        heard = self._heard.pop(taken.frame, None)
        masks: tuple[EnergyMask, ...] = ()
        imaged = not waiting.is_dropped and (heard is not None or not self._hears)
        if imaged:
            table = self._table(waiting.seen, heard)
            masks = tuple(self._placed(mask, taken.frame) for mask in decide(table, self._system))
        else:
            self._dropped += 1
        picture = taken.picture
        return LiveFrame(
            frame=taken.frame,
            captured=taken.captured,
            masks=masks,
            marks=self._marker.marks(taken.frame, masks) if imaged else (),
            heat=heat(masks) if masks else np.zeros(HEAT_SHAPE, np.uint8),
            levels=levels(taken.sound),
            spectrum=spectrum(taken.sound),
            sound=taken.sound,
            picture=None if picture is None else _to_look_at(picture),
            imaged=imaged,
            dropped=self._dropped,
        )

    def _placed(self, mask: EnergyMask, frame: int) -> EnergyMask:
        """Return a mask of one frame alone as that of a stream's frame, in its pictures."""
        blobs = tuple(_turned(blob, self._turn) for blob in mask.segmentation)
        return replace(mask, frame=frame, segmentation=blobs)

    def _table(self, seen: Candidates | None, heard: Candidates | None) -> Candidates:
        """Return the candidates of one frame, as `Imager.sensed` puts them together."""
        if heard is None:
            assert seen is not None
            return seen
        if seen is None:
            return self._imager.hearing.alone(heard)
        return self._imager.hearing.together(seen, heard, 0, _PICTURED)


def _listener(imager: Imager, latency: Latency) -> SlidingWindowInference | LowLatencyInference:
    from saiseld.seld.inference import LowLatencyInference, SlidingWindowInference

    ear = imager.hearing.ear
    if latency == "exact":
        return SlidingWindowInference(ear.window, ear.recognition)
    # One view: what is lost by the missing future is more than the others would bring.
    return LowLatencyInference(ear.with_views(1).window, PROMPT_HOP, PROMPT_AHEAD, ear.recognition)


def _turned(blob: NDArray[np.float64], turn: float) -> NDArray[np.float64]:
    """Return points (n, 3) turned to the left."""
    if not turn:
        return blob
    turned = blob.copy()
    turned[:, 0] = np.mod(turned[:, 0] - turn, WIDTH)
    return turned


def _to_look_at(picture: Picture) -> NDArray[np.uint8]:
    return as_rgb(picture, min(_width(picture), WIDEST))


def _width(picture: Picture) -> int:
    return picture.shape[1] if isinstance(picture, np.ndarray) else picture.width
