"""Sparse imaging written plainly: one band at a time, in operator form, no Gram matrix.

Source: Simeoni et al., DeepWave (NeurIPS 2019); Boyd and Parikh, Proximal algorithms (2014).
"""

from functools import cache

import numpy as np

from saiseld.acoustics.array import steering

GAMMA = 0.5


@cache
def operator():
    """Return steering (32, 484) and the Lipschitz constant of the quadratic term's gradient."""
    a = steering(340.5 / 5000)
    # Column p of the operator is a_p a_p^H, flattened.
    columns = (a[:, None, :] * a.conj()[None, :, :]).reshape(1024, 484)
    return a, 2 * np.linalg.norm(columns, ord=2) ** 2


def residual(x, s, a):
    # S is `conj(x_i) x_j`, so the model of a plane wave p is a_p a_p^H.
    return (a * x) @ a.conj().T - s


def gradient(x, s, a):
    return 2 * np.einsum("ip,ij,jp->p", a.conj(), residual(x, s, a), a, optimize=True).real


def weight(s):
    a, lipschitz = operator()
    one_step = np.maximum(-gradient(np.zeros(484), s, a) / lipschitz, 0)
    return one_step.max() / (10 * GAMMA / lipschitz)


def step(y, s):
    a, lipschitz = operator()
    lam = weight(s)
    moved = y - gradient(y, s, a) / lipschitz - lam * GAMMA / lipschitz
    return np.maximum(moved, 0) / (1 + 2 * lam * (1 - GAMMA) / lipschitz)


def objective(x, s):
    a, _ = operator()
    fit = np.linalg.norm(residual(x, s, a)) ** 2
    return fit + weight(s) * (GAMMA * np.abs(x).sum() + (1 - GAMMA) * (x**2).sum())


def minimise(s, start, tolerance=1e-3, max_iterations=200):
    """Return the sparse image (484,) of one visibility matrix (32, 32)."""
    x, value = start, objective(start, s)
    for _ in range(max_iterations):
        x, value_before = step(x, s), value
        value = objective(x, s)
        if abs(value - value_before) < tolerance * abs(value):
            break
    return x


def optimality_gap(s, x):
    """Return how far one step moves ``x``: zero at the minimum only."""
    return np.linalg.norm(step(x, s) - x)
