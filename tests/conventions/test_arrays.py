"""The array's geometry and steering, against golden vectors."""

import numpy as np
from tests import GOLDEN

from saiseld.conventions.arrays import TETRAHEDRON, eigenmike_xyz, steering
from saiseld.conventions.sphere import angles_of_vector


def test_positions_and_steering_are_golden() -> None:
    golden = np.load(GOLDEN / "geometry.npz")
    np.testing.assert_allclose(eigenmike_xyz(), golden["eigenmike_xyz"], atol=1e-15)
    np.testing.assert_allclose(steering(), golden["steering"], atol=1e-12)


def test_tetrahedron_points_where_the_four_channels_do() -> None:
    azimuth, elevation = angles_of_vector(eigenmike_xyz()[list(TETRAHEDRON)])
    np.testing.assert_allclose(azimuth, [45, -45, 135, -135])
    np.testing.assert_allclose(elevation, [35, -35, -35, 35])
