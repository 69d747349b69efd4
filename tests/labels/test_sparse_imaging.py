"""Sparse imaging: equal to the public generator, to a plain reference, and right in direction."""

import numpy as np
import pytest
from tests import GOLDEN
from tests.errors import raises
from tests.reference.sparse_imaging import minimise

from saiseld.acoustics.covariance import visibility
from saiseld.conventions.arrays import eigenmike_xyz
from saiseld.conventions.bands import LABEL_CENTRES
from saiseld.conventions.sphere import angles_of_vector, fibonacci_sphere, great_circle, unit_vector
from saiseld.labels.sparse_imaging import image_blocks, sparse_image
from saiseld.runtime.errors import AudioError


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "labels_input.npz") as file:
        return {key: file[key] for key in file}


def test_equals_the_public_generator(golden):
    images = sparse_image(golden["audio32"], 24_000)
    expected = golden["apgd"].transpose(2, 1, 0)
    assert images.shape == expected.shape
    for image, wanted in zip(images, expected, strict=True):
        assert np.linalg.norm(image - wanted) <= 1e-9 * np.linalg.norm(wanted)


def test_equals_the_operator_form(golden):
    images = sparse_image(golden["audio32"])
    visibilities = visibility(golden["audio32"], centres=LABEL_CENTRES)
    for band in (0, 8):
        x = np.zeros(484)
        for frame in range(2):
            x = minimise(visibilities[frame, band], x)
            assert np.allclose(images[frame, band], x, rtol=1e-9, atol=1e-15)


def test_blocks_hand_the_solution_on(golden):
    audio = golden["audio32"]
    frames = image_blocks(audio[first : first + 2400] for first in range(0, len(audio), 2400))
    assert np.allclose(np.concatenate(list(frames)), sparse_image(audio), rtol=1e-9, atol=1e-15)


def test_silence_is_zero_and_audio_goes_on_after_it(golden):
    audio = golden["audio32"].copy()
    audio[2400:4800] = 0
    audio[:2400] = 0
    images = sparse_image(audio)
    assert np.isfinite(images).all()
    assert not images[:2].any()
    assert images[2].max() > 0


def test_scale_does_not_matter(golden):
    audio = golden["audio32"][:2400]
    assert np.allclose(sparse_image(3.7 * audio), sparse_image(audio), rtol=1e-5, atol=1e-12)


def test_less_than_a_frame_gives_no_image():
    assert sparse_image(np.zeros((2399, 32))).shape == (0, 9, 484)
    assert sparse_image(np.zeros((0, 32))).shape == (0, 9, 484)


def test_a_free_field_source_is_found_where_it_is():
    """60 directions all round: median error at most 6 degrees, nothing mirrored."""
    rng = np.random.default_rng(0)
    steps = np.arange(60)
    azimuths = np.degrees(np.pi * (1 + 5**0.5) * steps)
    elevations = np.degrees(np.arcsin(1 - (2 * steps + 1) / 60))
    frequency = np.fft.rfftfreq(2400, 1 / 24_000)
    audio = []
    for direction in unit_vector(azimuths, elevations):
        # A capsule nearer to the source hears it earlier: exp(+j 2 pi f xyz.direction / c).
        advance = eigenmike_xyz() @ direction / 340.5
        spectrum = np.fft.rfft(rng.standard_normal(2400))
        phase = np.exp(2j * np.pi * frequency[:, None] * advance)
        audio.append(np.fft.irfft(spectrum[:, None] * phase, 2400, axis=0))
    peaks = np.median(sparse_image(np.concatenate(audio)), axis=1).argmax(axis=1)
    found_azimuth, found_elevation = angles_of_vector(fibonacci_sphere().T[peaks])
    errors = great_circle(found_azimuth, found_elevation, azimuths, elevations)
    assert np.median(errors) <= 6
    assert errors.max() <= 20


@pytest.mark.parametrize("channels", [4, 31])
def test_needs_32_channels(channels):
    with raises(AudioError, expected="32 channels", found=f"(4800, {channels})"):
        sparse_image(np.zeros((4800, channels)))


def test_refuses_samples_that_are_not_finite():
    audio = np.zeros((4800, 32))
    audio[7, 3] = np.nan
    with raises(AudioError, expected="finite samples"):
        sparse_image(audio)
