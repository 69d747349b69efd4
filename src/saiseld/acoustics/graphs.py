"""UpLAM without torch: two ONNX graphs, and the positive part between them in numpy.

``upsample`` turns covariances of four channels into such of 32, ``map`` their positive parts into
latent maps. `saiseld.acoustics.export` writes them.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.sphere import Projection
from saiseld.formats.graph import Graph

GRAPHS = ("upsample", "map")
_UPSAMPLED, _LATENT = ("n 9 32 32", "n 9 32 32"), ("n 9 484",)


class _Header(msgspec.Struct):
    projection: Projection


class GraphUpLAM:
    """UpLAM of the graphs beside a checkpoint, on one thread of the CPU.

    Parameters
    ----------
    weights
        The checkpoint.

    Raises
    ------
    CheckpointError
        If a graph is not there, cannot be read, or was made for another checkpoint.
    """

    def __init__(self, weights: str | Path) -> None:
        self._upsample, self._map = (
            Graph(weights, name, outputs)
            for name, outputs in zip(GRAPHS, (_UPSAMPLED, _LATENT), strict=True)
        )
        self.projection: str = self._upsample.header_as(_Header).projection

    def __call__(self, visibility: NDArray[np.complexfloating]) -> NDArray[np.float32]:
        """Return the latent maps (frames, 9, 484) of covariances (frames, 9, 4, 4)."""
        parts = (
            np.ascontiguousarray(part, np.float32) for part in (visibility.real, visibility.imag)
        )
        real, imaginary = self._upsample(*parts, n=len(visibility))
        rows = packed(positive_part(real + np.complex64(1j) * imaginary))
        # One frame alone is multiplied in another order than several are, and rounded differently.
        several = np.repeat(rows, 2, axis=0) if len(rows) == 1 else rows
        (latent,) = self._map(several, n=len(several))
        return latent[: len(rows)]


def positive_part(hermitian: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Return the positive semi-definite part of (..., N, N) matrices, of which the lower count."""
    try:
        values, vectors = np.linalg.eigh(hermitian)
    except np.linalg.LinAlgError:
        # Single precision gives up on some matrices with many equal eigenvalues.
        values, vectors = np.linalg.eigh(hermitian.astype(np.complex128))
    adjoint = vectors.conj().swapaxes(-1, -2)
    positive = (vectors * np.clip(values, 0, None)[..., None, :]) @ adjoint
    return np.asarray(positive, np.complex64)


def packed(hermitian: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Return the N^2 real numbers of (frames, bands, N, N) matrices: diagonal, lower triangle.

    `saiseld.acoustics.lam.quadratic_filters` takes them in this order.
    """
    channels = hermitian.shape[-1]
    row, column = np.tril_indices(channels, -1)
    lower = hermitian[..., row, column]
    diagonal = hermitian.diagonal(axis1=-2, axis2=-1).real
    return np.concatenate([diagonal, lower.real, lower.imag], axis=-1)
