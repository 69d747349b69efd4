"""A noise from the left in first-order ambisonics, as the tetrahedron's capsules hear it."""

import numpy as np

from saiseld.conventions.sphere import unit_vector
from saiseld.data.ambisonics import capsules_of_foa

x, y, z = unit_vector(90, 0)
noise = np.random.default_rng(0).standard_normal((24_000, 1))
foa = (noise * [1, y, z, x]).astype(np.float32)  # W, Y, Z, X
capsules = np.concatenate(list(capsules_of_foa([foa])))
level = 10 * np.log10((capsules**2).mean(axis=0))
print("levels of the four capsules in dB:", np.round(level - level.max(), 1))
