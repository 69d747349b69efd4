"""Two frame gates from the sound alone: how far a frame is one source, how far it is diffuse.

The system of KIST2026 feeds them to its reranker in training and sets them to zero at inference
(Sec. 2.4); it does not define them. These definitions are this project's.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

ComplexArray = NDArray[np.complexfloating[Any, Any]]


def closure(visibility: ComplexArray) -> NDArray[np.float32]:
    """Return the mean cosine of the closure phases of (frames, bands, N, N) covariances: (frames,).

    The phase of ``S_ij S_jk S_ki`` is zero for one plane wave from anywhere, so 1 means one source
    and less means several or reverberation. Mean over capsule triples and bands; 0 where a
    frame is silent.
    """
    cosines = []
    for i, j, k in combinations(range(visibility.shape[-1]), 3):
        product = visibility[..., i, j] * visibility[..., j, k] * visibility[..., k, i]
        size = np.abs(product)
        cosines.append(np.divide(product.real, size, out=np.zeros_like(size), where=size > 0))
    return np.asarray(np.mean(cosines, axis=(0, 2)), np.float32)


def diffuseness(visibility: ComplexArray) -> NDArray[np.float32]:
    """Return how evenly the eigenvalues of (frames, bands, N, N) covariances are spread: (frames,).

    ``1 - (largest - mean of the rest) / trace`` per band: 0 for one plane wave, 1 for equal
    eigenvalues. Mean over bands; 0 where a frame is silent.
    """
    eigenvalues = np.linalg.eigvalsh(visibility)
    largest, rest = eigenvalues[..., -1], eigenvalues[..., :-1].mean(axis=-1)
    trace = eigenvalues.sum(axis=-1)
    excess = np.divide(largest - rest, trace, out=np.ones_like(trace), where=trace > 0)
    return np.asarray((1 - excess).mean(axis=-1), np.float32)
