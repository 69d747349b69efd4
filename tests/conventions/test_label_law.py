"""The labels' law: its inverses, and what a mask drawn by it looks like."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saiseld.conventions.label_law import (
    BOX_EXTENT_DEG,
    ENERGY_MEAN,
    EXTENTS_DEG,
    LABEL_EXTENT_DEG,
    THRESHOLD,
    amplitude,
    energy_of_amplitude,
    extent_deg,
    peak_energy,
    profile,
)
from saiseld.decision.emission import law_points, law_shapes


@settings(derandomize=True, max_examples=25)
@given(st.floats(6.0, 24.0))
def test_extent_and_peak_energy_are_inverse(extent):
    np.testing.assert_allclose(extent_deg(peak_energy(extent)), extent, rtol=1e-9)


@settings(derandomize=True, max_examples=25)
@given(st.floats(4e-5, 3e-3))
def test_amplitude_and_energy_are_inverse(energy):
    np.testing.assert_allclose(energy_of_amplitude(amplitude(energy)), energy, rtol=1e-9)


def test_a_mask_ends_where_the_energy_falls_to_the_threshold():
    for extent in (7.0, 16.0, 22.0):
        np.testing.assert_allclose(profile(extent, extent), amplitude(THRESHOLD))
    assert extent_deg(THRESHOLD / 2) == 0


def test_extents_without_a_peak_energy_follow_from_the_law():
    assert extent_deg(ENERGY_MEAN) == pytest.approx(LABEL_EXTENT_DEG, abs=0.5)
    assert extent_deg(2 * ENERGY_MEAN) == pytest.approx(BOX_EXTENT_DEG, abs=0.5)
    assert EXTENTS_DEG[0] < LABEL_EXTENT_DEG < BOX_EXTENT_DEG < EXTENTS_DEG[1]


def test_a_strong_source_is_a_plateau_and_a_weak_one_is_flat():
    strong, weak = profile(22.0, [0, 4, 22]), profile(7.0, [0, 4, 7])
    assert strong[1] / strong[0] > 0.9
    assert strong[2] / strong[0] < 0.3
    assert weak[2] / weak[0] > 0.95


def test_law_points_reach_as_far_as_they_are_told():
    points = law_points([10.0, 0.0], [0.0, 60.0], [8.0, 20.0])
    height = points[..., 1].max(1) - points[..., 1].min(1)
    np.testing.assert_allclose(height, [16.0, 40.0], atol=0.2)
    assert (points[:, 0, 2] == points[..., 2].max(1)).all()
    box, energy = law_shapes([10.0, 0.0], [0.0, 60.0], [8.0, 20.0])
    np.testing.assert_allclose(box[:, 3] - box[:, 1], [16.0, 40.0], atol=1e-4)
    assert energy[:, 0, 0].max() == 0  # corners lie outside
    assert energy.max() <= 1
