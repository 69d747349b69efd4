"""UpLAM's graphs (`saiseld.acoustics.graphs`), written from its model in torch."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from saiseld.acoustics.uplam import UpLAM
from saiseld.conventions.arrays import CHANNELS
from saiseld.conventions.bands import BANDS
from saiseld.formats.graph import write_graph

_ROWS = 2
"""Frames of the example inputs."""


def write_uplam_graphs(uplam: UpLAM, weights: Path, projection: str) -> list[Path]:
    """Write the graphs of an UpLAM beside its checkpoint; return their paths.

    Parameters
    ----------
    uplam
        In evaluation mode.
    weights
        Its checkpoint, ``.safetensors``.
    projection
        Which one its latents are meant for.
    """
    header = {"kind": "uplam", "projection": projection}
    inputs = [torch.rand(_ROWS, BANDS, 4, 4), torch.rand(_ROWS, BANDS, 4, 4)]
    entries = [torch.rand(_ROWS, BANDS, CHANNELS**2)]
    renamed = {"vectors": "lam.D"}
    return [
        write_graph(weights, "upsample", _Upsample(uplam), inputs, header),
        write_graph(weights, "map", _Map(uplam), entries, header, renamed=renamed),
    ]


class _Upsample(nn.Module):
    """Real and imaginary part of four-channel covariances to those of 32 channels."""

    def __init__(self, uplam: UpLAM) -> None:
        super().__init__()
        self.model = uplam

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        return self.model.cdbpn.lifted(*inputs)


class _Map(nn.Module):
    """The entries of positive covariances to latent maps."""

    def __init__(self, uplam: UpLAM) -> None:
        super().__init__()
        self.model = uplam
        # ONNX has no complex numbers: a checkpoint keeps them as pairs, and so does the graph.
        self.vectors = nn.Parameter(torch.view_as_real(uplam.lam.D), requires_grad=False)

    def forward(self, *inputs: Tensor) -> tuple[Tensor]:
        (entries,) = inputs
        real, imaginary = self.vectors.unbind(-1)
        row, column = torch.tril_indices(CHANNELS, CHANNELS, -1)
        # `quadratic_filters`, in real numbers.
        cosine = real[:, row] * real[:, column] + imaginary[:, row] * imaginary[:, column]
        sine = real[:, row] * imaginary[:, column] - imaginary[:, row] * real[:, column]
        diagonal = real.square() + imaginary.square()
        filters = torch.cat([diagonal, 2 * cosine, -2 * sine], dim=1)
        values = (entries.transpose(0, 1) @ filters).transpose(0, 1)
        return (self.model.lam.denoised(values),)
