"""A prior that has heard much: YAMNet, trained by Google on AudioSet's two million clips.

MobileNet v1 over log-mel spectrograms (Plakal and Ellis, tensorflow/models, research/audioset;
Apache 2.0). Convolutions alone are kept, so it runs over any length and tells what it hears at
every step. Its last step in time, of stride 2, is taken with stride 1 and dilation instead: twice
as many answers, 6.25 a second, of the same weights. What it has made of a sound two thirds of the
way is given with the end: of sources that were never trained with, the middle tells the class
better than the end, which is bent to the classes of AudioSet (docs/seld.md compares them).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = 512 + 512 + 1024
"""Of the embedding, which is of three depths."""

EPSILON = 1e-4
"""Of its batch normalisation."""

_BLOCKS = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1),) * 5,
    *((1024, 2), (1024, 1)),
)
"""Channels and stride of its separable convolutions, after a first one of 32 and stride 2."""

_TAKEN = (18, 22, 26)
"""Layers whose outputs are the embedding: of the 9th, 11th and last separable convolution."""


class _Convolution(nn.Module):
    """A convolution, padded as TensorFlow does, with its normalisation folded in; rectified."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int,
        *,
        stride: tuple[int, int] = (1, 1),
        groups: int = 1,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        self.dilation = dilation
        self.conv = nn.Conv2d(
            inputs, outputs, size, stride=stride, groups=groups, dilation=(dilation, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.conv.kernel_size[0] == 3:
            # TensorFlow pads an even length that is halved on the far side alone.
            rows, columns = (
                size % 2 if step == 2 else 1
                for step, size in zip(self.conv.stride, x.shape[2:], strict=True)
            )
            x = functional.pad(x, (columns, 1, rows * self.dilation, self.dilation))
        return functional.relu_(self.conv(x))


class YAMNet(nn.Module):
    """Log-mels (B, T, 64) at 100 a second to embeddings (B, 1024, T / 16)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_Convolution(1, 32, 3, stride=(2, 2))]
        inputs, dilation = 32, 1
        for outputs, step in _BLOCKS:
            last = (outputs, step) == (1024, 2)
            stride = (1, 2) if last else (step, step)
            layers += [
                _Convolution(inputs, inputs, 3, stride=stride, groups=inputs, dilation=dilation),
                _Convolution(inputs, outputs, 1),
            ]
            inputs, dilation = outputs, 2 if last else dilation
        self.layers = nn.ModuleList(layers)

    def forward(self, mels: Tensor) -> Tensor:
        """Return embeddings, each the mean over frequency."""
        x, taken = mels[:, None], []
        for number, layer in enumerate(self.layers):
            x = layer(x)
            if number in _TAKEN:
                taken.append(x.mean(-1))
        return torch.cat(taken, dim=1)


def fold(kernel: Tensor, beta: Tensor, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Return weight and bias of a convolution with its normalisation, which has no gain."""
    gain = (variance + EPSILON).rsqrt()
    return kernel * gain[:, None, None, None], beta - mean * gain
