"""LAM, against golden vectors, and the positive part it rests on."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests import GOLDEN
from tests.errors import raises
from tests.golden_weights import front_end_weights

from saiseld.acoustics.lam import LAM, positive_part
from saiseld.conventions.arrays import FRONT_END_WAVELENGTH, eigenmike_xyz, steering
from saiseld.conventions.sphere import fibonacci_sphere
from saiseld.runtime.errors import CheckpointError


def filled(dtype: torch.dtype) -> LAM:
    model = LAM(dtype)
    model.load_state_dict(front_end_weights(model.state_dict()))
    return model.eval().requires_grad_(False)


def relative_error(found: torch.Tensor, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found.numpy() - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_latent_and_reconstruction_are_golden(dtype: torch.dtype, tolerance: float) -> None:
    golden = np.load(GOLDEN / "lam.npz")
    s32 = np.load(GOLDEN / "visibility.npz")["S32"].transpose(1, 0, 2, 3)
    model = filled(dtype)
    latent = model(torch.from_numpy(s32).to(dtype.to_complex()))
    assert latent.dtype == dtype
    assert relative_error(latent, golden["latent"]) < tolerance
    assert relative_error(model.reconstruct(latent), golden["recon"]) < tolerance


def test_public_state_dict_keys_shapes_and_types() -> None:
    public = json.loads((GOLDEN / "lam_state_dict.json").read_text())
    own = LAM(torch.float64).state_dict()
    assert {key: [list(v.shape), str(v.dtype)] for key, v in own.items()} == public


def test_a_fresh_lam_is_the_steered_response() -> None:
    wave = steering()[:, 300]
    covariance = torch.from_numpy(np.outer(wave, wave.conj())).expand(1, 9, 32, 32)
    latent = LAM(torch.float64)(covariance).detach()
    assert (latent.argmax(dim=-1) == 300).all()
    torch.testing.assert_close(latent[0, :, 300], torch.full((9,), 32.0**2, dtype=torch.float64))


def test_only_the_lower_triangle_counts() -> None:
    matrix = torch.randn(2, 9, 32, 32, dtype=torch.complex128, generator=torch.manual_seed(0))
    lower = torch.tril(matrix, -1)
    hermitian = lower + lower.mH + torch.diag_embed(matrix.diagonal(dim1=-2, dim2=-1).real)
    model = filled(torch.float64)
    torch.testing.assert_close(model(matrix), model(hermitian))


def test_the_positive_part_is_right_and_so_is_its_gradient() -> None:
    random = torch.manual_seed(1)
    matrix = torch.randn(3, 5, 5, dtype=torch.complex128, generator=random)
    hermitian = matrix + matrix.mH
    positive = positive_part(hermitian)
    assert torch.linalg.eigvalsh(positive).min() > -1e-12
    torch.testing.assert_close(positive - positive_part(-hermitian), hermitian)
    weight = torch.randn(3, 5, 5, dtype=torch.complex128, generator=random)

    def scalar(matrix: torch.Tensor) -> torch.Tensor:
        return (positive_part((matrix + matrix.mH) / 2) * weight).real.sum()

    assert torch.autograd.gradcheck(scalar, hermitian.requires_grad_())


def test_the_gradient_is_finite_where_eigenvalues_meet() -> None:
    identity = torch.eye(4, dtype=torch.complex128).requires_grad_()
    positive_part(identity).abs().square().sum().backward()
    torch.testing.assert_close(identity.grad, 2 * torch.eye(4, dtype=torch.complex128))


def test_a_checkpoint_with_a_wrong_shape_names_the_key(tmp_path: Path) -> None:
    state = LAM().state_dict()
    state["tau"] = state["tau"][:, :100]
    torch.save(state, tmp_path / "lam.pth")
    with raises(CheckpointError, place="key tau", expected="shape (9, 484)", found="shape"):
        LAM.load(tmp_path / "lam.pth")


def test_steering_agrees_with_the_covariance_convention() -> None:
    """A plane wave's pressures exp(+j k r.p) have the covariance a a^H."""
    direction = np.array([0.0, 1.0, 0.0])
    x = np.exp(2j * np.pi / FRONT_END_WAVELENGTH * eigenmike_xyz() @ direction)
    image = LAM(torch.float64)(torch.from_numpy(np.outer(x.conj(), x)).expand(1, 9, 32, 32))
    peak = fibonacci_sphere()[:, image[0, 0].argmax()]
    assert np.degrees(np.arccos(peak @ direction)) < 7


def test_a_small_covariance_among_zeros_has_a_positive_part() -> None:
    """Single-precision LAPACK fails on a few of these, aloud or with NaN."""
    random = torch.manual_seed(2)
    snapshots = torch.randn(4000, 10, 4, dtype=torch.complex128, generator=random)
    sparse = torch.zeros(4000, 32, 32, dtype=torch.complex128)
    sparse[:, ::8, ::8] = snapshots.mH @ snapshots / 10
    found = positive_part(sparse.to(torch.complex64))
    torch.testing.assert_close(found.to(torch.complex128), sparse, atol=1e-5, rtol=0)
