"""Priors: encoders of sounds that others trained on far more than we have.

Any encoder will do that says how many channels its embedding has and gives a few answers a second:
derive from `Prior`, enter the class in `PRIORS`, and train the network on what it is given.
`YAMNetPrior` is packaged; `AisfxPrior` shows how one is added that makes its own spectrum.
"""

from __future__ import annotations

from torch import Tensor, nn

from saiseld.seld import aisfx, yamnet


class Prior(nn.Module):
    """What a prior has to offer."""

    channels: int
    """Of the embedding."""

    def forward(self, audio: Tensor, mels: Tensor) -> Tensor:
        """Return embeddings (B, channels, steps), evenly spaced over the window.

        Parameters
        ----------
        audio
            (B, 4, N) samples at 24 kHz.
        mels
            (B, 100 a second, 64), of `saiseld.seld.inputs.Inputs`, of the level that it sets.
        """
        raise NotImplementedError


class YAMNetPrior(Prior):
    """YAMNet, on the inputs' own mels."""

    channels = yamnet.CHANNELS

    def __init__(self) -> None:
        super().__init__()
        self.net = yamnet.YAMNet()

    def forward(self, audio: Tensor, mels: Tensor) -> Tensor:
        """See `Prior`."""
        del audio
        embedding: Tensor = self.net(mels)
        return embedding


class AisfxPrior(Prior):
    """The Cnn9 of aisfx, on mels of its own, of the level that it was trained on."""

    channels = aisfx.CHANNELS

    def __init__(self) -> None:
        super().__init__()
        self.net = aisfx.Cnn9()

    def forward(self, audio: Tensor, mels: Tensor) -> Tensor:
        """See `Prior`."""
        del mels
        level = audio.square().mean((1, 2), keepdim=True).sqrt().clamp(min=_QUIET)
        embedding: Tensor = self.net(aisfx.mels(audio * (_LEVEL / level)))
        return embedding


_LEVEL, _QUIET = 0.05, 2e-5

PRIORS: dict[str, type[Prior]] = {"yamnet": YAMNetPrior, "aisfx": AisfxPrior}
"""Known by name; a checkpoint says which one its network was trained on."""


def no_gradient(prior: Prior) -> Prior:
    """Return a prior that is used as it is."""
    return prior.eval().requires_grad_(False)
