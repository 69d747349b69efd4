"""Band covariances, against golden vectors and by their properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests import GOLDEN

from saiseld.acoustics.covariance import visibility
from saiseld.acoustics.gates import closure, diffuseness

VISIBILITY = np.load(GOLDEN / "visibility.npz")


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize(("audio", "expected"), [("audio4", "S4"), ("audio32", "S32")])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.complex128, 1e-9), (np.complex64, 1e-4)])
def test_visibility_is_golden(audio: str, expected: str, dtype: type, tolerance: float) -> None:
    found = visibility(VISIBILITY[audio], dtype=dtype)
    assert found.dtype == dtype
    assert relative_error(found, VISIBILITY[expected].transpose(1, 0, 2, 3)) < tolerance


def test_a_silent_frame_is_all_zero_and_a_loud_one_has_largest_eigenvalue_one() -> None:
    found = visibility(VISIBILITY["audio4"])
    assert not found[2].any()
    largest = np.linalg.eigvalsh(found)[..., -1]
    np.testing.assert_allclose(np.delete(largest, 2, axis=0), 1)


def test_loudness_does_not_matter_and_frames_are_independent() -> None:
    audio = VISIBILITY["audio4"].astype(float)
    whole = visibility(audio)
    np.testing.assert_allclose(visibility(1e-3 * audio[2400:4800]), whole[1:2], atol=1e-12)


def test_what_a_click_drowns_is_silent() -> None:
    audio = 1e-22 * np.random.default_rng(0).standard_normal((2400, 4)).astype(np.float32)
    audio[0, 0] = 1.0  # where the window is zero
    assert np.abs(visibility(audio, dtype=np.complex64)).max() < 1e-30


def test_an_unfinished_frame_is_left_out() -> None:
    assert visibility(np.zeros((2399, 4))).shape == (0, 9, 4, 4)
    assert visibility(np.zeros((4801, 4))).shape == (2, 9, 4, 4)


def test_a_tone_at_twice_the_rate_gives_the_same_covariance() -> None:
    delays = np.array([0, 1, 2, 3]) * 2e-5

    def tone(rate: int) -> np.ndarray:
        time = np.arange(rate // 10)[:, None] / rate
        return np.cos(2 * np.pi * 1600 * (time - delays))

    np.testing.assert_allclose(
        visibility(tone(48_000), 48_000)[0, 0], visibility(tone(24_000))[0, 0], atol=1e-3
    )


def test_wrong_shapes_and_rates_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(samples, channels\), not of shape \(2400,\)"):
        visibility(np.zeros(2400))
    with pytest.raises(ValueError, match="multiple of 100 Hz, not 22050"):
        visibility(np.zeros((2400, 4)), 22_050)


@pytest.mark.parametrize("scale", [1e-38, 1e-30, 1e-20, 1.0, 1e20, 1e37])
def test_any_scale_gives_the_same_covariance(scale: float) -> None:
    audio = np.random.default_rng(0).standard_normal((4800, 4)).astype(np.float32)
    found = visibility(audio * np.float32(scale), dtype=np.complex64)
    np.testing.assert_allclose(found, visibility(audio, dtype=np.complex64), atol=1e-3)
    assert np.isfinite(found).all()


def test_scaling_by_a_power_of_two_changes_no_digit() -> None:
    audio = np.random.default_rng(0).standard_normal((4800, 4)).astype(np.float32)
    whole = visibility(audio, dtype=np.complex64)
    np.testing.assert_array_equal(visibility(audio * np.float32(2**-40), dtype=np.complex64), whole)


@given(
    arrays(
        np.float32,
        (2400, 4),
        elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
        fill=st.sampled_from([np.float32(v) for v in (0, 1e-45, 1e-20, 1, 1e30, 3e38)]),
    )
)
@settings(max_examples=60, deadline=None)
def test_any_finite_sound_has_a_covariance(audio) -> None:
    found = visibility(audio, dtype=np.complex64)
    assert np.isfinite(found).all()
    assert np.isfinite(diffuseness(found)).all() and np.isfinite(closure(found)).all()
