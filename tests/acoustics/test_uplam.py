"""UpLAM, against golden vectors and a frame-by-frame reference; checkpoints of both kinds."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests import GOLDEN
from tests.errors import raises
from tests.golden_weights import front_end_weights
from tests.reference.front_end import latent_map

from saiseld.acoustics.covariance import visibility
from saiseld.acoustics.uplam import UpLAM
from saiseld.conventions.sphere import projection_table
from saiseld.formats.checkpoint import write_checkpoint
from saiseld.runtime.errors import CheckpointError

Weights = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def weights() -> Weights:
    return front_end_weights(UpLAM(torch.float64).state_dict())


@pytest.fixture(scope="module")
def public(weights: Weights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as the public one is: a pickled state dict in float64 and complex128."""
    path = tmp_path_factory.mktemp("public") / "uplam.pth"
    torch.save({"model_state_dict": weights}, path)
    return path


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_latent_is_golden(public: Path, dtype: torch.dtype, tolerance: float) -> None:
    golden = np.load(GOLDEN / "uplam.npz")
    s4 = torch.from_numpy(np.load(GOLDEN / "visibility.npz")["S4"].transpose(1, 0, 2, 3).copy())
    model = UpLAM.load(public, dtype)
    latent = model(s4.to(dtype.to_complex()))
    assert latent.dtype == dtype
    assert relative_error(latent.numpy(), golden["latent"]) < tolerance
    canvas = latent.numpy()[..., projection_table("official")]
    assert relative_error(canvas[..., ::20, ::20], golden["equirect_sample"]) < max(tolerance, 1e-6)
    reconstruction = model.lam.reconstruct(latent).diagonal(dim1=-2, dim2=-1)
    assert relative_error(reconstruction.numpy(), golden["recon_diag"]) < tolerance


@pytest.mark.parametrize("own", [torch.float64, torch.float32])
@pytest.mark.parametrize("given", [torch.complex128, torch.complex64])
def test_any_complex_type_is_answered_in_the_models_own(
    public: Path, own: torch.dtype, given: torch.dtype
) -> None:
    model = UpLAM.load(public, own)
    audio = np.load(GOLDEN / "visibility.npz")["audio4"]
    covariance = torch.from_numpy(visibility(audio)).to(given)
    rounded = covariance.to(own.to_complex())
    for part, matrix, same in (
        (model, covariance, rounded),
        (model.lam, *map(model.cdbpn, (rounded, rounded))),
    ):
        latent = part(matrix.to(given))
        assert latent.dtype == own
        limit = 1e-9 if (own, given) == (torch.float64, torch.complex128) else 1e-4
        assert relative_error(latent.numpy(), part(same).numpy()) < limit
    assert model.latents(covariance.numpy()).dtype == latent.numpy().dtype


def test_the_fast_path_agrees_with_the_reference_from_audio_on(
    public: Path, weights: Weights
) -> None:
    audio = np.load(GOLDEN / "visibility.npz")["audio4"]
    expected = latent_map(audio.astype(float), weights)
    fast = UpLAM.load(public)(torch.from_numpy(visibility(audio, dtype=np.complex64)))
    assert relative_error(fast.numpy(), expected) < 1e-4
    exact = UpLAM.load(public, torch.float64)(torch.from_numpy(visibility(audio)))
    assert relative_error(exact.numpy(), expected) < 1e-9


def test_public_state_dict_keys_shapes_types_and_count() -> None:
    public = json.loads((GOLDEN / "uplam_state_dict.json").read_text())
    own = UpLAM(torch.float64).state_dict()
    assert {key: [list(v.shape), str(v.dtype)] for key, v in own.items()} == public
    assert sum(parameter.numel() for parameter in UpLAM().parameters()) == 2_840_168


def test_our_checkpoint_gives_the_same_model(public: Path, tmp_path: Path) -> None:
    model = UpLAM.load(public)
    write_checkpoint(tmp_path / "uplam.safetensors", model.state_dict(), {})
    again = UpLAM.load(tmp_path / "uplam.safetensors").state_dict()
    for key, value in model.state_dict().items():
        assert torch.equal(value, again[key]), key


def test_a_missing_key_is_named(weights: Weights, tmp_path: Path) -> None:
    torch.save({k: v for k, v in weights.items() if k != "lam.D"}, tmp_path / "uplam.pth")
    with raises(CheckpointError, place="key lam.D", expected="shape", found="nothing"):
        UpLAM.load(tmp_path / "uplam.pth")
