"""The first layer: picture and acoustic image by kernels of their own (Baseline2026)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saiseld.conventions.bands import BANDS

RGB_CHANNELS = 3


class AudioVisualStem(nn.Module):
    """``rgb_scale * conv_rgb(rgb) + (softplus(audio_raw) + 0.1) * conv_audio(acoustic)``.

    The softplus keeps the acoustic gain at 0.1 or more: training cannot switch hearing off. It
    starts at 0.666.
    """

    def __init__(self, acoustic_channels: int = BANDS, width: int = 64) -> None:
        super().__init__()
        self.rgb_scale = nn.Parameter(torch.tensor(1.0))
        self.audio_raw = nn.Parameter(torch.tensor(-0.274))
        self.conv1_rgb = nn.Conv2d(RGB_CHANNELS, width, 7, stride=2, padding=3, bias=False)
        self.conv1_audio = nn.Conv2d(acoustic_channels, width, 7, stride=2, padding=3, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, 3 + acoustic, H, W) images, picture first, to (B, width, H / 2, W / 2)."""
        audio_gain = F.softplus(self.audio_raw) + 0.10
        # A sum of convolutions is one convolution of the stacked kernels.
        weight = torch.cat(
            [self.rgb_scale * self.conv1_rgb.weight, audio_gain * self.conv1_audio.weight], dim=1
        )
        return F.conv2d(image, weight, stride=2, padding=3)
