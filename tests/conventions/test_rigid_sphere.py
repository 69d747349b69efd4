import numpy as np
import pytest
from tests.reference.rigid_sphere import response

from saiseld.conventions.arrays import eigenmike_xyz
from saiseld.conventions.rigid_sphere import (
    SPEED_OF_SOUND,
    RigidSphereArray,
    rigid_sphere_response,
)
from saiseld.conventions.sphere import angles_of_vector, fibonacci_sphere, great_circle, unit_vector
from saiseld.conventions.timebase import SAMPLE_RATE, SAMPLES_PER_FRAME
from saiseld.labels.sparse_imaging import sparse_image

RADIUS_M = 0.042


@pytest.fixture(scope="module")
def array():
    return RigidSphereArray(eigenmike_xyz())


def ka_of(frequency):
    return 2 * np.pi * frequency * RADIUS_M / SPEED_OF_SOUND


@pytest.mark.parametrize("frequency", [300, 1000, 2500, 4500, 8000])
def test_response_is_the_analytic_series(frequency):
    cosine = np.cos(np.linspace(0, np.pi, 37))
    expected = response(ka_of(frequency), cosine)
    assert np.abs(rigid_sphere_response(ka_of(frequency), cosine)[0] - expected).max() < 1e-6


def test_response_nears_a_point_receiver_at_low_frequency():
    cosine = np.cos(np.linspace(0, np.pi, 19))
    for ka in (0.0, 1e-3, 1e-2):
        # To first order a small rigid sphere is a point whose radius counts one and a half times.
        point = np.exp(1j * 1.5 * ka * cosine)
        assert np.abs(rigid_sphere_response(ka, cosine)[0] - point).max() <= 2 * ka**2


def test_pressure_doubles_where_a_short_wave_meets_the_sphere():
    assert abs(rigid_sphere_response(15.0, 1.0)[0]) == pytest.approx(2, abs=0.1)


def test_stored_responses_have_the_spectrum_of_the_series(array):
    direction = unit_vector(33.0, -21.0)
    frequency = np.fft.rfftfreq(960, 1 / SAMPLE_RATE)
    used = (frequency > 200) & (frequency < 9500)
    series = rigid_sphere_response(ka_of(frequency), array.capsules @ direction)
    for fraction in (0, 7):
        late = array.LATENCY + fraction / array.FRACTIONS
        shift = np.exp(-2j * np.pi * frequency * late / SAMPLE_RATE)
        spectrum = np.fft.rfft(array.responses(direction, fraction), 960).T
        assert np.abs(spectrum - series * shift[:, None])[used].max() < 0.02


def test_arrivals_come_when_they_should(array):
    ahead = unit_vector(0.0, 0.0)[None]
    heard = array.arrivals(ahead, np.array([200.0]), np.array([[0.5]]), 400)[0]
    side = np.argmin(np.abs(array.capsules[:, 0]))  # level with the centre: nearly no lead or lag
    assert abs(np.argmax(np.abs(heard[side])) - 200) <= 2
    lead = 200 - np.argmax(np.abs(heard[0]))  # capsule 1 faces the front
    assert lead == pytest.approx(RADIUS_M / SPEED_OF_SOUND * SAMPLE_RATE, abs=1)
    late = array.arrivals(ahead, np.array([1e4]), np.array([[1.0]]), 400)
    assert late.shape == (1, 32, 400) and not late.any()  # beyond the end: nothing


def test_free_field_sources_are_found_where_they_are(array):
    azimuth, elevation = angles_of_vector(fibonacci_sphere(3).T[2:62])
    rng = np.random.default_rng(5)
    audio = np.zeros((60 * SAMPLES_PER_FRAME, 32))
    for index, (az, el) in enumerate(zip(azimuth, elevation, strict=True)):
        noise = rng.standard_normal(SAMPLES_PER_FRAME - array.TAPS)
        firs = array.responses(unit_vector(az, el))
        heard = np.stack([np.convolve(noise, fir) for fir in firs], axis=1)
        audio[index * SAMPLES_PER_FRAME :][: len(heard)] = heard
    image = np.median(sparse_image(audio), axis=1)
    peak = angles_of_vector(fibonacci_sphere()[:, image.argmax(axis=1)].T)
    error = great_circle(*peak, azimuth, elevation)
    mirrored = great_circle(peak[0], peak[1], -azimuth, elevation)
    assert np.median(error) <= 6
    assert error.max() < 15
    sideways = np.abs(np.sin(np.radians(azimuth)) * np.cos(np.radians(elevation))) > 0.5
    assert (error < mirrored)[sideways].all()


def test_diffuse_field_has_the_power_asked_for_on_all_sides(array):
    envelope = np.full(48_000, 0.3, np.float32)
    field = array.diffuse_field(envelope, np.random.default_rng(0))
    spectrum = np.abs(np.fft.rfft(field)) ** 2 / len(envelope)
    frequency = np.fft.rfftfreq(len(envelope), 1 / SAMPLE_RATE)
    low = spectrum[:, (frequency > 50) & (frequency < 400)].mean(axis=1)
    assert low.mean() == pytest.approx(0.09, rel=0.1)
    middle = spectrum[:, (frequency > 2000) & (frequency < 6000)].mean(axis=1)
    assert np.ptp(middle) / middle.mean() < 0.15
