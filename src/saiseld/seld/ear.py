"""The ear: four channels in, class and direction ten times a second out, for any length.

A recording is heard in windows of 5 s that begin every 2.5 s from its first frame on, so a frame is
heard twice, with what came before and with what came after; the two answers are blended, the nearer
a frame is to the middle of a window the more it counts. Where windows begin depends on nothing but
the recording: whatever the blocks that it comes in, the numbers are the same.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logit

from saiseld.conventions.taxonomy import CLASS_NAMES, NUM_CLASSES
from saiseld.conventions.timebase import SAMPLE_RATE, SAMPLES_PER_FRAME
from saiseld.formats.checkpoint import load_weights, read_checkpoint, write_checkpoint
from saiseld.runtime.errors import AudioError, CheckpointError
from saiseld.seld.inputs import CHANNELS, inputs
from saiseld.seld.network import (
    GRID,
    ROWS,
    VIEWS,
    WINDOW_FRAMES,
    EarNetwork,
    frame_embeddings,
    smoothing,
)
from saiseld.seld.priors import PRIORS, Prior, no_gradient

KIND = "seld"

HOP_FRAMES = WINDOW_FRAMES // 2
"""From one window to the next."""

SMOOTH_FRAMES = 11
"""Frames over which probabilities are averaged: sounds last, and doubts do not."""

DEAD_DB = 50.0
"""A channel this far below the loudest is taken for dead."""

SILENT_RMS = 1e-5
"""Frames below this, -100 dB of full scale, are silence: nothing is heard in them."""

Array = NDArray[np.float32]

_LOW_HZ = (60.0, 250.0)
_UNLIKE = 0.2
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What is heard in T frames.

    Parameters
    ----------
    start
        Number of the first frame in the recording.
    classes
        (T, 13) logit of whether a class sounds.
    maps
        (T, 13, 484) logit of whether it sounds from a direction of the grid
        (`saiseld.conventions.sphere.fibonacci_sphere`).
    anything
        (T, 484) the same of anything.
    distance_cm
        (T, 13) to the nearest source of a class, if it sounds.
    silent
        (T,) whether the frame holds no sound at all.
    """

    start: int
    classes: Array
    maps: Array
    anything: Array
    distance_cm: Array
    silent: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.classes)


class Seld:
    """Prior and network.

    Parameters
    ----------
    prior_name, prior
        Encoder that others trained, and the name it is known by.
    network
        The ear's own.
    header
        What is to be known of the weights.
    views
        How many of the network's `VIEWS` are averaged: all hear better, one is faster.
    """

    def __init__(
        self,
        prior_name: str,
        prior: Prior,
        network: EarNetwork,
        header: Mapping[str, Any] | None = None,
        *,
        views: int = len(VIEWS),
    ) -> None:
        self.prior_name, self.prior, self.network = prior_name, prior, network
        self.header = dict(header or {})
        self.views = views

    @classmethod
    def load(cls, path: str | Path, *, views: int = len(VIEWS)) -> Seld:
        """Read weights of `save`.

        Raises
        ------
        CheckpointError
            If they are not an ear's, of an unknown prior or of other classes.
        """
        state, header = read_checkpoint(path)
        for name, expected, found in (
            ("kind", KIND, header.get("kind")),
            ("classes", list(CLASS_NAMES), header.get("classes")),
        ):
            if found != expected:
                raise CheckpointError(path, place=name, expected=str(expected), found=str(found))
        prior_name = str(header.get("prior"))
        if prior_name not in PRIORS:
            raise CheckpointError(
                path, place="prior", expected=f"one of {', '.join(PRIORS)}", found=prior_name
            )
        prior = PRIORS[prior_name]()
        network = EarNetwork(prior.channels)
        for prefix, module in (("prior.", prior), ("network.", network)):
            load_weights(
                module,
                {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)},
                path,
            )
        network.eval().requires_grad_(False)
        return cls(prior_name, no_gradient(prior), network, header, views=views)

    def save(self, path: str | Path) -> None:
        """Write the weights in 16 bits."""
        state = {
            f"{prefix}.{key}": value.half() if value.is_floating_point() else value
            for prefix, module in (("prior", self.prior), ("network", self.network))
            for key, value in module.state_dict().items()
        }
        identity = {"kind": KIND, "classes": list(CLASS_NAMES), "prior": self.prior_name}
        write_checkpoint(path, state, {**self.header, **identity})

    @torch.inference_mode()
    def window(self, audio: Array) -> Array:
        """Return what is heard in one window: (T, 14 + 14 * 484 + 13), see below.

        Probabilities of classes and of maps, averaged over `SMOOTH_FRAMES`, and log metres.

        Parameters
        ----------
        audio
            (4, T x 2400) samples at 24 kHz; T of 50 is what it was trained on.
        """
        sound = torch.from_numpy(np.ascontiguousarray(audio, np.float32))[None]
        shown = inputs(sound)
        embedding = self.prior(sound, shown.mels)
        frames = shown.covariance.shape[1]
        known = frame_embeddings(embedding, frames)
        said = []
        for view in range(self.views):
            heard = self.network(shown, known, view=view)
            said.append(torch.cat([part[0].flatten(1) for part in heard], dim=1))
        logits, distance = torch.stack(said).mean(0).tensor_split([ROWS + _MAPS], dim=1)
        likely = smoothing(frames, SMOOTH_FRAMES) @ logits.sigmoid()
        return np.asarray(torch.cat([likely, distance], dim=1).numpy())

    def __call__(self, audio: Array) -> Heard:
        """Return what is heard in a recording.

        Parameters
        ----------
        audio
            (N, 4) samples at 24 kHz; what is left after the last whole frame is not heard.
        """
        parts = list(self.blocks([audio]))
        names = ("classes", "maps", "anything", "distance_cm", "silent")
        return Heard(0, *(np.concatenate([getattr(p, name) for p in parts]) for name in names))

    def blocks(self, audio: Iterable[Array]) -> Iterator[Heard]:
        """Yield what is heard in a recording, `HOP_FRAMES` at a time, memory bounded.

        Parameters
        ----------
        audio
            Blocks (n, 4) of any lengths, at 24 kHz.

        Raises
        ------
        AudioError
            If a block has not four channels, or there is not one whole frame.
        """
        held = np.empty((0, CHANNELS), np.float32)
        state = _Blend()
        start = 0
        for block in audio:
            if block.ndim != 2 or block.shape[1] != CHANNELS:
                raise AudioError(
                    "audio",
                    expected=f"blocks of (samples, {CHANNELS})",
                    found=f"shape {block.shape}",
                )
            held = np.concatenate([held, np.asarray(block, np.float32)])
            # One window is kept back: it may be the last, which no other follows.
            while len(held) >= (WINDOW_FRAMES + HOP_FRAMES) * SAMPLES_PER_FRAME:
                yield state.next(self, start, held[: WINDOW_FRAMES * SAMPLES_PER_FRAME])
                held = held[HOP_FRAMES * SAMPLES_PER_FRAME :]
                start += HOP_FRAMES
        frames = len(held) // SAMPLES_PER_FRAME
        if not start and not frames:
            raise AudioError("audio", expected="at least one frame (100 ms)", found="less")
        held = held[: frames * SAMPLES_PER_FRAME]
        while frames > 0:
            yield state.next(self, start, held[: WINDOW_FRAMES * SAMPLES_PER_FRAME], frames)
            held = held[HOP_FRAMES * SAMPLES_PER_FRAME :]
            start, frames = start + HOP_FRAMES, frames - HOP_FRAMES


_MAPS = ROWS * GRID.shape[1]


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


def _logit(likely: Array) -> Array:
    return np.asarray(logit(np.clip(likely, 1e-6, 1 - 1e-6)), np.float32)


class _Blend:
    """The second half of the window before, waiting for the first half of this one."""

    def __init__(self) -> None:
        self.waiting = np.empty((0, ROWS + _MAPS + NUM_CLASSES), np.float32)

    def next(self, seld: Seld, start: int, audio: Array, left: int = WINDOW_FRAMES + 1) -> Heard:
        """Return what is heard in the next frames: at most a hop of them.

        Parameters
        ----------
        audio
            (n, 4), a window, or what is left of the recording.
        left
            Frames that are left, if this is near the end.
        """
        count = min(left, HOP_FRAMES)
        if left == count and len(self.waiting):  # The window before reached the end.
            said = self.waiting[:count]
        else:
            if not len(self.waiting):
                for doubt in doubts(audio):
                    _log.warning("%s", doubt)
            whole = seld.window(audio.T)
            said, coming = whole[:count], whole[count:]
            if len(self.waiting):
                rising = ((np.arange(count) + 0.5) / count).astype(np.float32)[:, None]
                said = rising * said + (1 - rising) * self.waiting[:count]
            self.waiting = coming
        maps = said[:, ROWS : ROWS + _MAPS].reshape(count, ROWS, -1)
        sound = audio[: count * SAMPLES_PER_FRAME].reshape(count, -1)
        return Heard(
            start,
            _logit(said[:, :NUM_CLASSES]),
            _logit(maps[:, :NUM_CLASSES]),
            _logit(maps[:, NUM_CLASSES]),
            100 * np.exp(said[:, ROWS + _MAPS :]),
            np.square(sound).mean(1) < SILENT_RMS**2,
        )
