"""Streaming inference: the windows of a recording, and how their outputs become frames.

`SlidingWindowInference` runs windows of 5 s that begin every 2.5 s from the first frame on, so
a frame is computed twice, once with the sound before it and once with the sound after it; the two
outputs are blended, with more weight the nearer the frame is to the middle of the window. Windows
begin at fixed frames of the recording, so the numbers do not depend on the block lengths. A frame
is complete 2.5 to 5 s after it began.

`LowLatencyInference` does not wait: its windows end with the latest sound.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Protocol

import numpy as np
from scipy.special import logit

from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.conventions.timebase import SAMPLE_RATE, SAMPLES_PER_FRAME
from saiseld.runtime.errors import AudioError
from saiseld.seld.inputs import CHANNELS
from saiseld.seld.output import MAPS, ROWS, WINDOW_FRAMES, Array, SeldOutput

HOP_FRAMES = WINDOW_FRAMES // 2
"""From one window to the next."""

BEFORE_FRAMES, AFTER_FRAMES = 10, 5
"""Frames of sound before and after its own that a refinement is given: an encoder needs context."""

DEAD_DB = 50.0
"""A channel this far below the loudest is taken for dead."""

SILENT_RMS = 1e-5
"""Frames below this, -100 dB of full scale, are silence: nothing is heard in them."""

_LOW_HZ = (60.0, 250.0)
_UNLIKE = 0.2
_log = logging.getLogger(__name__)


class Window(Protocol):
    """What hears a window of sound; see `saiseld.seld.audio_branch.AudioBranch.window`."""

    def __call__(self, audio: Array, /, *, last: int | None = None) -> Array:
        """Return what is heard in the last frames of (4, T x 2400) samples, in all without it."""
        ...


class Refinement(Protocol):
    """What refines an output by the sound round it; see `saiseld.seld.recogniser`."""

    def __call__(self, output: SeldOutput, audio: Array, before: int, /) -> SeldOutput:
        """Return the output of T frames refined.

        Parameters
        ----------
        output
            Of T frames.
        audio
            (n, 4) samples of whole frames: ``before`` frames, the T frames, and what follows.
        before
            See ``audio``.
        """
        ...


class SlidingWindowInference:
    """Hears a recording as it comes; see the module.

    Parameters
    ----------
    window
        What hears a window.
    refinement
        What refines the outputs, each frame once; nothing if None.
    """

    def __init__(self, window: Window, refinement: Refinement | None = None) -> None:
        self._window, self._refinement = window, refinement
        self._held = np.empty((0, CHANNELS), np.float32)
        self._past = np.empty((0, CHANNELS), np.float32)
        self._start = 0
        # Second half of the window before, waiting for the first half of the next one.
        self._waiting: Array | None = None

    def push(self, audio: Array, *, late: bool = False) -> Iterator[SeldOutput]:
        """Yield what is known now, `HOP_FRAMES` at a time.

        Parameters
        ----------
        audio
            (n, 4) the samples that follow, any number, at 24 kHz.
        late
            Whether there is no time to hear the window that these complete: of the frames that
            need it nothing is told.

        Raises
        ------
        AudioError
            If it has not four channels.
        """
        self._held = np.concatenate([self._held, checked(audio)])
        while len(self._held) >= WINDOW_FRAMES * SAMPLES_PER_FRAME:
            yield from self._next(WINDOW_FRAMES, late)

    def close(self) -> Iterator[SeldOutput]:
        """Yield the rest; what is left after the last whole frame is not heard.

        Raises
        ------
        AudioError
            If there was not one whole frame.
        """
        frames = len(self._held) // SAMPLES_PER_FRAME
        if not self._start and not frames:
            raise AudioError("audio", expected="at least one frame (100 ms)", found="less")
        while frames > 0:
            yield from self._next(frames, False)
            frames -= HOP_FRAMES

    def _next(self, frames: int, late: bool) -> Iterator[SeldOutput]:
        """Yield what is known of the next hop, hearing the ``frames`` that are held of its window.

        Nothing if half of the answer is missing.
        """
        start, count = self._start, min(frames, HOP_FRAMES)
        audio = self._held[: frames * SAMPLES_PER_FRAME]
        before, values = self._waiting, None
        if start and frames == count:  # The window before reached the end.
            values = before
        elif late:
            self._waiting = None
        else:
            if not start:
                _warn_of_doubts(audio)
            whole = self._window(audio.T)
            values, self._waiting = whole[:count], whole[count:]
            if start and before is not None:
                rising = ((np.arange(count) + 0.5) / count).astype(np.float32)[:, None]
                values = rising * values + (1 - rising) * before[:count]
            elif start:
                values = None
        self._held = self._held[HOP_FRAMES * SAMPLES_PER_FRAME :]
        self._start += HOP_FRAMES
        past, sound = self._past, audio[: count * SAMPLES_PER_FRAME]
        if self._refinement is not None:
            self._past = np.concatenate([past, sound])[-BEFORE_FRAMES * SAMPLES_PER_FRAME :]
        if values is not None:
            output = _seld_output(start, values[:count], audio)
            if self._refinement is not None:
                near = audio[: (count + AFTER_FRAMES) * SAMPLES_PER_FRAME]
                count_past = len(past) // SAMPLES_PER_FRAME
                output = self._refinement(output, np.concatenate([past, near]), count_past)
            yield output


class LowLatencyInference:
    """Hears the latest sound, with little of what comes after it.

    Every ``hop`` frames the last 5 s are heard anew; of these, the frames that are ``ahead`` frames
    or more from the end and were not told yet are told.

    Parameters
    ----------
    window
        What hears a window.
    hop
        Frames from one window to the next.
    ahead
        Frames that are waited for after a frame.
    refinement
        What refines the outputs; nothing if None.
    """

    def __init__(
        self, window: Window, hop: int, ahead: int, refinement: Refinement | None = None
    ) -> None:
        self._window, self._hop, self._ahead = window, hop, ahead
        self._refinement = refinement
        self._held = np.empty((0, CHANNELS), np.float32)
        self._first = 0  # frame that the samples that are held begin with
        self._start = 0  # frame that is told next
        self._is_doubted = False

    def push(self, audio: Array, *, late: bool = False) -> Iterator[SeldOutput]:
        """Yield what is known now; see `SlidingWindowInference.push`."""
        self._held = np.concatenate([self._held, checked(audio)])
        while (end := self._start + self._hop + self._ahead) <= self._end:
            yield from self._next(end, end - self._ahead, late)

    def close(self) -> Iterator[SeldOutput]:
        """Yield the rest; what is left after the last whole frame is not heard."""
        if self._start < self._end:
            yield from self._next(self._end, self._end, False)

    @property
    def _end(self) -> int:
        return self._first + len(self._held) // SAMPLES_PER_FRAME

    def _next(self, end: int, until: int, late: bool) -> Iterator[SeldOutput]:
        """Yield what is known of the frames up to ``until``, hearing the window up to ``end``."""
        first = max(self._first, end - WINDOW_FRAMES)
        self._held = self._held[(first - self._first) * SAMPLES_PER_FRAME :]
        self._first = first
        if not late:
            audio = self._held[: (end - first) * SAMPLES_PER_FRAME]
            if first and not self._is_doubted:  # once there is a whole window
                self._is_doubted = True
                _warn_of_doubts(audio)
            values = self._window(audio.T, last=end - self._start)[: until - self._start]
            offset = self._start - first
            output = _seld_output(self._start, values, audio[offset * SAMPLES_PER_FRAME :])
            if self._refinement is not None:
                before = min(offset, BEFORE_FRAMES)
                near = audio[(offset - before) * SAMPLES_PER_FRAME :]
                output = self._refinement(output, near, before)
            yield output
        self._start = until


def checked(audio: Array) -> Array:
    """Return samples (n, 4) in single precision.

    Raises
    ------
    AudioError
        If they have another shape.
    """
    if audio.ndim != 2 or audio.shape[1] != CHANNELS:
        expected = f"blocks of (samples, {CHANNELS})"
        raise AudioError("audio", expected=expected, found=f"shape {audio.shape}")
    return np.asarray(audio, np.float32)


def doubts(audio: Array) -> list[str]:
    """Return what is odd about channels that should be four capsules of a small sphere.

    Waves of 60 to 250 Hz are far longer than it, so capsules hear them alike, while the channels of
    first-order ambisonics hear them by their patterns, with either sign.

    Parameters
    ----------
    audio
        (N, 4) samples at 24 kHz.
    """
    power = np.square(audio).mean(0)
    if power.max() < SILENT_RMS**2:
        return []
    dead = np.flatnonzero(power < power.max() * 10 ** (-DEAD_DB / 10))
    if len(dead):
        return [f"channel {number + 1} is dead" for number in dead]
    spectrum = np.fft.rfft(audio - audio.mean(0), axis=0)
    frequency = np.fft.rfftfreq(len(audio), 1 / SAMPLE_RATE)
    low = spectrum[(frequency > _LOW_HZ[0]) & (frequency < _LOW_HZ[1])]
    if not len(low):
        return []
    cross = (low.conj().T @ low).real
    alike = cross / np.sqrt(np.outer(np.diag(cross), np.diag(cross)) + 1e-20)
    if alike.min() < _UNLIKE:
        return ["long waves differ between channels: is this ambisonics (FOA), not capsules (MIC)?"]
    return []


def _warn_of_doubts(audio: Array) -> None:
    for doubt in doubts(audio):
        _log.warning("%s", doubt)


def _seld_output(start: int, values: Array, audio: Array) -> SeldOutput:
    """Return what a window's numbers say of frames of which ``audio`` holds the samples first."""
    count = len(values)
    maps = values[:, ROWS : ROWS + MAPS].reshape(count, ROWS, -1)
    sound = audio[: count * SAMPLES_PER_FRAME].reshape(count, -1)
    return SeldOutput(
        start,
        _logit(values[:, :NUM_CLASSES]),
        _logit(maps[:, :NUM_CLASSES]),
        _logit(maps[:, NUM_CLASSES]),
        100 * np.exp(values[:, ROWS + MAPS :]),
        np.square(sound).mean(1) < SILENT_RMS**2,
    )


def _logit(likely: Array) -> Array:
    return np.asarray(logit(np.clip(likely, 1e-6, 1 - 1e-6)), np.float32)
