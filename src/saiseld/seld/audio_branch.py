"""The audio branch: four channels in, class and direction ten times a second out, for any length.

`saiseld.seld.inference` splits a recording into windows and joins their outputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from scipy.special import expit

from saiseld.formats.graph import check_torch_for, has_graphs
from saiseld.runtime.devices import Device
from saiseld.seld.graphs import GRAPHS, GraphSeld
from saiseld.seld.inference import SlidingWindowInference
from saiseld.seld.inputs import TTA_SYMMETRIES, Inputs, inputs, smoothing
from saiseld.seld.output import MAPS, ROWS, Array, SeldOutput
from saiseld.seld.recogniser import SourceRecognition, recogniser_beside

SMOOTH_FRAMES = 11
"""Frames over which probabilities are averaged: sounds last, and doubts do not."""


class Network(Protocol):
    """What processes one window: encoder and network in torch, or their graphs without torch."""

    def __call__(self, audio: Array, features: Inputs, tta: int, last: int) -> Array:
        """Return (last, 14 + 14 * 484 + 13): logits of classes and of maps, and log metres.

        Parameters
        ----------
        audio
            (4, T x 2400) samples at 24 kHz.
        features
            What `saiseld.seld.inputs.inputs` makes of it.
        tta
            How many of `saiseld.seld.inputs.TTA_SYMMETRIES` are averaged.
        last
            How many frames to return, counted from the end: T at most.
        """
        ...


class AudioBranch:
    """Sound event localization and detection in recordings of any length.

    Parameters
    ----------
    network
        What processes one window.
    tta
        How many symmetric versions are averaged: all (`TTA_SYMMETRIES`) are better, one is faster.
    recognition
        Recognises the sources that the network localises; the network's classes if None.
    """

    def __init__(
        self,
        network: Network,
        *,
        tta: int = len(TTA_SYMMETRIES),
        recognition: SourceRecognition | None = None,
    ) -> None:
        self.network, self.tta = network, tta
        self.recognition = recognition

    @classmethod
    def load(
        cls, path: str | Path, *, tta: int = len(TTA_SYMMETRIES), device: Device = "cpu"
    ) -> AudioBranch:
        """Read weights: on the CPU by the graphs beside them if there are any, else in torch.

        A recogniser's checkpoint beside them is used too.

        Raises
        ------
        CheckpointError
            If they are of no SELD network, of an unknown encoder or of other classes, or need torch
            and it is not installed.
        """
        if device == "cpu" and has_graphs(path, GRAPHS):
            network: Network = GraphSeld(path)
        else:
            check_torch_for(path)
            from saiseld.seld.model import Seld

            network = Seld.load(path).to(device)
        beside = recogniser_beside(path)
        recognition = None if beside is None else SourceRecognition.load(beside)
        return cls(network, tta=tta, recognition=recognition)

    def with_tta(self, tta: int) -> AudioBranch:
        """Return the same branch with so many symmetries averaged."""
        return AudioBranch(self.network, tta=tta, recognition=self.recognition)

    def window(self, audio: Array, *, last: int | None = None) -> Array:
        """Return the output of one window: (T, 14 + 14 * 484 + 13), see below.

        Probabilities of classes and of maps, averaged over `SMOOTH_FRAMES`, and log metres.

        Parameters
        ----------
        audio
            (4, T x 2400) samples at 24 kHz; T of 50 is what it was trained on.
        last
            How many frames to return, counted from the end; all without it. Fewer cost less and are
            equal but for rounding.
        """
        audio = np.ascontiguousarray(audio, np.float32)
        features = inputs(audio)
        frames = len(features.covariance)
        requested = min(last or frames, frames)
        computed = min(requested + SMOOTH_FRAMES // 2, frames)
        logits, distance = np.split(
            self.network(audio, features, self.tta, computed), [ROWS + MAPS], axis=1
        )
        likely = smoothing(computed, SMOOTH_FRAMES)[-requested:] @ expit(logits)
        return np.concatenate([likely, distance[-requested:]], axis=1)

    def __call__(self, audio: Array) -> SeldOutput:
        """Return the output for a recording.

        Parameters
        ----------
        audio
            (N, 4) samples at 24 kHz; what is left after the last whole frame is ignored.
        """
        parts = list(self.blocks([audio]))
        names = ("classes", "maps", "activity", "distance_cm", "silent")
        return SeldOutput(0, *(np.concatenate([getattr(p, name) for p in parts]) for name in names))

    def blocks(self, audio: Iterable[Array]) -> Iterator[SeldOutput]:
        """Yield the output for a recording, some frames at a time, memory bounded.

        Parameters
        ----------
        audio
            Blocks (n, 4) of any lengths, at 24 kHz.

        Raises
        ------
        AudioError
            If a block has not four channels, or there is not one whole frame.
        """
        inference = SlidingWindowInference(self.window, self.recognition)
        for block in audio:
            yield from inference.push(block)
        yield from inference.close()
