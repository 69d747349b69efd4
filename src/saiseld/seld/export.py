"""Write the SELD network's graphs (`saiseld.seld.graphs`) from its model in torch."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from saiseld.formats.graph import write_graph
from saiseld.runtime.errors import CheckpointError
from saiseld.seld.encoders import YAMNetEncoder
from saiseld.seld.inputs import COVARIANCE, HOPS_PER_FRAME, MELS
from saiseld.seld.model import Seld
from saiseld.seld.network import frame_embeddings
from saiseld.seld.output import WINDOW_FRAMES


def write_seld_graphs(seld: Seld, weights: Path) -> list[Path]:
    """Write the graphs of a SELD network beside its checkpoint; return their paths.

    Parameters
    ----------
    seld
        In evaluation mode, on the CPU.
    weights
        Its checkpoint, ``.safetensors``.

    Raises
    ------
    CheckpointError
        If its encoder makes a spectrum of its own, which no graph does.
    """
    if not isinstance(seld.encoder, YAMNetEncoder):
        raise CheckpointError(
            weights,
            place="prior",
            expected="yamnet: graphs have no other",
            found=seld.encoder_name,
            advice="A network on another encoder runs in torch, without graphs",
        )
    header = {"kind": "seld", "prior": seld.encoder_name}
    mels = torch.rand(WINDOW_FRAMES, HOPS_PER_FRAME, MELS)
    encoder, temporal = _Encoder(seld), _Temporal(seld)
    (embedded,) = encoder(mels)
    spectrum = torch.rand(WINDOW_FRAMES, 3, MELS)
    covariance = torch.rand(WINDOW_FRAMES, MELS, COVARIANCE)
    inputs = [spectrum, covariance, embedded, seld.network.view]
    encoded = [*temporal(*inputs), embedded, covariance, seld.network.steer[0]]
    return [
        write_graph(weights, "encoder", encoder, [mels], header),
        write_graph(weights, "temporal", temporal, inputs, header, fixed=1),
        write_graph(weights, "localization", _Localization(seld), encoded, header, fixed=1),
    ]


class _Weights(nn.Module):
    """Encoder and network, by the names that the checkpoint has for them."""

    def __init__(self, seld: Seld) -> None:
        super().__init__()
        self.prior, self.network = seld.encoder, seld.network


class _Encoder(nn.Module):
    """Mels, (T, 10, 64), to the encoder's embedding, frame by frame."""

    def __init__(self, seld: Seld) -> None:
        super().__init__()
        self.model = _Weights(seld)

    def forward(self, *inputs: Tensor) -> tuple[Tensor]:
        (mels,) = inputs
        embedding = self.model.prior(None, mels.flatten(0, 1)[None])
        return (self.model.network.of_prior(frame_embeddings(embedding, len(mels)))[0],)


class _Temporal(nn.Module):
    """Spectrum, covariances, embedding and a steering table to features of each frame."""

    def __init__(self, seld: Seld) -> None:
        super().__init__()
        self.model = _Weights(seld)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        spectrum, covariance, embedded, view = inputs
        inputs = spectrum.transpose(0, 1)[None], covariance[None], embedded[None]
        return tuple(part[0] for part in self.model.network.encode(*inputs, view))


class _Localization(nn.Module):
    """Features of frames, their covariances and a steering table to logits."""

    def __init__(self, seld: Seld) -> None:
        super().__init__()
        self.model = _Weights(seld)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        *of_frames, steer = inputs
        encoded, local, embedded, covariance = (part[None] for part in of_frames)
        logits = self.model.network.localize(encoded, local, embedded, covariance, steer)
        return tuple(part[0] for part in logits)
