"""Which geometry a sound fits, and what direction errors an array is expected to make."""

from __future__ import annotations

import numpy as np
import pytest

from saiseld.arrays.description import read_array, tetrahedron
from saiseld.arrays.geometry import CLEARLY, check_geometry, expected_errors, look_alikes, scaled
from saiseld.arrays.responses import array_response
from saiseld.conventions.sphere import fibonacci_sphere, unit_vector
from saiseld.conventions.timebase import SAMPLE_RATE

SAMPLES = 24_000


def recorded(array, seed: int = 0) -> np.ndarray:
    """Return (n, M) of two sources one after another in a diffuse field 10 dB below."""
    rng = np.random.default_rng(seed)
    frequency = np.fft.rfftfreq(SAMPLES, 1 / SAMPLE_RATE)
    directions = np.concatenate([unit_vector([60, -100], [0, 20]), fibonacci_sphere(3).T])
    response = array_response(array, frequency, directions)
    sources = rng.standard_normal((len(directions), SAMPLES)) * 0.04
    sources[0, : SAMPLES // 2] += rng.standard_normal(SAMPLES // 2)
    sources[1, SAMPLES // 2 :] += rng.standard_normal(SAMPLES // 2)
    spectra = np.einsum("fdm,df->fm", response, np.fft.rfft(sources))
    return np.fft.irfft(spectra, SAMPLES, axis=0).astype(np.float32)


def test_its_own_sound_fits() -> None:
    fit = check_geometry(recorded(tetrahedron()), tetrahedron())
    assert fit.fits and fit.gain < CLEARLY / 3


@pytest.mark.parametrize("name", ["ambeo", "sps200", "respeaker-usb-4"])
def test_another_array_does_not_fit_and_is_named(name) -> None:
    real = read_array(name)
    fit = check_geometry(recorded(real), tetrahedron())
    assert not fit.fits
    assert fit.best.model == real.model
    radius = np.linalg.norm(fit.best.positions_m, axis=1).mean()
    assert radius == pytest.approx(np.linalg.norm(real.positions_m, axis=1).mean(), rel=0.05)


def test_a_wrong_radius_in_a_description_is_found() -> None:
    real = read_array("respeaker-core-6")
    fit = check_geometry(recorded(real), scaled(real, 0.02))
    assert not fit.fits and np.linalg.norm(fit.best.positions_m, axis=1).mean() > 0.04


def test_noise_of_the_microphones_alone_is_no_other_array() -> None:
    noise = np.random.default_rng(0).standard_normal((SAMPLES, 4)).astype(np.float32)
    assert check_geometry(noise, tetrahedron()).fits


def test_silence_says_nothing() -> None:
    assert check_geometry(np.zeros((4800, 4), np.float32), tetrahedron()) is None


def test_look_alikes_have_as_many_microphones() -> None:
    array = read_array("uma-8")
    assert all(other.microphones == 7 for other in look_alikes(array))


def test_expected_errors_fall_with_frequency_and_grow_with_faults() -> None:
    array = read_array("respeaker-usb-4")
    errors = expected_errors(array, trials=3)
    worse = expected_errors(array, trials=3, position_m=4e-3, gain_db=3)
    assert errors.azimuth_only
    assert errors.median_deg[-3] < errors.median_deg[0]
    assert worse.median_deg.mean() > errors.median_deg.mean()
    assert (errors.worst_deg >= errors.median_deg).all()
    again = expected_errors(array, trials=3)
    np.testing.assert_array_equal(again.median_deg, errors.median_deg)
