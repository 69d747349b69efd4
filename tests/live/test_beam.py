import numpy as np
import pytest
from tests.live.synthetic import tone_from

from saiseld.acoustics.beamforming import DELAY
from saiseld.live.beam import Beam


def level(azimuth, hertz, towards):
    beam = Beam(*towards)
    heard = np.concatenate([beam.hear(tone_from(azimuth, 0, hertz, k)) for k in range(3)])
    return float(np.sqrt(2 * np.mean(heard[2400:] ** 2)))


@pytest.mark.parametrize("hertz", [300, 1000, 3000])
def test_what_is_listened_to_passes_unchanged(hertz):
    assert level(40, hertz, (40, 0)) == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize("hertz", [500, 1000, 2000])
def test_what_comes_from_elsewhere_is_softer(hertz):
    assert level(-140, hertz, (40, 0)) < 0.1 * 10 ** (-6 / 20)
    assert level(-50, hertz, (40, 0)) < 0.1 * 10 ** (-10 / 20)


def test_left_is_left():
    assert level(90, 1500, (90, 0)) > 1.7 * level(90, 1500, (-90, 0))


def test_it_hears_blocks_of_any_length_as_one():
    sound = np.random.default_rng(0).normal(size=(4800, 4)).astype(np.float32)
    whole, parts = Beam(10, 20), Beam(10, 20)
    heard = [parts.hear(part) for part in np.split(sound, [7, 2400, 4000])]
    np.testing.assert_allclose(np.concatenate(heard), whole.hear(sound), atol=1e-5)


def test_it_is_as_late_as_it_says():
    """A click at the centre of the sphere comes out DELAY samples later."""
    from saiseld.conventions.arrays import TETRAHEDRON, eigenmike_xyz
    from saiseld.conventions.rigid_sphere import RigidSphereArray
    from saiseld.conventions.sphere import unit_vector

    array = RigidSphereArray(eigenmike_xyz()[list(TETRAHEDRON)])
    click = np.zeros((600, 4), np.float32)
    click[: array.TAPS] = array.responses(unit_vector(25, 0)).T
    assert np.argmax(np.abs(Beam(25, 0).hear(click))) == array.LATENCY + DELAY
