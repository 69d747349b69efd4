"""The detector's own heads: box features with dropout, energy maps, energy field, distance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saiseld.conventions.sphere import HEIGHT, WIDTH


class BoxHead(nn.Module):
    """Two fully connected layers, each followed by ReLU and dropout."""

    def __init__(self, in_features: int, width: int, dropout: float) -> None:
        super().__init__()
        self.fc6 = nn.Linear(in_features, width)
        self.fc7 = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, h, w) pooled features to (N, width)."""
        features = self.dropout(F.relu(self.fc6(features.flatten(1))))
        hidden: Tensor = self.dropout(F.relu(self.fc7(features)))
        return hidden


class EnergyHead(nn.Module):
    """Pooled (N, C, 14, 14) features to one (N, 28, 28) energy map in [0, 1] an instance."""

    def __init__(self, in_channels: int, width: int, convolutions: int, dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for number in range(convolutions):
            channels = in_channels if number == 0 else width
            layers += [
                nn.Conv2d(channels, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            if number % 2 == 1:
                layers.append(nn.Dropout2d(dropout))
        layers += [nn.ConvTranspose2d(width, width, 2, stride=2), nn.ReLU(), nn.Conv2d(width, 1, 1)]
        self.net = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        """Return the energy maps of pooled features; an empty batch gives an empty result."""
        maps: Tensor = self.net(features)
        return torch.sigmoid(maps[:, 0])


class EnergyDecoder(nn.Module):
    """The class-free energy field (B, 180, 360) in [0, 1], from a feature pyramid, top down.

    A training signal and a diagnostic: masks are emitted without it.

    Parameters
    ----------
    in_channels, levels
        Channels of each pyramid level, and their names from fine to coarse.
    width, head_widths
        Channels of the top-down path, and of the two convolutions of the head.
    head_stride
        Canvas pixels a cell of the head: 1 runs it at full resolution.
    """

    def __init__(
        self,
        in_channels: int,
        levels: Sequence[str],
        width: int,
        head_widths: tuple[int, int],
        head_stride: int,
    ) -> None:
        super().__init__()
        self.levels = tuple(levels)
        self.head_size = (HEIGHT // head_stride, WIDTH // head_stride)
        self.lat = nn.ModuleList(nn.Conv2d(in_channels, width, 1) for _ in levels)
        self.smooth = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
            )
            for _ in levels
        )
        first, second = head_widths
        self.head = nn.Sequential(
            nn.Conv2d(width, first, 3, padding=1, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(),
            nn.Dropout2d(0.1),
            nn.Conv2d(first, second, 3, padding=1, bias=False),
            nn.BatchNorm2d(second),
            nn.ReLU(),
            nn.Conv2d(second, 1, 1),
        )

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Return the field of a feature pyramid."""
        x: Tensor | None = None
        for level in reversed(range(len(self.levels))):
            lateral = self.lat[level](features[self.levels[level]])
            if x is not None:
                lateral = lateral + F.interpolate(x, size=lateral.shape[-2:], mode="nearest")
            x = self.smooth[level](lateral)
        assert x is not None
        x = F.interpolate(x, size=self.head_size, mode="bilinear", align_corners=False)
        field = torch.sigmoid(self.head(x))
        if self.head_size != (HEIGHT, WIDTH):
            field = F.interpolate(field, size=(HEIGHT, WIDTH), mode="bilinear", align_corners=False)
        return field[:, 0]


class DistanceHead(nn.Module):
    """Mean of pooled features to one positive distance an instance, in units of 500 cm."""

    def __init__(self, in_channels: int, widths: tuple[int, int]) -> None:
        super().__init__()
        first, second = widths
        self.fc = nn.Sequential(
            nn.Linear(in_channels, first),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(first, second),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(second, 1),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, 14, 14) pooled features to (N,) distances."""
        distances: Tensor = self.fc(features.mean(dim=(-2, -1)))
        return F.softplus(distances[:, 0])
