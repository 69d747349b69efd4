"""Backbone of the compact detector: few channels, trained from scratch, quick on a CPU.

The acoustic image is smooth (484 directions, about 9 degrees apart), so it is averaged over 4 x 4
pixels and joins the picture's features at stride 4. Objects and labels are of nearly one size, so
one feature map at stride 8 serves them all; coarser maps give it its surroundings.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from saiseld.detector.stem import ACOUSTIC_CHANNELS, RGB_CHANNELS

_WIDTHS = (32, 64, 128, 192)


class _Block(nn.Module):
    """Residual block of two 3 x 3 convolutions, the first one with a stride."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _normed(in_channels, channels, 3, stride)
        self.conv2 = _normed(channels, channels, 3)
        same = stride == 1 and in_channels == channels
        self.shortcut = nn.Identity() if same else _normed(in_channels, channels, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv2(F.relu(self.conv1(x))) + self.shortcut(x))


class CompactBackbone(nn.Module):
    """(B, 12, H, W) images to feature maps ``0`` (stride 8) and ``1`` (stride 16) of equal width."""

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        first, quarter, eighth, sixteenth = _WIDTHS
        self.rgb = nn.Sequential(
            _normed(RGB_CHANNELS, first, 5, 2), nn.ReLU(), _normed(first, quarter, 3, 2)
        )
        self.acoustic = _normed(ACOUSTIC_CHANNELS, quarter, 3)
        self.quarter = _Block(quarter, quarter, 1)
        self.eighth = nn.Sequential(_Block(quarter, eighth, 2), _Block(eighth, eighth, 1))
        self.sixteenth = nn.Sequential(
            _Block(eighth, sixteenth, 2), _Block(sixteenth, sixteenth, 1)
        )
        self.lateral_eighth = nn.Conv2d(eighth, out_channels, 1)
        self.lateral_sixteenth = nn.Conv2d(sixteenth, out_channels, 1)
        self.smooth = nn.Sequential(_normed(out_channels, out_channels, 3), nn.ReLU())

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the two feature maps."""
        rgb, acoustic = image.split([RGB_CHANNELS, ACOUSTIC_CHANNELS], dim=1)
        fused = self.rgb(rgb) + self.acoustic(F.avg_pool2d(acoustic, 4))
        eighth = self.eighth(self.quarter(F.relu(fused)))
        coarse = self.lateral_sixteenth(self.sixteenth(eighth))
        fine = self.lateral_eighth(eighth) + F.interpolate(coarse, scale_factor=2.0)
        return {"0": self.smooth(fine), "1": coarse}


def _normed(in_channels: int, channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(channels),
    )
