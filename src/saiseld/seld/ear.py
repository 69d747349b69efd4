"""The ear: four channels in, class and direction ten times a second out, for any length.

How the windows that it hears follow one another is `saiseld.seld.listening`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from saiseld.conventions.taxonomy import CLASS_NAMES
from saiseld.formats.checkpoint import load_weights, read_checkpoint, write_checkpoint
from saiseld.runtime.errors import CheckpointError
from saiseld.seld.inputs import inputs
from saiseld.seld.listening import MAPS, Array, Heard, Listener
from saiseld.seld.network import ROWS, VIEWS, EarNetwork, frame_embeddings, smoothing
from saiseld.seld.priors import PRIORS, Prior, no_gradient

KIND = "seld"

SMOOTH_FRAMES = 11
"""Frames over which probabilities are averaged: sounds last, and doubts do not."""


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

    def with_views(self, views: int) -> Seld:
        """Return the same ear looking so many times."""
        return Seld(self.prior_name, self.prior, self.network, self.header, views=views)

    @torch.inference_mode()
    def window(self, audio: Array, *, last: int | None = None) -> Array:
        """Return what is heard in one window: (T, 14 + 14 * 484 + 13), see below.

        Probabilities of classes and of maps, averaged over `SMOOTH_FRAMES`, and log metres.

        Parameters
        ----------
        audio
            (4, T x 2400) samples at 24 kHz; T of 50 is what it was trained on.
        last
            How many frames, counted from the end, are wanted; all without it. Fewer cost less, and
            are what all would be but for rounding.
        """
        sound = torch.from_numpy(np.ascontiguousarray(audio, np.float32))[None]
        shown = inputs(sound)
        embedding = self.prior(sound, shown.mels)
        frames = shown.covariance.shape[1]
        wanted = min(last or frames, frames)
        asked = min(wanted + SMOOTH_FRAMES // 2, frames)
        known = frame_embeddings(embedding, frames)
        said = []
        for view in range(self.views):
            heard = self.network(shown, known, view=view, last=asked)
            said.append(torch.cat([part[0].flatten(1) for part in heard], dim=1))
        logits, distance = torch.stack(said).mean(0).tensor_split([ROWS + MAPS], dim=1)
        likely = smoothing(asked, SMOOTH_FRAMES) @ logits.sigmoid()
        return np.asarray(torch.cat([likely, distance], dim=1)[-wanted:].numpy())

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
        listener = Listener(self.window)
        for block in audio:
            yield from listener.push(block)
        yield from listener.close()
