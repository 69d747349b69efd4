"""The labels' law: where labels end, by what is known of their energies."""

from __future__ import annotations

import numpy as np
import pytest

from saiseld.conventions.label_law import (
    BOX_EXTENT_DEG,
    ENERGY_MEAN,
    LABEL_EXTENT_DEG,
    PEAK_SIGMA_DEG,
    THRESHOLD,
    amplitude,
)


@pytest.mark.parametrize(
    ("peak_energy", "extent"), [(ENERGY_MEAN, LABEL_EXTENT_DEG), (2 * ENERGY_MEAN, BOX_EXTENT_DEG)]
)
def test_extents_follow_from_the_law(peak_energy, extent):
    end = PEAK_SIGMA_DEG * np.sqrt(2 * np.log(peak_energy / THRESHOLD))
    assert end == pytest.approx(extent, abs=0.5)


def test_amplitudes_rise_with_the_energy_and_are_a_half_at_its_mean():
    assert amplitude(ENERGY_MEAN) == 0.5
    assert (np.diff(amplitude(np.geomspace(THRESHOLD, 3e-3, 20))) > 0).all()
