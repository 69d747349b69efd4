"""Beams: what they pass, and what they suppress."""

from __future__ import annotations

import numpy as np
import pytest

from saiseld.acoustics.beamforming import beam_weights, plane_wave_responses
from saiseld.conventions.arrays import RADIUS_M, TETRAHEDRON, eigenmike_xyz
from saiseld.conventions.rigid_sphere import SPEED_OF_SOUND, rigid_sphere_response
from saiseld.conventions.sphere import unit_vector

FREQUENCY = np.array([250.0, 1000.0, 3000.0])
FRONT, SIDE = unit_vector(0.0, 0.0), unit_vector(70.0, 10.0)


def gains(weights, direction):
    response = plane_wave_responses(FREQUENCY, direction[None])[:, 0]
    return np.abs(np.einsum("fm,fm->f", weights.conj(), response))


def test_responses_are_those_of_the_rigid_sphere():
    capsules = eigenmike_xyz()[list(TETRAHEDRON)] / RADIUS_M
    directions = np.stack([FRONT, SIDE])
    ka = 2 * np.pi * FREQUENCY * RADIUS_M / SPEED_OF_SOUND
    expected = rigid_sphere_response(ka, np.clip(directions @ capsules.T, -1, 1))
    np.testing.assert_allclose(plane_wave_responses(FREQUENCY, directions), expected, atol=1e-12)


@pytest.mark.parametrize("nulls", [None, SIDE[None], np.stack([SIDE, -FRONT])])
def test_the_look_direction_passes_unchanged(nulls):
    np.testing.assert_allclose(gains(beam_weights(FREQUENCY, FRONT, nulls), FRONT), 1, atol=1e-9)


def test_a_nulled_direction_is_suppressed():
    without = gains(beam_weights(FREQUENCY, FRONT), SIDE)
    nulled = gains(beam_weights(FREQUENCY, FRONT, SIDE[None]), SIDE)
    assert (nulled < 0.2).all()
    assert (nulled < without / 2).all()


def test_a_null_on_the_look_direction_itself_keeps_weights_small():
    near = unit_vector(3.0, 0.0)
    weights = beam_weights(FREQUENCY, FRONT, near[None])
    assert np.linalg.norm(weights, axis=1).max() < 8
