"""Pretrained encoders of sound, trained by others on far more data than we have.

Any encoder will do that says how many channels its embedding has and gives a few answers a second:
derive from `PretrainedEncoder`, enter the class in `ENCODERS`, and train the network on its
embeddings.
`YAMNetEncoder` is packaged; `AisfxEncoder` shows how one is added that makes its own spectrum.
"""

from __future__ import annotations

from torch import Tensor, nn

from saiseld.seld import aisfx, yamnet


class PretrainedEncoder(nn.Module):
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


class YAMNetEncoder(PretrainedEncoder):
    """YAMNet, on the inputs' own mels."""

    channels = yamnet.CHANNELS

    def __init__(self) -> None:
        super().__init__()
        self.net = yamnet.YAMNet()

    def forward(self, audio: Tensor, mels: Tensor) -> Tensor:
        """See `PretrainedEncoder`."""
        del audio
        embedding: Tensor = self.net(mels)
        return embedding


class AisfxEncoder(PretrainedEncoder):
    """The Cnn9 of aisfx, on mels of its own, of the level that it was trained on."""

    channels = aisfx.CHANNELS

    def __init__(self) -> None:
        super().__init__()
        self.net = aisfx.Cnn9()

    def forward(self, audio: Tensor, mels: Tensor) -> Tensor:
        """See `PretrainedEncoder`."""
        del mels
        level = audio.square().mean((1, 2), keepdim=True).sqrt().clamp(min=_QUIET)
        embedding: Tensor = self.net(aisfx.mels(audio * (_LEVEL / level)))
        return embedding


_LEVEL, _QUIET = 0.05, 2e-5

ENCODERS: dict[str, type[PretrainedEncoder]] = {"yamnet": YAMNetEncoder, "aisfx": AisfxEncoder}
"""Known by name; a checkpoint says which one its network was trained on."""


def frozen(encoder: PretrainedEncoder) -> PretrainedEncoder:
    """Return a prior that is used as it is."""
    return encoder.eval().requires_grad_(False)
