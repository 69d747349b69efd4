"""Recognition on the source: a beam towards each source that was localised, and an encoder on it.

What the network says of a mixture it says of all that sounds; a beam (about 6 dB, with soft nulls
on the other sources, `saiseld.acoustics.beamforming`) leaves mostly one source, and the class of
that is recognised by a head on a pretrained encoder. Its opinion and the network's count alike, and
the maps of all classes round the source are moved by the result; directions stay the network's.

`Recogniser` is the interface: whatever turns log-mels of one beam into log probabilities, frame by
frame.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_softmax

from saiseld.acoustics.beamforming import beam_weights
from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.conventions.timebase import SAMPLES_PER_FRAME
from saiseld.formats.graph import Graph, check_torch_for, has_graphs
from saiseld.seld.inputs import HOPS_PER_FRAME, MELS, log_mels, smoothing, spectra, used_frequencies
from saiseld.seld.output import GRID, Array, SeldOutput

RECOGNISER = "recogniser.safetensors"
"""File name of a recogniser's checkpoint, beside that of the network."""

GRAPH = "beam"
"""Name of the graph beside a recogniser's checkpoint."""

MAX_SOURCES = 3
"""Most sources that are recognised at a time; four capsules can null no more than two others."""

APART_DEG = 25.0
"""Two sources are at least this far apart."""

PEAK_DEG = 15.0
"""A source is a peak: nothing this near to it is likelier."""

REACH_DEG = 20.0
"""Directions this near to a source are the source's."""

MIN_ACTIVITY = 0.1
"""Least mean probability, over the frames, that anything sounds from a source's direction."""

SMOOTH_FRAMES = 11
"""Frames over which opinions on a beam are averaged."""

LIMIT = 8.0
"""Largest log odds that count."""

OWN_SHAPE = 4.0
"""A class whose log odds are no farther below the strongest class's has a map of its own there."""

NO_CLASS = 2.0
"""Factor on opinions where they say that a source is of no class: there they count in full."""

_LEVEL, _FLOOR, _LEAST = 0.05, 2e-5, 1e-4

FloatArray = NDArray[np.float64]


class Recogniser(Protocol):
    """What recognises the sound of one beam."""

    def __call__(self, mels: Array, /) -> Array:
        """Return log probabilities (T, 14); the last one is that of no class.

        Parameters
        ----------
        mels
            (T, 10, 64) natural log-mels of T frames.
        """
        ...


class SourceRecognition:
    """Recognises the sources of what the network localised.

    Parameters
    ----------
    recogniser
        What recognises a beam.
    """

    def __init__(self, recogniser: Recogniser) -> None:
        self.recogniser = recogniser

    @classmethod
    def load(cls, path: str | Path) -> SourceRecognition:
        """Read a checkpoint of `saiseld.training.seld.recognition`: its graph, else in torch.

        Raises
        ------
        CheckpointError
            If it is not one, its graph is another's, or it needs torch and that is not installed.
        """
        if has_graphs(path, [GRAPH]):
            return cls(GraphRecogniser(path))
        check_torch_for(path)
        from saiseld.seld.recogniser_model import TorchRecogniser

        return cls(TorchRecogniser(path))

    def __call__(self, output: SeldOutput, audio: Array, before: int) -> SeldOutput:
        """Return the output with the classes of its sources recognised.

        Parameters
        ----------
        output
            Of T frames.
        audio
            (n, 4) samples, n of whole frames: ``before`` frames before the output's first one, its
            frames, and any number after.
        before
            See ``audio``.
        """
        sources = source_directions(output)
        if not len(sources):
            return output
        rows = slice(before, before + len(output))
        opinions = [self._opinion(mels, rows) for mels in beam_mels(audio, sources)]
        return recognised(output, sources, opinions)

    def _opinion(self, mels: Array, rows: slice) -> Array:
        return np.asarray(smoothing(len(mels), SMOOTH_FRAMES)[rows] @ self.recogniser(mels))


def recogniser_beside(weights: str | Path) -> Path | None:
    """Return the recogniser's checkpoint beside a network's, None if there is none."""
    path = Path(weights).with_name(RECOGNISER)
    return path if path.is_file() else None


class GraphRecogniser:
    """A `Recogniser` of the graph beside a checkpoint, on one thread of the CPU."""

    def __init__(self, weights: str | Path) -> None:
        self._graph = Graph(weights, GRAPH, (f"n {NUM_CLASSES + 1}",))

    def __call__(self, mels: Array, /) -> Array:
        """See `Recogniser`."""
        (head,) = self._graph(mels, n=len(mels))
        return head


def source_directions(output: SeldOutput) -> FloatArray:
    """Return (K, 3) unit vectors of what sounds in some frames, the likeliest first; K may be 0."""
    likely = expit(output.maps.max(1)).mean(0)
    near = np.cos(np.radians(PEAK_DEG)) < GRID.T @ GRID
    is_peak = likely >= np.where(near, likely, 0.0).max(1)
    points = np.flatnonzero(is_peak & (likely >= MIN_ACTIVITY))
    found: list[FloatArray] = []
    for point in points[np.argsort(-likely[points], kind="stable")]:
        direction = GRID[:, point]
        if all(direction @ other < np.cos(np.radians(APART_DEG)) for other in found):
            found.append(direction)
    return np.array(found[:MAX_SOURCES]).reshape(-1, 3)


def beam_mels(audio: Array, sources: FloatArray) -> list[Array]:
    """Return log-mels (T, 10, 64) of a beam towards each source, nulls on the others.

    Parameters
    ----------
    audio
        (n, 4) samples of T frames.
    sources
        (K, 3) unit vectors.
    """
    frames = len(audio) // SAMPLES_PER_FRAME
    spectrum = spectra(np.ascontiguousarray(audio.T), frames * HOPS_PER_FRAME)
    beams = []
    for number, look in enumerate(sources):
        others = np.delete(sources, number, axis=0)
        weights = beam_weights(used_frequencies(), look, others if len(others) else None)
        conjugate = weights.conj().astype(np.complex64)
        magnitude = np.abs(np.einsum("csf,fc->sf", spectrum, conjugate))
        # The level that `saiseld.seld.inputs` brings a window to, by Parseval's theorem.
        level = np.sqrt(np.square(magnitude).mean() / _POWER + _FLOOR**2)
        mels = log_mels(magnitude * np.float32(_LEVEL / level))
        beams.append(mels.reshape(frames, HOPS_PER_FRAME, MELS))
    return beams


_POWER = 225.0
"""Mean power of a bin of white noise of power 1: the sum of the squared window of 600 samples."""


def source_logits(output: SeldOutput, sources: FloatArray) -> Array:
    """Return (T, K, 13): each class's largest logit within `REACH_DEG` of each source."""
    near = regions(sources)
    return np.stack([output.maps[:, :, region].max(2) for region in near], axis=1)


def regions(sources: FloatArray) -> NDArray[np.bool_]:
    """Return (K, 484): the directions of the grid that are each source's."""
    cosine = sources @ GRID
    nearest = cosine.argmax(0) == np.arange(len(sources))[:, None]
    return np.asarray(nearest & (cosine > np.cos(np.radians(REACH_DEG))))


def recognised(output: SeldOutput, sources: FloatArray, opinions: list[Array]) -> SeldOutput:
    """Return the output with the maps of all classes round each source moved by the opinions.

    A class's log odds move by the log of its share by both opinions over its share by the
    network's, and all classes fall where the source is of none by the opinion (`NO_CLASS`). A map
    keeps its own shape, since another source may be near; where the network does not see the class
    at all (`OWN_SHAPE`), it takes the shape of the strongest class.
    """
    network = source_logits(output, sources).clip(-LIMIT, LIMIT)
    heard = np.stack(opinions, axis=1)
    both = network + heard[..., :-1]
    moved = log_softmax(both, axis=-1) - log_softmax(network, axis=-1)
    # Averages of log probabilities do not sum to 1.
    none = log_softmax(NO_CLASS * heard, axis=-1)[..., -1:]
    moved = (moved + np.log(-np.expm1(np.minimum(none, -_LEAST)))).clip(-LIMIT, LIMIT)
    maps = output.maps.copy()
    every = np.arange(len(output))
    for number, region in enumerate(regions(sources)):
        own = output.maps[:, :, region]
        peak = own.max(2, keepdims=True)
        strongest = own[every, network[:, number].argmax(1)][:, None]
        taken = peak + strongest - strongest.max(2, keepdims=True)
        has_own = network[:, number] >= network[:, number].max(1, keepdims=True) - OWN_SHAPE
        shape = np.where(has_own[..., None], own, taken)
        maps[:, :, region] = shape + moved[:, number, :, None].astype(np.float32)
    return replace(output, maps=maps)
