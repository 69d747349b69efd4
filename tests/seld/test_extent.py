"""The model of extents: what it reads, and that more of the field is more energy."""

from __future__ import annotations

import numpy as np
import pytest

from saiseld.runtime.errors import CheckpointError
from saiseld.seld.extent import BANDS, ExtentModel, band_responses, extent_beside
from saiseld.seld.inputs import steering
from saiseld.seld.output import GRID

MODEL = ExtentModel([0.5] * BANDS, -0.2, -10.0, ["scene"])


def covariances(point: int, share: float) -> np.ndarray:
    """Five frames of a plane wave from a direction of the grid, in white noise."""
    table = steering(GRID)[..., point]  # pairs above the diagonal count twice
    wave = table / np.where(np.arange(16) < 4, 1, 2)
    noise = np.zeros(16)
    noise[:4] = 0.25
    return np.repeat((share * wave + (1 - share) * noise)[None], 5, 0).astype(np.float32)


def test_a_model_survives_its_file(tmp_path):
    MODEL.save(tmp_path / "extent.json")
    assert extent_beside(tmp_path / "seld.safetensors") == MODEL
    assert extent_beside(tmp_path / "other" / "seld.safetensors") is None


SHORT = b'{"response": [1], "largest": 0, "bias": 0, "recordings": []}'


@pytest.mark.parametrize("content", [b"{", b"[]", SHORT])
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / "extent.json"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as refused:
        ExtentModel.load(path)
    assert str(path) in str(refused.value)


def test_energy_grows_with_the_share_of_the_field_and_peaks_at_the_source():
    point = 120
    weak, strong = (MODEL.log_energy(covariances(point, share)) for share in (0.3, 0.9))
    assert (strong[:, point] > weak[:, point]).all()
    assert (strong.argmax(1) == point).all()


def test_the_model_weighs_the_responses_of_its_bands():
    covariance = covariances(7, 0.6)
    weighted = np.einsum("b,tbp->tp", MODEL.response, band_responses(covariance))
    expected = weighted - 0.2 * weighted.max(1, keepdims=True) - 10
    np.testing.assert_allclose(MODEL.log_energy(covariance), expected, atol=1e-4)
