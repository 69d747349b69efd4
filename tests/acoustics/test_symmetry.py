from __future__ import annotations

import numpy as np
import pytest
from tests.errors import raises

from saiseld.acoustics.symmetry import symmetry_named
from saiseld.conventions.arrays import RADIUS_M, TETRAHEDRON, eigenmike_xyz
from saiseld.conventions.rigid_sphere import rigid_sphere_response
from saiseld.conventions.sphere import unit_vector
from saiseld.conventions.symmetry import SYMMETRIES, Symmetry
from saiseld.runtime.errors import RecipeError


@pytest.mark.parametrize("symmetry", SYMMETRIES.values(), ids=SYMMETRIES)
def test_the_array_hears_the_other_scene(symmetry: Symmetry) -> None:
    azimuth, elevation = np.array([10.0, -77, 160]), np.array([5.0, 40, -62])
    moved = symmetry.turn + (-azimuth if symmetry.mirrored else azimuth)
    xyz = eigenmike_xyz()[list(TETRAHEDRON)]
    heard, of_the_other = (
        rigid_sphere_response([2.0], xyz / RADIUS_M @ unit_vector(at, elevation).T)[0]
        for at in (azimuth, moved)
    )
    np.testing.assert_allclose(heard[list(symmetry.channels)], of_the_other, atol=1e-9)


def test_there_are_four_and_they_differ() -> None:
    assert {s.channels for s in SYMMETRIES.values()} == {
        (0, 1, 2, 3),
        (3, 2, 1, 0),
        (0, 2, 1, 3),
        (3, 1, 2, 0),
    }


def test_an_unknown_one_is_named() -> None:
    with raises(RecipeError, "symmetry", expected="one of identity, half_turn"):
        symmetry_named("quarter_turn")
