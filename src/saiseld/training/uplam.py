"""Self-supervised training of UpLAM (spec 2; Roman et al., WASPAA 2025).

A frame's 32-channel covariance is its own teacher: LAM learns an image x with ``A diag(x) A^H``
close to it, then UpLAM learns the same from the covariance of four of the channels. Covariances are
drawn on the fly (`saiseld.training.covariances`); step k draws from the seed and k alone, so a run
that is stopped and resumed sees what an unbroken one would.

The natural scale of x is about 1e-4 (its sum times 32 is the trace of the covariance), where
rectifiers die before they learn anything. So x is trained, and stored, `LATENT_GAIN` times as
large.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from saiseld.acoustics.array import CHANNELS, RADIUS_M, eigenmike_xyz, steering
from saiseld.acoustics.covariance import BANDS, band_frequencies
from saiseld.acoustics.lam import DIRECTIONS, quadratic_filters, quadratic_values
from saiseld.acoustics.uplam import UpLAM
from saiseld.errors import RecipeError
from saiseld.files import atomic_path
from saiseld.simulation.rigid_sphere import SPEED_OF_SOUND, rigid_sphere_response
from saiseld.sphere import fibonacci_sphere
from saiseld.training.covariances import SceneRanges, draw_covariances

LATENT_GAIN = CHANNELS * DIRECTIONS
"""Latents of models trained here are this many times the x of ``A diag(x) A^H``."""

LIFT_GAIN = CHANNELS
"""The upsampler is trained to give this many times the covariance, whose entries are about 1/32."""

LAM_RATE = 4.0
"""Learning rate of LAM alone, relative to the upsampler's."""

STATE_NAME = "training.pt"
"""File in the output folder that a stopped run goes on from."""

CHECKPOINT_EVERY = 200
"""Steps between two saved states."""

Dictionary = Literal["free_field", "rigid_sphere"]


@dataclass(frozen=True, slots=True)
class UpLAMRecipe:
    """How to train.

    Parameters
    ----------
    lam_steps, lift_steps, joint_steps
        Batches for LAM alone on 32 channels, for the upsampler alone, for both together.
    batch
        Frames a step.
    learning_rate
        Largest rate of Adam for the upsampler; LAM alone has `LAM_RATE` times as much. Rates rise
        over a twentieth of the way and then fall to nothing.
    dictionary
        What the image must explain the covariance with: ``free_field`` is the source's A, one
        wavelength for all bands; ``rigid_sphere`` is the array's response in each band.
    seed
        Of weights and covariances.
    bfloat16
        Compute the upsampler's convolutions in bfloat16 while training.
    scenes
        What rooms and sounds are drawn from.
    """

    lam_steps: int = 400
    lift_steps: int = 2000
    joint_steps: int = 1000
    batch: int = 32
    learning_rate: float = 2e-3
    dictionary: Dictionary = "rigid_sphere"
    seed: int = 0
    bfloat16: bool = True
    scenes: SceneRanges = field(default_factory=SceneRanges)


class ReconstructionLoss(nn.Module):
    """``|A diag(x) A^H - S|^2 / |S|^2`` per frame and band, without forming the product.

    It equals ``(x' G x - 2 b' x) / |S|^2 + 1`` with ``G = |A^H A|^2`` and ``b_p = a_p^H S a_p``.
    """

    filters: Tensor
    gram: Tensor

    def __init__(self, atoms: Tensor) -> None:
        super().__init__()
        scaled = atoms / LATENT_GAIN**0.5
        self.register_buffer("filters", quadratic_filters(scaled))
        self.register_buffer("gram", (scaled.mH @ scaled).abs().square())

    def forward(self, latent: Tensor, covariance: Tensor) -> Tensor:
        """Return the mean loss of latents (B, 9, 484) for covariances (B, 9, 32, 32)."""
        x = latent.transpose(0, 1)
        response = quadratic_values(covariance, self.filters).transpose(0, 1)
        excess = (x * (x @ self.gram - 2 * response)).sum(-1).transpose(0, 1)
        return (1 + excess / energy(covariance)).mean()


def energy(covariance: Tensor) -> Tensor:
    """Return the squared Frobenius norm (B, 9), never quite zero."""
    return covariance.abs().square().sum((-1, -2)).clamp(min=1e-12)


def atoms(kind: Dictionary) -> Tensor:
    """Return the (9, 32, 484) array response per band and direction, of unit mean power."""
    if kind == "free_field":
        matrix = np.broadcast_to(steering(), (BANDS, CHANNELS, DIRECTIONS))
    else:
        ka = 2 * np.pi * band_frequencies() * RADIUS_M / SPEED_OF_SOUND
        cosine = eigenmike_xyz() @ fibonacci_sphere() / RADIUS_M
        matrix = rigid_sphere_response(ka, cosine).conj()
        matrix = matrix / np.sqrt(np.mean(np.abs(matrix) ** 2, axis=1, keepdims=True))
    return torch.from_numpy(matrix.astype(np.complex64))


def train_uplam(
    recipe: UpLAMRecipe,
    folder: Path,
    *,
    workers: int = 1,
    progress: Callable[[int, int, float], None] = lambda *_: None,
) -> tuple[UpLAM, list[float]]:
    """Train, or go on with a run that was stopped; return the model and the loss of every step.

    Parameters
    ----------
    recipe
        How.
    folder
        Where `STATE_NAME`, the state to go on from, is kept.
    workers
        Processes that draw covariances; 0 draws them in this one.
    progress
        Called after each step with steps done, steps in all, loss.

    Raises
    ------
    saiseld.errors.RecipeError
        If the folder holds a run of another recipe, or the loss is not finite.
    """
    total = recipe.lam_steps + recipe.lift_steps + recipe.joint_steps
    run = _Run(recipe, folder / STATE_NAME)
    run.resume()
    batches = DataLoader(
        _Covariances(recipe),
        batch_size=None,
        sampler=range(len(run.losses), total),
        num_workers=workers,
    )
    for full, tetrahedral in batches:
        run.step(full, tetrahedral)
        step = len(run.losses)
        progress(step, total, run.losses[-1])
        if step % CHECKPOINT_EVERY == 0 or step == total:
            run.save()
    return run.finished(), run.losses


class _Covariances(Dataset[tuple[Tensor, Tensor]]):
    """Batch k of a run: 32- and 4-channel covariances of the same frames."""

    def __init__(self, recipe: UpLAMRecipe) -> None:
        self.recipe = recipe

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((self.recipe.seed, step))
        batch = draw_covariances(self.recipe.batch, rng, self.recipe.scenes)
        return torch.from_numpy(batch.full), torch.from_numpy(batch.tetrahedral)


class _Run:
    """Model, optimizer and losses of a run."""

    def __init__(self, recipe: UpLAMRecipe, state: Path) -> None:
        self.recipe, self.state = recipe, state
        torch.manual_seed(recipe.seed)
        dictionary = atoms(recipe.dictionary)
        self.model = UpLAM()
        self.model.cdbpn.to(memory_format=torch.channels_last)  # a third faster on CPU
        with torch.no_grad():
            self.model.lam.D.copy_(dictionary)
        self.reconstruction = ReconstructionLoss(dictionary)
        groups = (self.model.lam, self.model.cdbpn)
        self.optimizer = torch.optim.Adam([{"params": list(g.parameters())} for g in groups])
        self.losses: list[float] = []

    def step(self, full: Tensor, tetrahedral: Tensor) -> None:
        """Take one step on 32- and 4-channel covariances of the same frames."""
        lam_rate, lift_rate = self._rates(len(self.losses))
        for group, rate in zip(self.optimizer.param_groups, (lam_rate, lift_rate), strict=True):
            group["lr"] = rate
        if len(self.losses) < self.recipe.lam_steps:
            loss = self.reconstruction(self.model.lam(full), full)
        else:
            with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.bfloat16):
                real, imaginary = self.model.cdbpn.parts(tetrahedral)
            predicted = torch.complex(real.float(), imaginary.float()) / LIFT_GAIN
            loss = ((predicted - full).abs().square().sum((-1, -2)) / energy(full)).mean()
            if len(self.losses) >= self.recipe.lam_steps + self.recipe.lift_steps:
                loss = loss + self.reconstruction(self.model.lam(predicted), full)
        if not torch.isfinite(loss):
            raise RecipeError(
                self.state,
                place=f"step {len(self.losses)}",
                expected="a finite loss",
                found=str(loss.item()),
                advice="The state before it is kept; lower the learning rate",
            )
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.losses.append(loss.item())

    def _rates(self, step: int) -> tuple[float, float]:
        """Return the learning rates of LAM and upsampler at a step."""
        recipe = self.recipe
        together = recipe.lift_steps + recipe.joint_steps
        alone = step < recipe.lam_steps
        done, length = (step, recipe.lam_steps) if alone else (step - recipe.lam_steps, together)
        warm = max(1.0, length / 20)
        fall = 0.5 * (1 + np.cos(np.pi * max(0.0, done - warm) / max(1.0, length - warm)))
        rate = recipe.learning_rate * min((done + 1) / warm, fall)
        return (LAM_RATE * rate, 0.0) if alone else (rate, rate)

    def finished(self) -> UpLAM:
        """Return the model at its public scale, in evaluation mode."""
        for part in ("rel", "imag"):
            for value in self.model.get_submodule(f"cdbpn.output_conv_{part}").parameters():
                value.data /= LIFT_GAIN
        return self.model.eval().requires_grad_(False)

    def save(self) -> None:
        """Write the state to go on from."""
        content = {
            "recipe": asdict(self.recipe),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "losses": self.losses,
        }
        with atomic_path(self.state) as temporary:
            torch.save(content, temporary)

    def resume(self) -> None:
        """Go on from the saved state, if there is one."""
        if not self.state.exists():
            return
        content = torch.load(self.state, weights_only=True)
        if content["recipe"] != asdict(self.recipe):
            raise RecipeError(
                self.state,
                expected="a run of this recipe",
                found="one of another",
                advice="Choose another output folder or the same options",
            )
        self.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.losses = content["losses"]
