"""The front end written like its description: frame by frame, float64, one eigendecomposition each.

Source: Roman2025, Baseline2026. Slow and obvious; `saiseld.acoustics` is checked against it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

FRAME, SUBFRAME = 2400, 240


def latent_map(audio: np.ndarray, state: dict[str, Tensor]) -> np.ndarray:
    """Return the (frames, 9, 484) images of 4-channel audio by a float64 UpLAM state dict."""
    frames = [audio[k : k + FRAME] for k in range(0, len(audio) - FRAME + 1, FRAME)]
    return np.stack([frame_map(frame_covariance(frame), state) for frame in frames])


def frame_covariance(frame: np.ndarray) -> np.ndarray:
    """Return the (9, N, N) visibilities of one frame (2400, N)."""
    edges = np.linspace(1500, 4500, 10)
    window = np.hanning(SUBFRAME)
    bands = []
    for centre in (edges[:-1] + edges[1:]) / 2:
        first = int((centre - 25) * SUBFRAME / 24000)
        last = int((centre + 25) * SUBFRAME / 24000)
        covariance = np.zeros((frame.shape[1], frame.shape[1]), complex)
        for start in range(0, FRAME, SUBFRAME):
            spectrum = np.fft.fft(window[:, None] * frame[start : start + SUBFRAME], axis=0)
            x = spectrum[first : last + 1].sum(axis=0)
            covariance += np.outer(x.conj(), x)
        bands.append(clipped(covariance))
    return np.stack(bands)


def clipped(covariance: np.ndarray) -> np.ndarray:
    """Divide the eigenvalues by the largest and clip them below at zero."""
    values, vectors = np.linalg.eigh(covariance)
    values = np.clip(values / values.max(), 0, None) if values.max() > 0 else 0 * values
    return (vectors * values) @ vectors.conj().T


def frame_map(covariance: np.ndarray, state: dict[str, Tensor]) -> np.ndarray:
    """Return the (9, 484) image of one frame's (9, 4, 4) visibilities."""
    lifted = lift(torch.from_numpy(covariance), state).numpy()
    x = np.stack([filtered(s, b, state) for b, s in enumerate(lifted)])
    skip = image = torch.from_numpy(x)
    for index, kernel in enumerate((3, 5, 7, 9), start=1):
        weight, bias = (state[f"lam.denoise{index}.{name}"] for name in ("weight", "bias"))
        image = torch.relu(functional.conv1d(image, weight, bias, padding=kernel // 2) + skip)
    return image.numpy()


def filtered(covariance: np.ndarray, band: int, state: dict[str, Tensor]) -> np.ndarray:
    """Return ``|D_p^H V'|^2 - tau_p`` of one predicted covariance (32, 32)."""
    values, vectors = np.linalg.eigh(covariance)
    scaled = vectors[:, values > 0] * np.sqrt(values[values > 0])
    beams = state["lam.D"][band].numpy().conj().T @ scaled
    return (np.abs(beams) ** 2).sum(axis=1) - state["lam.tau"][band].numpy()


def lift(visibility: Tensor, state: dict[str, Tensor]) -> Tensor:
    """Return the (9, 32, 32) prediction of the back-projection network for one frame."""
    parts = [
        _path(visibility.real, "rel", state),
        _path(visibility.imag, "imag", state),
    ]
    return torch.complex(*parts)


def _path(x: Tensor, part: str, state: dict[str, Tensor]) -> Tensor:
    def weights(name: str) -> tuple[Tensor, Tensor]:
        return state[f"cdbpn.{name}.weight"], state[f"cdbpn.{name}.bias"]

    def act(name: str, x: Tensor) -> Tensor:
        return functional.prelu(x, state[f"cdbpn.{name}.act.weight"])

    def down(name: str, x: Tensor) -> Tensor:
        return act(name, functional.conv2d(x, *weights(f"{name}.conv"), stride=8, padding=2))

    def up(name: str, x: Tensor) -> Tensor:
        y = functional.conv_transpose2d(x, *weights(f"{name}.deconv"), stride=8, padding=2)
        return act(name, y)

    def up_block(name: str, x: Tensor) -> Tensor:
        h0 = up(f"{name}.up_conv1", x)
        l0 = down(f"{name}.up_conv2", h0)
        return up(f"{name}.up_conv3", l0 - x) + h0

    def down_block(name: str, x: Tensor) -> Tensor:
        l0 = down(f"{name}.down_conv1", x)
        h0 = up(f"{name}.down_conv2", l0)
        return down(f"{name}.down_conv3", h0 - x) + l0

    name = f"feat0_{part}"
    x = act(name, functional.conv2d(x[None], *weights(f"{name}.conv"), padding=1))
    name = f"feat1_{part}"
    x = act(name, functional.conv2d(x, *weights(f"{name}.conv")))
    up1 = up_block(f"up1_{part}", x)
    up2 = up_block(f"up2_{part}", down_block(f"down1_{part}", up1))
    both = torch.cat([up2, up1], dim=1)
    return functional.conv2d(both, *weights(f"output_conv_{part}.conv"), padding=1)[0]
