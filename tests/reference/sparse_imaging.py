"""Sparse imaging written plainly: one band at a time, in operator form, no Gram matrix.

Source: Simeoni et al., DeepWave (NeurIPS 2019); Boyd and Parikh, Proximal algorithms (2014).
"""

from functools import cache

import numpy as np

from saiseld.acoustics.array import steering

GAMMA = 0.5


@cache
def operator():
    """Return the matrix (1024, 484) from an image to its covariance, column p being a_p a_p^H."""
    a = steering(340.5 / 5000)
    return (a[:, None, :] * a.conj()[None, :, :]).reshape(1024, 484)


@cache
def lipschitz():
    """Return the Lipschitz constant of the quadratic term's gradient."""
    return 2 * np.linalg.norm(operator(), ord=2) ** 2


def gradient(x, s):
    k = operator()
    return 2 * (k.conj().T @ (k @ x - s.ravel())).real


def weight(s):
    one_step = np.maximum(-gradient(np.zeros(484), s) / lipschitz(), 0)
    return one_step.max() / (10 * GAMMA / lipschitz())


def step(x, s, lam):
    moved = x - gradient(x, s) / lipschitz() - lam * GAMMA / lipschitz()
    return np.maximum(moved, 0) / (1 + 2 * lam * (1 - GAMMA) / lipschitz())


def objective(x, s, lam):
    fit = np.linalg.norm(operator() @ x - s.ravel()) ** 2
    return fit + lam * (GAMMA * np.abs(x).sum() + (1 - GAMMA) * (x**2).sum())


def minimise(s, start, tolerance=1e-3, max_iterations=200):
    """Return the sparse image (484,) of one visibility matrix (32, 32)."""
    lam = weight(s)
    x, value = start, objective(start, s, lam)
    for _ in range(max_iterations):
        x, value_before = step(x, s, lam), value
        value = objective(x, s, lam)
        if abs(value - value_before) < tolerance * abs(value):
            break
    return x


def optimality_gap(s, x):
    """Return how far one step moves ``x``: zero at the minimum only."""
    return np.linalg.norm(step(x, s, weight(s)) - x)
