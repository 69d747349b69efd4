"""The interface of a prior: an encoder of sounds that others trained, and the ones known by name.

Any encoder will do that says how many channels its embedding has and gives some answers a second
for a window; the network is trained on what it is given. `YAMNetPrior` is packaged.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from saiseld.seld.yamnet import CHANNELS as YAMNET_CHANNELS
from saiseld.seld.yamnet import YAMNet


class Prior(nn.Module):
    """What a prior has to offer."""

    channels: int

    def forward(self, audio: Tensor, mels: Tensor) -> Tensor:
        """Return embeddings (B, channels, steps), evenly spaced over the window.

        Parameters
        ----------
        audio
            (B, 4, N) samples at 24 kHz.
        mels
            (B, 100 a second, 64), of `saiseld.seld.features.Features`, of the level that it sets.
        """
        raise NotImplementedError


class YAMNetPrior(Prior):
    """YAMNet on the features' own mels."""

    channels = YAMNET_CHANNELS

    def __init__(self) -> None:
        super().__init__()
        self.net = YAMNet()

    def forward(self, audio: Tensor, mels: Tensor) -> Tensor:
        """See `Prior`."""
        del audio
        embedding: Tensor = self.net(mels)
        return embedding


PRIORS: dict[str, Callable[[], Prior]] = {"yamnet": YAMNetPrior}
"""Known by name; a checkpoint says which one its network was trained on."""


def no_gradient(prior: Prior) -> Prior:
    """Return a prior that is used as it is."""
    return prior.eval().requires_grad_(False)
