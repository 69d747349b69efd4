"""Backbone of the compact detector: few channels, trained from scratch, quick on a CPU.

The acoustic image is smooth (484 directions, about 9 degrees apart), so it arrives averaged over
4 x 4 pixels and joins the picture's features at stride 4. Objects and labels are of nearly one
size, so one feature map at stride 8 serves them all; a coarser map gives it its surroundings.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saiseld.detector.stem import RGB_CHANNELS

ACOUSTIC_STRIDE = 4

_WIDTHS = (24, 48, 96, 192)


class CompactBackbone(nn.Module):
    """Picture and acoustic image to feature maps ``0`` (stride 8) and ``1`` (stride 16)."""

    def __init__(self, acoustic_channels: int, out_channels: int) -> None:
        super().__init__()
        first, quarter, eighth, sixteenth = _WIDTHS
        self.rgb = nn.Sequential(
            _ConvNorm(RGB_CHANNELS, first, 5, 2),
            nn.ReLU(inplace=True),
            _ConvNorm(first, quarter, 3, 2),
        )
        self.acoustic = _ConvNorm(acoustic_channels, quarter, 3)
        self.quarter = _Block(quarter, quarter, 1)
        self.eighth = nn.Sequential(_Block(quarter, eighth, 2), _Block(eighth, eighth, 1))
        self.sixteenth = nn.Sequential(
            _Block(eighth, sixteenth, 2), _Block(sixteenth, sixteenth, 1)
        )
        self.lateral_eighth = nn.Conv2d(eighth, out_channels, 1)
        self.lateral_sixteenth = nn.Conv2d(sixteenth, out_channels, 1)
        self.smooth = _ConvNorm(out_channels, out_channels, 3)

    def forward(self, rgb: Tensor, acoustic: Tensor) -> dict[str, Tensor]:
        """Return the two feature maps.

        Parameters
        ----------
        rgb, acoustic
            (B, 3, H, W) and (B, acoustic, H / 4, W / 4); H and W multiples of 16.
        """
        fused = F.relu_(self.rgb(rgb) + self.acoustic(acoustic))
        eighth = self.eighth(self.quarter(fused))
        coarse = self.lateral_sixteenth(self.sixteenth(eighth))
        fine = self.lateral_eighth(eighth) + F.interpolate(coarse, scale_factor=2.0)
        return {"0": F.relu_(self.smooth(fine)), "1": coarse}


class _Block(nn.Module):
    """Residual block of two 3 x 3 convolutions, the first one with a stride."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _ConvNorm(in_channels, channels, 3, stride)
        self.conv2 = _ConvNorm(channels, channels, 3)
        same = stride == 1 and in_channels == channels
        self.shortcut = nn.Identity() if same else _ConvNorm(in_channels, channels, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu_(self.conv2(F.relu_(self.conv1(x))) + self.shortcut(x))


class _ConvNorm(nn.Module):
    """Convolution and batch norm; one convolution of folded weights at inference."""

    def __init__(self, in_channels: int, channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return cast(Tensor, self.norm(self.conv(x)))
        return folded(x, self.conv, self.norm)


def folded(x: Tensor, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Tensor:
    """Return what a convolution without a bias, then a norm at inference make of x, as one."""
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None and variance is not None
    gain = norm.weight * torch.rsqrt(variance + norm.eps)
    weight = conv.weight * gain[:, None, None, None]
    return F.conv2d(x, weight, norm.bias - mean * gain, conv.stride, conv.padding)
