"""Sparse imaging written plainly: one band at a time, in operator form, no Gram matrix.

Every band works out its own step and weight, as the public generator's do. Source: Simeoni et al.,
DeepWave (NeurIPS 2019).
"""

from functools import cache

import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh

from saiseld.conventions.arrays import steering

GAMMA = 0.5


@cache
def operator():
    """Return the matrix (1024, 484) from an image to its covariance: column p is a_p a_p^H."""
    a = steering(340.5 / 5000)
    return (a[:, None, :] * a.conj()[None, :, :]).reshape(1024, 484)


def lipschitz():
    """Return the Lipschitz constant of the quadratic term's gradient."""
    k = operator()
    normal = LinearOperator((484, 484), matvec=lambda x: (k.conj().T @ (k @ x)).real)
    return 2 * eigsh(normal, k=1, return_eigenvectors=False)[0]


def gradient(x, s):
    k = operator()
    return 2 * (k.conj().T @ (k @ x - s.ravel())).real


def weight(s, bound):
    one_step = np.maximum(-gradient(np.zeros(484), s) / bound, 0)
    return one_step.max() / (10 * GAMMA / bound)


def step(x, s, lam, bound):
    moved = x - gradient(x, s) / bound - lam * GAMMA / bound
    return np.maximum(moved, 0) / (1 + 2 * lam * (1 - GAMMA) / bound)


def objective(x, s, lam):
    fit = np.linalg.norm(operator() @ x - s.ravel()) ** 2
    return fit + lam * (GAMMA * np.abs(x).sum() + (1 - GAMMA) * (x**2).sum())


def minimise(s, start, tolerance=1e-3, max_iterations=200):
    """Return the sparse image (484,) of one visibility matrix (32, 32)."""
    bound = lipschitz()
    lam = weight(s, bound)
    x, value = start, objective(start, s, lam)
    for _ in range(max_iterations):
        x, value_before = step(x, s, lam, bound), value
        value = objective(x, s, lam)
        if abs(value - value_before) < tolerance * abs(value):
            break
    return x
