"""The law of a label's shape: what the public labels make of the energy at a source.

A label is the raw acoustic energy v of an event, multiplied by a Gaussian round the event, cut off
below `THRESHOLD` and mapped to (0, 1) by the corpus' mean and deviation (AudibleLight's labels, as
`saiseld.labels.annotate` makes them). Where the field itself is one smooth peak, the shape follows
from the energy A at the peak alone,

    amplitude(r) = sigmoid((A exp(-r^2 / (2 sigma^2)) - ENERGY_MEAN) / ENERGY_STD)

up to the radius at which the energy falls to `THRESHOLD`: a strong source is a wide plateau with a
hard edge, a weak one small and nearly flat.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

THRESHOLD = 4e-5
"""Raw energy below which a pixel is outside the mask."""

ENERGY_MEAN, ENERGY_STD = 6.131814582534336e-4, 4.8684798377322537e-4
"""Mean and standard deviation of raw energies over the public corpus."""

LABEL_SIGMA_DEG = 10.0
"""Standard deviation of the Gaussian round an event that the label method multiplies by."""

PEAK_SIGMA_DEG = 8.0
"""Width of the peak that a source leaves in a label: the labels' Gaussian times the field's own."""

LABEL_EXTENT_DEG, BOX_EXTENT_DEG = 19.0, 21.0
"""Where labels end, sigma sqrt(2 ln(A / `THRESHOLD`)) from their peaks: with A of `ENERGY_MEAN` a
typical one, and with twice as much one of a strong source, which a box must hold."""

FloatArray = NDArray[np.float64]


def amplitude(energy: ArrayLike) -> FloatArray:
    """Return what raw energies become in a label, in (0, 1)."""
    return np.asarray(expit((np.asarray(energy, float) - ENERGY_MEAN) / ENERGY_STD))
