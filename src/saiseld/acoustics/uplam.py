"""UpLAM: 4-channel covariances lifted to 32 channels, then LAM (Roman2025).

The lift is a back-projection network whose real and imaginary paths are separate and alike. The
nine bands are its channels, the covariance is its picture. Module names are those of the public
checkpoint.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from saiseld.acoustics.lam import LAM, load_model
from saiseld.conventions.bands import BANDS

_WIDTH = 32
"""Channels inside the back-projection network."""


class UpLAM(nn.Module):
    """Latent acoustic map of 4-channel covariances (2,840,168 parameters).

    Parameters
    ----------
    dtype
        Real type of the arithmetic.
    """

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        # Channels last: a third faster on CPU.
        self.cdbpn = BackProjection().to(dtype).to(memory_format=torch.channels_last)
        self.lam = LAM(dtype)

    @classmethod
    def load(cls, path: str | Path, dtype: torch.dtype = torch.float32) -> UpLAM:
        """Return the UpLAM of a public ``.pth`` or one of our checkpoints, ready for inference.

        Raises
        ------
        saiseld.runtime.errors.CheckpointError
            If the file is absent, damaged or of another model, naming the first key that differs.
        """
        return cast(UpLAM, load_model(cls(dtype), path))

    @torch.inference_mode()
    def latents(self, visibility: NDArray[np.complexfloating]) -> NDArray[np.floating]:
        """Return what `forward` does, arrays in and out."""
        device = self.lam.tau.device
        latent: NDArray[np.floating] = self(torch.from_numpy(visibility).to(device)).cpu().numpy()
        return latent

    def forward(self, visibility: Tensor) -> Tensor:
        """Return the latent maps (frames, 9, 484) of covariances (frames, 9, 4, 4).

        These may be of any complex type; the maps are of the model's own.
        """
        return cast(Tensor, self.lam(self.cdbpn(visibility.to(self.lam.D.dtype))))


class BackProjection(nn.Module):
    """Complex back-projection network from (frames, 9, 4, 4) to (frames, 9, 32, 32)."""

    def __init__(self) -> None:
        super().__init__()
        for part in ("rel", "imag"):
            self.add_module(f"feat0_{part}", _Block(nn.Conv2d(BANDS, 128, 3, padding=1)))
            self.add_module(f"feat1_{part}", _Block(nn.Conv2d(128, _WIDTH, 1)))
            self.add_module(f"up1_{part}", _Up())
            self.add_module(f"down1_{part}", _Down())
            self.add_module(f"up2_{part}", _Up())
            output = nn.Module()
            output.conv = nn.Conv2d(2 * _WIDTH, BANDS, 3, padding=1)
            self.add_module(f"output_conv_{part}", output)

    def forward(self, visibility: Tensor) -> Tensor:
        """Return predicted 32-channel covariances, Hermitian only in so far as learnt."""
        return torch.complex(*self.lifted(visibility.real, visibility.imag))

    def lifted(self, real: Tensor, imaginary: Tensor) -> tuple[Tensor, Tensor]:
        """Return the two parts of what `forward` predicts of the two parts of covariances."""
        return self._path("rel", real), self._path("imag", imaginary)

    def _path(self, part: str, x: Tensor) -> Tensor:
        layer = self.get_submodule
        x = layer(f"feat1_{part}")(layer(f"feat0_{part}")(x))
        up1 = layer(f"up1_{part}")(x)
        up2 = layer(f"up2_{part}")(layer(f"down1_{part}")(up1))
        return cast(Tensor, layer(f"output_conv_{part}.conv")(torch.cat([up2, up1], dim=1)))


class _Block(nn.Module):
    """A (transposed) convolution and a PReLU with one slope."""

    def __init__(self, convolution: nn.Conv2d | nn.ConvTranspose2d) -> None:
        super().__init__()
        name = "deconv" if isinstance(convolution, nn.ConvTranspose2d) else "conv"
        self.add_module(name, convolution)
        self.act = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.children():
            x = layer(x)
        return x


def _coarser() -> _Block:
    return _Block(nn.Conv2d(_WIDTH, _WIDTH, 12, stride=8, padding=2))


def _finer() -> _Block:
    return _Block(nn.ConvTranspose2d(_WIDTH, _WIDTH, 12, stride=8, padding=2))


class _Up(nn.Module):
    """4 x 4 to 32 x 32: go up, compare what comes back with the input, add the difference."""

    def __init__(self) -> None:
        super().__init__()
        self.up_conv1, self.up_conv2, self.up_conv3 = _finer(), _coarser(), _finer()

    def forward(self, x: Tensor) -> Tensor:
        fine = self.up_conv1(x)
        return cast(Tensor, self.up_conv3(self.up_conv2(fine) - x) + fine)


class _Down(nn.Module):
    """32 x 32 to 4 x 4, the mirror of `_Up`."""

    def __init__(self) -> None:
        super().__init__()
        self.down_conv1, self.down_conv2, self.down_conv3 = _coarser(), _finer(), _coarser()

    def forward(self, x: Tensor) -> Tensor:
        coarse = self.down_conv1(x)
        return cast(Tensor, self.down_conv3(self.down_conv2(coarse) - x) + coarse)
