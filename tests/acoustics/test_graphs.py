"""UpLAM's graphs against UpLAM in torch."""

import numpy as np
import pytest
import torch

from saiseld.acoustics.covariance import visibility
from saiseld.acoustics.graphs import GraphUpLAM, packed, positive_part
from saiseld.acoustics.lam import positive_part as torch_positive_part
from saiseld.acoustics.lam import quadratic_filters
from saiseld.acoustics.uplam import UpLAM
from saiseld.pipeline.weights import PACKAGED


def hermitian(count: int, channels: int = 32) -> np.ndarray:
    random = np.random.default_rng(0)
    shape = (count, 9, channels, channels)
    drawn = random.standard_normal(shape) + 1j * random.standard_normal(shape)
    return (drawn + drawn.conj().swapaxes(-1, -2)).astype(np.complex64)


def test_graphs_make_the_latents_that_torch_makes() -> None:
    weights = PACKAGED / "uplam.safetensors"
    audio = np.random.default_rng(0).standard_normal((2400 * 5, 4))
    audio[2400:4800] = 0  # a silent frame
    covariance = visibility(audio, dtype=np.complex64)
    found, expected = GraphUpLAM(weights)(covariance), UpLAM.load(weights).latents(covariance)
    assert found.shape == (5, 9, 484) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("size", [1, 2, 3])
def test_no_digit_depends_on_how_many_frames_come_at_once(size: int) -> None:
    uplam = GraphUpLAM(PACKAGED / "uplam.safetensors")
    audio = np.random.default_rng(1).standard_normal((2400 * 7, 4))
    covariance = visibility(audio, dtype=np.complex64)
    parts = [uplam(covariance[start : start + size]) for start in range(0, 7, size)]
    np.testing.assert_array_equal(np.concatenate(parts), uplam(covariance))


def test_positive_part_is_that_of_torch() -> None:
    given = hermitian(2)
    given[0, 0] = 0
    given[0, 0, :2, :2] = 1e-3  # many equal eigenvalues
    expected = torch_positive_part(torch.from_numpy(given)).numpy()
    np.testing.assert_allclose(positive_part(given), expected, atol=2e-5 * np.abs(given).max())


def test_where_single_precision_gives_up_double_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    given, eigh = hermitian(1, 4), np.linalg.eigh

    def fails_in_single(matrix: np.ndarray) -> object:
        if matrix.dtype == np.complex64:
            raise np.linalg.LinAlgError("Eigenvalues did not converge")
        return eigh(matrix)

    expected = positive_part(given)
    monkeypatch.setattr(np.linalg, "eigh", fails_in_single)
    np.testing.assert_allclose(positive_part(given), expected, atol=1e-5)


def test_packed_in_the_order_of_the_quadratic_filters() -> None:
    given = hermitian(1, 4)
    vectors = np.random.default_rng(1).standard_normal((9, 4, 7, 2)).view(np.complex128)[..., 0]
    expected = np.einsum("bnp,fbnm,bmp->fbp", vectors.conj(), given, vectors).real
    filters = quadratic_filters(torch.from_numpy(vectors)).numpy()
    values = np.einsum("fbk,bkp->fbp", packed(given), filters)
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-4)
