"""Inputs on plane waves and diffuse fields, whose covariances are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import fftconvolve
from tests.reference import ear_inputs

from saiseld.conventions.arrays import TETRAHEDRON, eigenmike_xyz
from saiseld.conventions.rigid_sphere import RigidSphereArray
from saiseld.conventions.sphere import fibonacci_sphere, unit_vector
from saiseld.conventions.symmetry import SYMMETRIES
from saiseld.conventions.timebase import SAMPLE_RATE, SAMPLES_PER_FRAME
from saiseld.seld.inputs import (
    CHANNELS,
    HOPS_PER_FRAME,
    MELS,
    Inputs,
    inputs,
    mel_weights,
    steering,
    turned_covariance,
    whitening,
)


def plane_wave(direction: np.ndarray, samples: int = SAMPLE_RATE, seed: int = 0) -> np.ndarray:
    """Return (4, N) white noise from a direction."""
    array = RigidSphereArray(eigenmike_xyz()[list(TETRAHEDRON)])
    noise = 0.1 * np.random.default_rng(seed).standard_normal(samples)
    return fftconvolve(noise[None], array.responses(direction), axes=1)[:, :samples]


def shown(audio: np.ndarray) -> Inputs:
    return inputs(np.asarray(audio, np.float32))


def test_it_is_what_torch_would_show() -> None:
    audio = 0.3 * plane_wave(unit_vector(40, 20)) + plane_wave(unit_vector(-90, 0), seed=1)
    audio[:, 9000:12_000] *= 1e-3
    expected = ear_inputs.inputs(torch.tensor(audio, dtype=torch.float32))
    for own, in_torch in zip(shown(audio), expected, strict=True):
        np.testing.assert_allclose(own, in_torch, atol=2e-5)


@pytest.mark.parametrize("angles", [(0, 0), (100, 40), (-150, -55)])
def test_every_band_of_a_plane_wave_points_at_it(angles) -> None:
    direction = unit_vector(*angles)
    # Above 6 kHz waves are shorter than the array is wide, and other directions look alike.
    covariance = shown(plane_wave(direction)).covariance[1:-1, :58]
    response = np.einsum("tmk,mkp->tmp", covariance, steering(fibonacci_sphere())[:58])
    peak = fibonacci_sphere()[:, response.mean(0).argmax(-1)]
    error = np.degrees(np.arccos(np.clip(direction @ peak, -1, 1)))
    assert error.max() < 7  # half the spacing of the grid
    assert response.max(-1).min() > 0.88  # the highest bands are wide
    assert response.min(-1).mean() < 0.15


def test_a_diffuse_field_looks_the_same_from_everywhere() -> None:
    array = RigidSphereArray(eigenmike_xyz()[list(TETRAHEDRON)])
    field = array.diffuse_field(np.ones(8 * SAMPLE_RATE, np.float32), np.random.default_rng(1))
    covariance = shown(0.1 * field).covariance.mean(0)
    response = np.einsum("mk,mkp->mp", covariance, steering(fibonacci_sphere()))
    assert abs(float(response[5:].mean()) - 1 / CHANNELS) < 0.02
    assert float(response[5:].max() - response[5:].min()) < 0.2


def test_traces_are_one_and_level_does_not_matter() -> None:
    audio = plane_wave(unit_vector(20, 10))
    loud, quiet = shown(audio), shown(audio * 1e-2)
    power = loud.covariance[..., :CHANNELS].sum(-1)
    np.testing.assert_allclose(power, 1, rtol=1e-5)
    np.testing.assert_allclose(loud.mels, quiet.mels, atol=1e-2)
    assert loud.mels.shape == (10 * HOPS_PER_FRAME, MELS)
    assert loud.spectrum.shape == (3, 10, MELS)


def test_silence_is_finite() -> None:
    given = shown(np.zeros((4, 3 * SAMPLES_PER_FRAME)))
    assert all(np.isfinite(part).all() for part in given)


@pytest.mark.parametrize("name", SYMMETRIES)
def test_symmetries_of_the_array_are_exact(name) -> None:
    symmetry = SYMMETRIES[name]
    audio = plane_wave(unit_vector(33, 21)) + plane_wave(unit_vector(-70, -20), seed=1)
    other = shown(audio[list(symmetry.channels)]).covariance
    turned = turned_covariance(shown(audio).covariance, symmetry)
    np.testing.assert_allclose(turned, other, atol=2e-3)


def test_whitening_makes_the_diffuse_covariance_white() -> None:
    white = whitening()
    assert white.shape == (MELS, CHANNELS, CHANNELS)
    np.testing.assert_allclose(white, white.conj().transpose(0, 2, 1), atol=1e-12)
    assert (mel_weights().sum(0) > 0.5).all()
