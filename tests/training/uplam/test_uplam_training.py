"""UpLAM training: where it starts, what it minimises, that it resumes and what can go wrong."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.errors import raises

from saiseld.acoustics.lam import LAM
from saiseld.acoustics.uplam import UpLAM
from saiseld.conventions.arrays import TETRAHEDRON
from saiseld.conventions.sphere import fibonacci_sphere
from saiseld.runtime.errors import CheckpointError, RecipeError
from saiseld.training.uplam import run
from saiseld.training.uplam.carry import carry_over, lift_order, rigid_beams
from saiseld.training.uplam.covariances import SceneRanges, draw_covariances
from saiseld.training.uplam.peaks import image_errors, peak_directions
from saiseld.training.uplam.run import (
    LATENT_GAIN,
    STATE_NAME,
    PointingLoss,
    ReconstructionLoss,
    SharedLAM,
    Trained,
    UpLAMRecipe,
    save_models,
    target_map,
    train_uplam,
)

LOOKS_OFTEN = UpLAMRecipe(evaluate_every=2, selection_frames=4)
TINY = replace(LOOKS_OFTEN, lam_steps=3, uplam_steps=2, batch=2)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Trained]:
    """The folder of a run that has ended, and what it gave."""
    folder = tmp_path_factory.mktemp("finished")
    return folder, train_uplam(TINY, folder, workers=0)


def test_covariances_are_normalised_and_of_the_same_frames() -> None:
    batch = draw_covariances(3, np.random.default_rng(0))
    assert batch.full.shape == (3, 9, 32, 32) and batch.tetrahedral.shape == (3, 9, 4, 4)
    for covariance in (batch.full, batch.tetrahedral):
        np.testing.assert_allclose(np.linalg.eigvalsh(covariance)[..., -1], 1, rtol=1e-4)
    four = batch.full[..., list(TETRAHEDRON), :][..., list(TETRAHEDRON)]
    scale = np.linalg.eigvalsh(four)[..., -1, None, None]
    np.testing.assert_allclose(four / scale, batch.tetrahedral, atol=1e-4)


def test_a_close_source_in_a_dry_room_is_where_the_steered_response_peaks() -> None:
    dry = SceneRanges((0.1, 0.1), (40, 40), (0.5, 0.6), (1.0,))
    batch = draw_covariances(6, np.random.default_rng(1), dry)
    beams = rigid_beams().numpy()
    energies = np.einsum("bip,nbij,bjp->np", beams.conj(), batch.full, beams, optimize=True).real
    assert image_errors(energies, batch.directions).max() < 10
    atoms = LAM().steering.numpy()
    of_direct = np.einsum("ip,nbij,jp->np", atoms.conj(), batch.direct, atoms, optimize=True).real
    assert image_errors(of_direct, batch.directions).max() < 6


def test_the_same_seed_draws_the_same() -> None:
    first, second = (draw_covariances(2, np.random.default_rng((5, 7))) for _ in range(2))
    np.testing.assert_array_equal(first.full, second.full)


def test_training_starts_at_the_steered_response_of_the_four_capsules() -> None:
    torch.manual_seed(0)
    model = UpLAM()
    carry_over(model)
    covariance = torch.from_numpy(draw_covariances(2, np.random.default_rng(2)).tetrahedral)
    with torch.no_grad():
        lifted = model.cdbpn(covariance)
        torch.testing.assert_close(lifted[..., ::8, ::8], covariance)
        assert (lifted != 0).sum() == covariance.numel()
        beams = rigid_beams()[:, list(TETRAHEDRON)]
        response = torch.einsum("bip,nbij,bjp->nbp", beams.conj(), covariance, beams).real
        torch.testing.assert_close(model(covariance), response, atol=1e-5, rtol=1e-4)


def test_the_lift_order_puts_each_input_capsule_first_among_its_neighbours() -> None:
    order = lift_order()
    assert sorted(order) == list(range(32))
    assert tuple(order[::8]) == TETRAHEDRON


def test_the_loss_is_the_distance_of_the_reconstruction() -> None:
    lam = LAM(torch.float64)
    batch = draw_covariances(2, np.random.default_rng(3))
    target, heard = (torch.from_numpy(c).to(torch.complex128) for c in (batch.direct, batch.full))
    latent = torch.rand(2, 9, 484, dtype=torch.float64, generator=torch.manual_seed(3))
    difference = lam.reconstruct(latent).detach() / LATENT_GAIN - target
    expected = (difference.abs().square().sum((-1, -2)) / heard.abs().square().sum((-1, -2))).mean()
    torch.testing.assert_close(ReconstructionLoss(lam.steering)(latent, target, heard), expected)


def test_a_shared_lam_is_a_lam() -> None:
    torch.manual_seed(4)
    shared, lam = SharedLAM(), LAM()
    with torch.no_grad():
        for parameter in shared.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    shared.write_to(lam)
    energies = 4 * torch.rand(2, 9, 484)
    torch.testing.assert_close(lam.denoised(energies), shared(energies))


def test_lam_learns(tmp_path: Path) -> None:
    recipe = replace(LOOKS_OFTEN, lam_steps=24, uplam_steps=0, batch=6)
    trained = train_uplam(recipe, tmp_path, workers=0)
    start = LAM()
    start.D.data.copy_(trained.lam.D)
    SharedLAM().write_to(start)
    unseen = draw_covariances(32, np.random.default_rng(99))
    heard, target = torch.from_numpy(unseen.full), torch.from_numpy(unseen.direct)
    loss = ReconstructionLoss(start.steering)
    with torch.no_grad():
        assert loss(trained.lam(heard), target, heard) < 0.8 * loss(start(heard), target, heard)


def test_pointing_prefers_images_that_are_bright_at_the_sources() -> None:
    sources = fibonacci_sphere()[:, [100, 300]].T
    target = torch.from_numpy(target_map(sources))[None]
    assert float(target.sum()) == pytest.approx(1, abs=1e-5)
    assert set(target[0].topk(2).indices.tolist()) == {100, 300}
    loss, maps = PointingLoss(), torch.zeros(3, 9, 484)
    maps[0, :, [100, 300]] = 1.0
    maps[1, :, 100] = 1.0
    maps[2] = 1.0
    both, one, nowhere = (float(loss(image[None], target)) for image in maps)
    assert both < nowhere < one  # a source in the dark costs most
    assert nowhere == pytest.approx(np.log(484), abs=1e-3)


def test_a_stopped_run_goes_on_to_the_same_end(
    finished: tuple[Path, Trained], tmp_path: Path
) -> None:
    _, whole = finished

    def stop(done: int, total: int, loss: float) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_uplam(TINY, tmp_path / "parts", workers=0, progress=stop)
    resumed = train_uplam(TINY, tmp_path / "parts", workers=0)
    assert resumed.losses == whole.losses and resumed.selection == whole.selection
    for key, value in whole.uplam.state_dict().items():
        assert torch.equal(value, resumed.uplam.state_dict()[key]), key


def test_a_run_stopped_after_its_last_state_still_has_both_models(
    finished: tuple[Path, Trained],
) -> None:
    folder, trained = finished
    again = train_uplam(TINY, folder, workers=0)
    for kind in ("uplam", "lam"):
        found = getattr(again, kind).state_dict()
        for key, value in getattr(trained, kind).state_dict().items():
            assert torch.equal(value, found[key]), f"{kind}.{key}"


def test_saved_models_load_and_say_what_they_are(
    finished: tuple[Path, Trained], tmp_path: Path
) -> None:
    _, trained = finished
    save_models(trained, TINY, tmp_path)
    covariance = torch.from_numpy(draw_covariances(1, np.random.default_rng(6)).tetrahedral)
    expected = trained.uplam(covariance)
    found = UpLAM.load(tmp_path / "uplam.safetensors")(covariance)
    torch.testing.assert_close(found, expected, atol=5e-3 * float(expected.max()), rtol=0)
    assert torch.isfinite(LAM.load(tmp_path / "lam.safetensors").D.abs()).all()


def test_another_recipe_in_the_folder_is_refused(finished: tuple[Path, Trained]) -> None:
    folder, _ = finished
    with raises(RecipeError, place="recipe", expected='"batch": ', found='"batch": 3'):
        train_uplam(replace(TINY, batch=3), folder, workers=0)


def test_a_damaged_state_is_refused(tmp_path: Path) -> None:
    (tmp_path / STATE_NAME).write_bytes(b"not a state")
    with raises(CheckpointError, "training.pt", expected="the state of a training run"):
        train_uplam(TINY, tmp_path, workers=0)


def test_numbers_that_are_not_finite_stop_the_run_and_the_last_state_stays(tmp_path: Path) -> None:
    with raises(RecipeError, place="step 4, covariance", expected="a finite number", found="nan"):
        train_uplam(replace(TINY, uplam_rate=1e30, evaluate_every=3), tmp_path, workers=0)
    state = torch.load(tmp_path / STATE_NAME, weights_only=True)
    assert len(state["losses"]) == 3
    assert all(torch.isfinite(value).all() for value in state["cdbpn"].values())


def test_a_step_stays_on_its_device_until_its_numbers_are_read(tmp_path: Path, monkeypatch) -> None:
    read: list[dict[str, torch.Tensor]] = []

    def no_numbers(values: dict[str, torch.Tensor]) -> dict[str, float]:
        read.append(values)
        return dict.fromkeys(values, 0.0)

    # A device without numbers: whoever waits for one, or mixes devices, fails. That there are
    # eigenvectors takes a wait, and a read before it.
    monkeypatch.setattr(run, "read", no_numbers)
    monkeypatch.setattr(run, "positive_part", lambda covariance: covariance)
    trainer = run.UpLAMTrainer(TINY, tmp_path, torch.device("meta"))
    batch = run.Covariances(TINY)[0]
    for _ in range(TINY.lam_steps + 1):
        trainer.training_step(batch)
        trainer.done += 1
    assert [len(values) for values in read] == [3] * TINY.lam_steps + [1, 3]
    assert all(value.is_meta for values in read for value in values.values())


def test_peaks_are_the_highest_and_apart() -> None:
    grid = fibonacci_sphere()
    image = np.maximum(grid.T @ grid[:, 100], 0) ** 40
    image += 0.5 * np.maximum(grid.T @ grid[:, 300], 0) ** 40
    cosine = np.sum(peak_directions(image, 2) * grid[:, [100, 300]].T, axis=1)
    assert np.degrees(np.arccos(cosine)).max() < 2.5  # the step of the points looked at
