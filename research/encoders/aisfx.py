"""Another encoder: the Cnn9 of aisfx, trained on professional libraries of sound effects.

Ma and Lerch, "Representation learning for the automatic indexing of sound effects libraries",
ISMIR 2022; weights CC BY 4.0. It was trained on 96 mels of 44.1 kHz, windows of 2048 every 1024
samples. Here they are made from 24 kHz in windows of as nearly that length (50 ms every 25 ms), the
bands above 12 kHz empty, as they are of sounds that were recorded so.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.seld.encoders import PretrainedEncoder
from saiseld.seld.inputs import mel_scale

CHANNELS = 512
_WIDTHS = (64, 128, 256, 512)
_WINDOW, _HOP = 1200, 600
_MELS, _HIGHEST_HZ = 96, 22050.0
_SAME_POWER = 3.0
"""A window of 2048 has this many times the power of one of 1200: 2.9 for tones, 3.1 for noise."""
_LARGEST = 9.457798957824707
"""Of the logarithmic mels that it was trained on."""


class Cnn9(nn.Module):
    """Mels (B, T, 96) to embeddings (B, 512, T / 8), the mean over frequency.

    Names are those of the published state dict, below ``embedding_net``.
    """

    def __init__(self) -> None:
        super().__init__()
        inputs = 1
        for number, outputs in enumerate(_WIDTHS, start=1):
            self.add_module(f"conv_block{number}", _Block(inputs, outputs))
            inputs = outputs

    def forward(self, mels: Tensor) -> Tensor:
        """Return embeddings."""
        x = mels[:, None]
        for number, block in enumerate(self.children(), start=1):
            x = block(x)
            if number < len(_WIDTHS):
                x = functional.max_pool2d(x, 2, ceil_mode=True)
        return x.mean(-1)


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu_(self.bn1(self.conv1(x)))
        return functional.relu_(self.bn2(self.conv2(x)))


def own_mels(audio: Tensor) -> Tensor:
    """Return (B, T, 96) of audio (B, 4, N): the mean power of the channels, as Cnn9 takes it."""
    batch, channels, samples = audio.shape
    window = torch.hann_window(_WINDOW, device=audio.device)
    spectra = torch.stft(
        audio.reshape(-1, samples),
        _WINDOW,
        _HOP,
        _WINDOW,
        window,
        pad_mode="constant",
        return_complex=True,
    )[..., :-1]
    power = spectra.abs().square().reshape(batch, channels, *spectra.shape[1:]).mean(1)
    bands = power.mT @ _weights().to(audio.device) * _SAME_POWER
    return torch.log10(1 + 1e4 * bands) / _LARGEST


@cache
def _weights() -> Tensor:
    """Return (bins, 96): triangles evenly spaced in mel, each of sum 1."""
    edges = np.linspace(0, float(mel_scale(np.array(_HIGHEST_HZ))), _MELS + 2)
    mel = mel_scale(np.fft.rfftfreq(_WINDOW, 1 / SAMPLE_RATE))[:, None]
    up = (mel - edges[:-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[2:] - mel) / (edges[2:] - edges[1:-1])
    weights = np.clip(np.minimum(up, down), 0, None)
    return torch.tensor(weights / np.maximum(weights.sum(0), 1e-9), dtype=torch.float32)


class AisfxEncoder(PretrainedEncoder):
    """The Cnn9 of aisfx, on mels of its own, of the level that it was trained on."""

    channels = CHANNELS

    def __init__(self) -> None:
        super().__init__()
        self.net = Cnn9()

    def forward(self, audio: Tensor, mels: Tensor) -> Tensor:
        """See `PretrainedEncoder`."""
        del mels
        level = audio.square().mean((1, 2), keepdim=True).sqrt().clamp(min=_QUIET)
        embedding: Tensor = self.net(own_mels(audio * (_LEVEL / level)))
        return embedding


_LEVEL, _QUIET = 0.05, 2e-5
