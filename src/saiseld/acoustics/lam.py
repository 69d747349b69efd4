"""LAM: the latent acoustic map of a band covariance (Roman2025).

Per band, ``x_p = d_p^H S+ d_p - tau_p`` over 484 directions, where S+ is the positive part of the
covariance; four residual convolutions over the directions follow, the nine bands being channels.
Trained so that ``A diag(x) A^H`` is the covariance again, hence x is an acoustic image.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from saiseld.conventions.arrays import steering
from saiseld.conventions.bands import BANDS
from saiseld.conventions.sphere import DIRECTIONS
from saiseld.formats.checkpoint import load_weights, read_checkpoint


class LAM(nn.Module):
    """Latent acoustic map of 32-channel covariances.

    A fresh model is the steered response: ``D`` is the free-field steering matrix, all else zero.

    Parameters
    ----------
    dtype
        Real type of the arithmetic; ``D`` has its complex counterpart.
    """

    steering: Tensor

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        matrix = torch.from_numpy(steering()).to(dtype.to_complex())
        self.register_buffer("steering", matrix, persistent=False)
        self.tau = nn.Parameter(torch.zeros(BANDS, DIRECTIONS, dtype=dtype))
        self.D = nn.Parameter(matrix.expand(BANDS, -1, -1).clone())
        for index, kernel in enumerate((3, 5, 7, 9), start=1):
            convolution = nn.Conv1d(BANDS, BANDS, kernel, padding="same", dtype=dtype)
            nn.init.zeros_(convolution.weight)
            nn.init.zeros_(cast(Tensor, convolution.bias))
            self.add_module(f"denoise{index}", convolution)

    @classmethod
    def load(cls, path: str | Path, dtype: torch.dtype = torch.float32) -> LAM:
        """Return the LAM of a public ``.pth`` or one of our checkpoints, ready for inference.

        Raises
        ------
        saiseld.runtime.errors.CheckpointError
            If the file is absent, damaged or of another model, naming the first key that differs.
        """
        return cast(LAM, load_model(cls(dtype), path))

    def forward(self, visibility: Tensor) -> Tensor:
        """Return the latent maps (frames, 9, 484) of covariances (frames, 9, 32, 32).

        Only the lower triangles count, so a predicted covariance need not be exactly Hermitian. It
        may be of any complex type; the maps are of the model's own.
        """
        positive = positive_part(visibility.to(self.D.dtype))
        return self.denoised(quadratic_values(positive, quadratic_filters(self.D)))

    def denoised(self, energies: Tensor) -> Tensor:
        """Return the latent maps of ``d_p^H S+ d_p``, both (frames, 9, 484)."""
        x = skip = energies - self.tau
        for index in range(1, 5):
            x = torch.relu(self.get_submodule(f"denoise{index}")(x) + skip)
        return x

    def reconstruct(self, latent: Tensor) -> Tensor:
        """Return ``A diag(x) A^H``, (frames, 9, 32, 32), of latent maps (frames, 9, 484)."""
        return (self.steering * latent[..., None, :]) @ self.steering.mH


def quadratic_filters(vectors: Tensor) -> Tensor:
    """Return real filters (bands, N^2, P) that make ``d^H S d`` linear, for d in (bands, N, P).

    A Hermitian S has N^2 real numbers, its lower triangle, and the form is linear in them: one real
    product a band, a quarter of the work of applying the vectors to S.
    """
    row, column = torch.tril_indices(vectors.shape[1], vectors.shape[1], -1, device=vectors.device)
    off = vectors[:, row].conj() * vectors[:, column] * 2
    return torch.cat([vectors.abs().square(), off.real, -off.imag], dim=1)


def quadratic_values(covariance: Tensor, filters: Tensor) -> Tensor:
    """Return ``d_p^H S d_p``, (frames, bands, P), for S (frames, bands, N, N) and its filters."""
    channels = covariance.shape[-1]
    row, column = torch.tril_indices(channels, channels, -1, device=covariance.device)
    entries = covariance[..., row, column]
    diagonal = covariance.diagonal(dim1=-2, dim2=-1).real
    values = torch.cat([diagonal, entries.real, entries.imag], dim=-1)
    return (values.transpose(0, 1) @ filters).transpose(0, 1)


def load_model(model: nn.Module, path: str | Path) -> nn.Module:
    """Load a checkpoint strictly; return the model in evaluation mode, without gradients."""
    state, _ = read_checkpoint(path)
    load_weights(model, state, path)
    return model.eval().requires_grad_(False)


def positive_part(hermitian: Tensor) -> Tensor:
    """Return the positive semi-definite part (the nearest such matrix) of (..., N, N) matrices."""
    return cast(Tensor, _PositivePart.apply(hermitian))


def _eigh(hermitian: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues and eigenvectors; in double precision where single gives up.

    LAPACK's single precision fails on some matrices with many equal eigenvalues, such as a small
    covariance among zeros: it says so, or leaves NaN.
    """
    try:
        eigenvalues, vectors = torch.linalg.eigh(hermitian)
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        eigenvalues = torch.full_like(hermitian[..., 0].real, torch.nan)
        vectors = torch.empty_like(hermitian)
    failed = ~torch.isfinite(eigenvalues).all(-1)
    if failed.any():
        exact_values, exact_vectors = torch.linalg.eigh(hermitian[failed].to(torch.complex128))
        eigenvalues[failed] = exact_values.to(eigenvalues.dtype)
        vectors[failed] = exact_vectors.to(vectors.dtype)
    return eigenvalues, vectors


class _PositivePart(torch.autograd.Function):
    """``V max(lambda, 0) V^H``, with the gradient that stays finite where eigenvalues meet."""

    @staticmethod
    def forward(ctx: Any, hermitian: Tensor) -> Tensor:
        eigenvalues, vectors = _eigh(hermitian)
        ctx.save_for_backward(eigenvalues, vectors)
        return (vectors * eigenvalues.clamp(min=0)[..., None, :]) @ vectors.mH

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        # Daleckii-Krein: entries are weighted by (f(a) - f(b)) / (a - b), here within [0, 1].
        eigenvalues: Tensor
        vectors: Tensor
        eigenvalues, vectors = ctx.saved_tensors
        positive = eigenvalues.clamp(min=0)
        a, b = eigenvalues[..., :, None], eigenvalues[..., None, :]
        rise = positive[..., :, None] - positive[..., None, :]
        step = torch.where(a == b, torch.ones_like(rise), a - b)
        weight = torch.where(a == b, (a > 0).to(rise.dtype), rise / step)
        inner = vectors.mH @ ((gradient + gradient.mH) / 2) @ vectors
        return vectors @ (weight * inner) @ vectors.mH
