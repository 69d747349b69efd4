"""The rigid-sphere series as textbooks print it: incident plus scattered wave, term by term."""

import numpy as np
from scipy.special import hankel2, jv, lpmv


def response(ka: float, cos_angle: np.ndarray, order: int = 60) -> np.ndarray:
    """Return the pressure on a rigid sphere for a unit plane wave, time dependence exp(+jwt)."""

    def j(n: int) -> float:
        return np.sqrt(np.pi / (2 * ka)) * jv(n + 0.5, ka)

    def h(n: int) -> complex:
        return np.sqrt(np.pi / (2 * ka)) * hankel2(n + 0.5, ka)

    def slope(f, n: int):
        return f(n - 1) - (n + 1) / ka * f(n) if n else -f(1)

    total = np.zeros(np.shape(cos_angle), complex)
    for n in range(order + 1):
        if not np.isfinite(h(n)):
            break
        incident_and_scattered = j(n) - slope(j, n) / slope(h, n) * h(n)
        total += (2 * n + 1) * 1j**n * lpmv(0, n, cos_angle) * incident_and_scattered
    return total
