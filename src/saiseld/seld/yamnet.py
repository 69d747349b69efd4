"""YAMNet, an encoder of sound that Google trained on AudioSet's two million clips.

MobileNet v1 over log-mel spectrograms (Plakal and Ellis, tensorflow/models, research/audioset;
Apache 2.0). Only its convolutions are used, so it runs over any length. Its last stride of 2 in
time is replaced by a dilation, which gives twice as many embeddings, 6.25 a second, of the same
weights. The embedding joins layers of three depths: for sources unseen in training the middle ones
tell the class better than the last, which is specialised on AudioSet's classes (docs/seld.md).
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
