"""From blocks of sound and pictures as they come to whole frames, whatever goes wrong on the way.

What is missing is filled with silence so that everything stays in its place, what comes twice or
too late is left out, samples that are no numbers are silence; each is counted.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from typing import TypeAlias

import av
import numpy as np
import soxr
from numpy.typing import NDArray

from saiseld.conventions.sphere import HEIGHT, WIDTH
from saiseld.conventions.timebase import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from saiseld.live.clock import Clock
from saiseld.runtime.errors import AudioError, VideoError

CHANNELS = 4

PATIENCE_S = 0.2
"""Sound that comes before what should have come first is kept so long; then that is missing."""

RESTART_S = 5.0
"""A block this far from its place, either way, is the first of a sender that began anew."""

PICTURE_PATIENCE = 3
"""Frames that a picture is waited for, while there is a camera."""

PICTURE_LASTS = 10
"""Frames for which a picture stands where no other follows: a camera that stops shows nothing."""

_MOST_PICTURES = 64

Rgb: TypeAlias = NDArray[np.uint8]
Picture: TypeAlias = av.VideoFrame | Rgb
"""Of any size, (H, W, 3) RGB where it is an array; the whole sphere in the usual projection."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Health:
    """What was wrong with what came.

    Parameters
    ----------
    missing, late, not_finite
        Samples a channel that were missing and are silent, that came twice or too late, that were
        no numbers and are silent.
    unpictured
        Frames without a picture.
    """

    missing: int = 0
    late: int = 0
    not_finite: int = 0
    unpictured: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """A whole frame.

    Parameters
    ----------
    frame
        Its number.
    captured
        When its last sample arrived.
    sound
        (2400, 4) samples.
    picture
        If there is one.
    """

    frame: int
    captured: float
    sound: NDArray[np.float32]
    picture: Picture | None


class InputSynchronizer:
    """Sound and pictures in, frames out.

    Parameters
    ----------
    sample_rate
        Of the sound in Hz; resampled as that of a recording is.
    video
        Whether pictures are to be expected.
    """

    def __init__(self, sample_rate: int, *, video: bool) -> None:
        self.clock, self.health = Clock(), Health()
        self._rate, self._video = sample_rate, video
        self._resampler = None
        if sample_rate != SAMPLE_RATE:
            self._resampler = soxr.ResampleStream(
                sample_rate, SAMPLE_RATE, CHANNELS, dtype="float32", quality="VHQ"
            )
        self._taken = 0  # samples at the source's rate, those filled in too
        self._last_time = 0.0
        self._base: int | None = None  # what the source calls the sample after these
        self._early: dict[int, tuple[NDArray[np.float32], float]] = {}
        self._held = np.empty((0, CHANNELS), np.float32)
        self._sounds: deque[tuple[float, NDArray[np.float32]]] = deque()
        self._first = 0  # number of the first of these
        self._pictures: deque[tuple[float, Picture | None]] = deque(maxlen=_MOST_PICTURES)
        self._current: Picture | None = None
        self._current_at = -PICTURE_LASTS

    def push(self, samples: NDArray[np.floating], time: float, position: int | None = None) -> None:
        """Take a block of sound.

        Parameters
        ----------
        samples
            (n, 4), full scale 1.
        time
            ``time.monotonic()`` when the last of them arrived.
        position
            What the source calls the first sample, counting on; with it blocks may be missing,
            come twice or in another order. Without it each follows the one before.

        Raises
        ------
        AudioError
            If there are not four channels.
        """
        if samples.ndim != 2 or samples.shape[1] != CHANNELS:
            raise AudioError(
                "live sound",
                place="channels",
                expected=f"blocks of (samples, {CHANNELS})",
                found=f"shape {samples.shape}",
                advice="A source must not change its channels while it runs",
            )
        samples = self._finite(np.asarray(samples, np.float32))
        if position is None or not len(samples):
            self._append(samples, time)
        else:
            self._place(samples, time, position)

    def picture(self, picture: Picture | None, time: float) -> None:
        """Take a picture; None says that from then on there is none.

        Parameters
        ----------
        time
            ``time.monotonic()`` when it was taken, in order.

        Raises
        ------
        VideoError
            If it is no (H, W, 3) array of bytes, twice as wide as high.
        """
        if isinstance(picture, np.ndarray) and not _is_rgb(picture):
            raise VideoError(
                "live picture",
                expected=f"({HEIGHT}, {WIDTH}, 3) bytes, or a multiple",
                found=f"shape {picture.shape} of {picture.dtype}",
            )
        self._pictures.append((time, picture))

    def _frame_at(self, time: float) -> int:
        """Return the frame from which a picture stands: as `saiseld.data.video` has it."""
        return int(np.floor(self.clock.sound_at(time) * FPS + 0.5))

    def frames(self) -> list[Taken]:
        """Return the frames that are whole and have the picture that they will have."""
        return self._pop(closing=False)

    def close(self) -> list[Taken]:
        """Return what is left; what follows the last whole frame is left out."""
        self._flush_early()
        if self._resampler is not None:
            empty = np.empty((0, CHANNELS), np.float32)
            self._hold(self._resampler.resample_chunk(empty, last=True), self._last_time)
            # It may end a sample early: the last frame is filled with silence.
            if self._first + len(self._sounds) < self._taken * FPS // self._rate:
                rest = SAMPLES_PER_FRAME - len(self._held)
                self._hold(np.zeros((rest, CHANNELS), np.float32), self._last_time)
        return self._pop(closing=True)

    def _finite(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        finite = np.isfinite(samples)
        if finite.all():
            return samples
        wrong = int((~finite.all(axis=1)).sum())
        if not self.health.not_finite:
            channel = int(np.flatnonzero(~finite.all(axis=0))[0])
            _log.warning("channel %d: samples that are no numbers are taken as 0", channel + 1)
        self.health.not_finite += wrong
        return np.where(finite, samples, np.float32(0))

    def _place(self, samples: NDArray[np.float32], time: float, position: int) -> None:
        expected = position if self._base is None else self._base
        if abs(position - expected) > RESTART_S * self._rate:
            _log.warning("the source counts anew, from %d instead of %d", position, expected)
            self._early.clear()
            expected = position
        self._base = expected
        if position in self._early:
            self.health.late += len(samples)
            return
        self._early[position] = samples, time
        ends = max(at + len(block) for at, (block, _) in self._early.items())
        self._append_early()
        if ends - self._base > PATIENCE_S * self._rate and self._early:
            self._flush_early()

    def _append_early(self) -> None:
        """Append what follows without a gap; leave out what is there already."""
        assert self._base is not None
        for position in sorted(self._early):
            if position > self._base:
                return
            samples, time = self._early.pop(position)
            overlap = min(self._base - position, len(samples))
            self.health.late += overlap
            self._base += len(samples) - overlap
            self._append(samples[overlap:], time)

    def _flush_early(self) -> None:
        """Fill every gap before what was kept."""
        while self._early:
            assert self._base is not None
            position = min(self._early)
            gap = max(position - self._base, 0)
            self.health.missing += gap
            self._append(np.zeros((gap, CHANNELS), np.float32), self._early[position][1])
            self._base += gap
            self._append_early()

    def _append(self, samples: NDArray[np.float32], time: float) -> None:
        self._taken += len(samples)
        self.clock.note(self._taken / self._rate, time)
        self._last_time = time
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(np.ascontiguousarray(samples))
        self._hold(samples, time)

    def _hold(self, samples: NDArray[np.float32], time: float) -> None:
        self._held = np.concatenate([self._held, samples])
        whole = len(self._held) // SAMPLES_PER_FRAME
        for number in range(whole):
            start = number * SAMPLES_PER_FRAME
            self._sounds.append((time, self._held[start : start + SAMPLES_PER_FRAME].copy()))
        self._held = self._held[whole * SAMPLES_PER_FRAME :]

    def _pop(self, *, closing: bool) -> list[Taken]:
        popped = []
        while self._sounds and (closing or self._is_pictured(self._first)):
            frame = self._first
            while self._pictures and (stands := self._frame_at(self._pictures[0][0])) <= frame:
                self._current_at, self._current = stands, self._pictures.popleft()[1]
            if frame - self._current_at >= PICTURE_LASTS:
                self._current = None
            self.health.unpictured += self._video and self._current is None
            time, sound = self._sounds.popleft()
            popped.append(Taken(frame, time, sound, self._current))
            self._first += 1
        return popped

    def _is_pictured(self, frame: int) -> bool:
        """Return whether no other picture can be the frame's, or it is not waited for."""
        if not self._video or len(self._sounds) > PICTURE_PATIENCE:
            return True
        latest = self._frame_at(self._pictures[-1][0]) if self._pictures else self._current_at
        return latest > frame or frame - latest >= PICTURE_LASTS


def _is_rgb(picture: NDArray[np.generic]) -> bool:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        return False
    height, width = picture.shape[:2]
    return bool(0 < 2 * height == width)


def as_rgb(picture: Picture, width: int) -> Rgb:
    """Return a picture as (width / 2, width, 3) RGB, scaled as `saiseld.data.video` scales."""
    if isinstance(picture, np.ndarray):
        if picture.shape == (width // 2, width, 3):
            return picture
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
    scaled = picture.reformat(width, width // 2, "rgb24", interpolation="BICUBIC")
    return np.asarray(scaled.to_ndarray(), np.uint8)
