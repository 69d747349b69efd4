"""Self-supervised training of LAM and UpLAM (Roman2025).

An image x is right if ``A diag(x) A^H`` is the covariance that the array hears, so no labels are
needed: covariances are drawn on the fly (`saiseld.training.uplam.covariances`), and step k draws
from the seed and k alone, so that a run stopped and resumed sees what an unbroken one would.

Three choices make this work on a CPU in minutes:

- The natural scale of x is about 1e-4 (its sum times 32 is the trace of the covariance), where
  rectifiers die before they learn anything. x is trained, and stored, `LATENT_GAIN` times as large.
- D is the array's response and stays so, and LAM's thresholds and convolutions are shared by all
  directions (`SharedLAM`). Given freedom, each of the 484 directions learns from the few frames
  with a source there: the loss falls, but the peaks scatter.
- The upsampler starts by carrying the four channels over (`saiseld.training.uplam.carry`), so
  training begins at the 4-channel steered response and ends at the state that found directions
  best.

Reconstruction alone leaves the peaks where the steered response has them: what it gains, it gains
in frames that are easy. So the simulator's knowledge of where the sources are is used as well
(`PointingLoss`); a recipe with ``pointing = 0`` is self-supervised throughout, as in the source.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from saiseld.acoustics.lam import LAM, positive_part, quadratic_filters, quadratic_values
from saiseld.acoustics.uplam import UpLAM
from saiseld.conventions.arrays import CHANNELS, TETRAHEDRON
from saiseld.conventions.bands import BANDS
from saiseld.conventions.sphere import DIRECTIONS, fibonacci_sphere
from saiseld.formats.checkpoint import load_weights, write_checkpoint
from saiseld.runtime.devices import DeviceName, device_of
from saiseld.runtime.files import only_run
from saiseld.runtime.parallel import die_with_parent
from saiseld.training.loop import Log, Trainer, check_finite, read
from saiseld.training.uplam.carry import carry_over, lift_order, rigid_beams
from saiseld.training.uplam.covariances import SceneRanges, draw_covariances
from saiseld.training.uplam.peaks import grid_smoothing, image_errors

LATENT_GAIN = CHANNELS * DIRECTIONS
"""Latents of models trained here are this many times the x of ``A diag(x) A^H``."""

STATE_NAME = "training.pt"
"""File in the output folder that a stopped run goes on from."""

_TARGET_STD_DEG = 5.0
_DARK = 1e-3
"""Brightness that directions have at the least, relative to the mean."""

LOST_DEG = 30.0
"""Larger direction errors count as this much when a state is chosen: lost is lost."""

SELECTION = SceneRanges(rt60_s=(0.3, 0.7), snr_db=(15.0, 15.0), sources=(0.5, 0.5))
_SELECTION_STREAM = 1 << 32


@dataclass(frozen=True, slots=True)
class UpLAMRecipe:
    """How to train.

    Parameters
    ----------
    lam_steps, uplam_steps
        Batches for LAM alone, on 4 and on 32 channels, and then for the upsampler.
    batch
        Frames a step.
    lam_rate, uplam_rate
        Largest rates of Adam; they rise over a tenth of a stage and then fall to nothing.
    pointing
        Weight of `PointingLoss` beside the reconstruction.
    seed
        Of weights and covariances.
    scenes
        What rooms and sounds are drawn from.
    evaluate_every
        Steps between two looks at the selection rooms, which are also saved states.
    selection_frames
        Frames in the selection rooms.
    """

    lam_steps: int = 400
    uplam_steps: int = 1200
    batch: int = 32
    lam_rate: float = 1e-2
    uplam_rate: float = 1e-3
    pointing: float = 0.1
    seed: int = 0
    scenes: SceneRanges = field(default_factory=SceneRanges)
    evaluate_every: int = 100
    selection_frames: int = 512


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """What a run leaves.

    Parameters
    ----------
    uplam, lam
        The model for 4 channels, and the one for 32 that it is measured against.
    losses
        (steps, 2): of the 4-channel and, while LAM is trained, the 32-channel images.
    selection
        Per look at the selection rooms: step, and UpLAM's mean direction error in degrees, errors
        beyond `LOST_DEG` counted as that.
    """

    uplam: UpLAM
    lam: LAM
    losses: list[tuple[float, float]]
    selection: list[tuple[int, float]]


class ReconstructionLoss(nn.Module):
    """``|A diag(x) A^H - T|^2 / |S|^2`` per frame and band, without forming the product.

    T is the target and S what is heard. ``|A diag(x) A^H - T|^2 = x' G x - 2 b' x + |T|^2`` with
    ``G = |A^H A|^2`` and ``b_p = a_p^H T a_p``.
    """

    filters: Tensor
    gram: Tensor

    def __init__(self, steering: Tensor) -> None:
        super().__init__()
        scaled = steering / LATENT_GAIN**0.5
        self.register_buffer("filters", quadratic_filters(scaled[None]).expand(BANDS, -1, -1))
        self.register_buffer("gram", (scaled.mH @ scaled).abs().square())

    def forward(self, latent: Tensor, target: Tensor, observed: Tensor) -> Tensor:
        """Return the mean loss of latents (B, 9, 484) for covariances (B, 9, 32, 32)."""
        response = quadratic_values(target, self.filters)
        excess = (latent * (latent @ self.gram - 2 * response)).sum(-1)
        return ((_energy(target) + excess) / _energy(observed)).mean()


class PointingLoss(nn.Module):
    """How unlikely the sources' directions are if sound comes from where the image is bright.

    ``-sum_p t_p log q_p``: t is where the sources are, spread a little over the grid, and q the
    mean image of the bands, smoothed as peaks are looked for (`saiseld.training.uplam.peaks`).
    """

    smoothing: Tensor

    def __init__(self) -> None:
        super().__init__()
        smooth = grid_smoothing(fibonacci_sphere()).astype(np.float32)
        self.register_buffer("smoothing", torch.from_numpy(smooth))

    def forward(self, latent: Tensor, target: Tensor) -> Tensor:
        """Return the mean loss of latents (B, 9, 484) for directions (B, 484) that sum to 1."""
        bright = latent.mean(1) @ self.smoothing.T
        bright = bright + _DARK * bright.mean(1, keepdim=True) + 1e-6
        return -(target * (bright / bright.sum(1, keepdim=True)).log()).sum(1).mean()


def target_map(directions: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return unit vectors (n, 3) as a distribution over the grid, (484,)."""
    apart = 1 - directions @ fibonacci_sphere()
    near = np.exp(-apart / np.radians(_TARGET_STD_DEG) ** 2).sum(axis=0)
    return np.asarray(near / near.sum(), np.float32)


class SharedLAM(nn.Module):
    """LAM with one threshold a band, and convolutions that mix bands but not directions.

    Neighbours on the Fibonacci spiral are far apart on the sphere, so nothing is lost. It starts as
    a vote: a direction stays where the bands agree on it, and a steered response is 4 at most.
    """

    def __init__(self) -> None:
        super().__init__()
        self.threshold = nn.Parameter(torch.zeros(BANDS, 1))
        self.mixing = nn.Parameter(torch.full((4, BANDS, BANDS), 1 / BANDS))
        self.bias = nn.Parameter(torch.full((4, BANDS, 1), -2.0))

    def forward(self, energies: Tensor) -> Tensor:
        """Return the latent maps of ``d_p^H S+ d_p``, both (frames, 9, 484)."""
        x = skip = energies - self.threshold
        for mixing, bias in zip(self.mixing, self.bias, strict=True):
            x = torch.relu(mixing @ x + bias + skip)
        return x

    @torch.no_grad()
    def write_to(self, lam: LAM) -> None:
        """Give a LAM these thresholds and convolutions."""
        lam.tau.copy_(self.threshold.expand_as(lam.tau))
        for index, (mixing, bias) in enumerate(zip(self.mixing, self.bias, strict=True), start=1):
            weight = lam.get_parameter(f"denoise{index}.weight")
            weight.zero_()[..., weight.shape[-1] // 2] = mixing
            lam.get_parameter(f"denoise{index}.bias").copy_(bias[:, 0])


def train_uplam(
    recipe: UpLAMRecipe,
    folder: Path,
    *,
    workers: int = 1,
    device: DeviceName = "auto",
    progress: Callable[[int, int, float], None] = lambda *_: None,
) -> Trained:
    """Train, or go on with a run that was stopped.

    Parameters
    ----------
    recipe
        How.
    folder
        Where `STATE_NAME`, the state to go on from, is kept.
    workers
        Processes that draw covariances; 0 draws them in this one.
    device
        Where the networks learn: ``auto`` takes a GPU where there is one. On ``mps``, which has no
        eigenvectors, they learn on the CPU.
    progress
        Called after each step with steps done, steps in all, loss.

    Raises
    ------
    DeviceError
        If the device is not there.
    RecipeError
        If the folder holds a run of another recipe, or the loss is not finite.
    OutputError
        If another run is in the folder.
    CheckpointError
        If the state in the folder is damaged.
    """
    there = device_of(device)
    device_used = torch.device("cpu" if there == "mps" else there)
    with only_run(folder):
        trainer = UpLAMTrainer(recipe, folder, device_used, workers, progress)
        trainer.run()
    return trainer.finished()


class _Batch(NamedTuple):
    """Covariances heard by 32 channels, of direct sound, heard by four; where the sources are."""

    observed: Tensor
    direct: Tensor
    tetrahedral: Tensor
    directions: Tensor


class Covariances(Dataset[_Batch]):
    """Batch k of a run."""

    def __init__(self, recipe: UpLAMRecipe) -> None:
        self.recipe = recipe

    def __getitem__(self, step: int) -> _Batch:
        rng = np.random.default_rng((self.recipe.seed, step))
        batch = draw_covariances(self.recipe.batch, rng, self.recipe.scenes)
        observed, direct, tetrahedral, directions = (
            torch.from_numpy(part)
            for part in (
                batch.full,
                batch.direct,
                batch.tetrahedral,
                np.stack([target_map(sources) for sources in batch.directions]),
            )
        )
        return _Batch(observed, direct, tetrahedral, directions)


class UpLAMTrainer(Trainer[_Batch]):
    """Models, optimizers and losses of a run; parameters as of `train_uplam`."""

    def __init__(
        self,
        recipe: UpLAMRecipe,
        folder: Path,
        device: torch.device,
        workers: int = 0,
        progress: Callable[[int, int, float], None] = lambda *_: None,
    ) -> None:
        total = recipe.lam_steps + recipe.uplam_steps
        super().__init__(folder, STATE_NAME, "uplam.safetensors", total, recipe.evaluate_every)
        self.recipe, self.device, self.workers, self.progress = recipe, device, workers, progress
        torch.manual_seed(recipe.seed)
        self.uplam, self.lam = UpLAM(), LAM()
        carry_over(self.uplam)
        beams = rigid_beams()
        with torch.no_grad():
            # Of the same power over 32 channels as over four, so that both learn at one rate.
            self.lam.D.copy_(beams * (len(TETRAHEDRON) / CHANNELS) ** 0.5)
        beams_of = beams[:, list(TETRAHEDRON)], self.lam.D.detach(), beams[:, lift_order()]
        self.filters_of_four, self.filters_of_all, self.filters_of_lift = (
            quadratic_filters(vectors).to(device) for vectors in beams_of
        )
        self.of_four, self.of_all = SharedLAM(), SharedLAM()
        self.shared = nn.ModuleList([self.of_four, self.of_all])
        self.reconstruction, self.pointing = ReconstructionLoss(self.lam.steering), PointingLoss()
        for part in (self.uplam, self.lam, self.shared, self.reconstruction, self.pointing):
            part.to(device)
        self.optimizer = torch.optim.Adam(
            [{"params": self.shared.parameters()}, {"params": self.uplam.cdbpn.parameters()}]
        )
        rng = np.random.default_rng((recipe.seed, _SELECTION_STREAM))
        self.selection_frames = draw_covariances(recipe.selection_frames, rng, SELECTION)
        self.losses: list[tuple[float, float]] = []
        self.selection: list[tuple[int, float]] = []
        self.best: dict[str, Tensor] = {}
        self._resume()

    def identity(self) -> Mapping[str, str]:
        """Return the recipe."""
        return {"recipe": json.dumps(asdict(self.recipe))}

    @contextmanager
    def open_log(self) -> Iterator[Log | None]:
        """Report progress to the caller; the losses themselves are in the state."""
        yield None

    def batches(self) -> Iterator[_Batch]:
        """Yield the batches of the steps that are left."""
        yield from DataLoader(
            Covariances(self.recipe),
            batch_size=None,
            sampler=range(self.done, self.total),
            num_workers=self.workers,
            worker_init_fn=die_with_parent,
        )

    def training_step(self, batch: _Batch) -> dict[str, float]:
        """Take one step."""
        recipe, done = self.recipe, self.done
        observed, direct, tetrahedral, directions = (
            part.to(self.device, non_blocking=True) for part in batch
        )
        rates = [0.0, 0.0]
        of_all, pointing = torch.zeros((2,), device=self.device)
        if done < recipe.lam_steps:
            rates[0] = _rate(recipe.lam_rate, done, recipe.lam_steps)
            latent = self.of_four(quadratic_values(tetrahedral, self.filters_of_four))
            latent_of_all = self.of_all(quadratic_values(observed, self.filters_of_all))
            of_all = self.reconstruction(latent_of_all, direct, observed)
        else:
            rates[1] = _rate(recipe.uplam_rate, done - recipe.lam_steps, recipe.uplam_steps)
            lifted = self.uplam.cdbpn(tetrahedral)
            # Eigenvectors want finite numbers, and a GPU is waited for there in any case.
            size = torch.view_as_real(lifted).abs().sum()
            check_finite(read({"covariance": size}), self.state_path, f"step {done}")
            latent = self.of_four(quadratic_values(positive_part(lifted), self.filters_of_lift))
            pointing = recipe.pointing * self.pointing(latent, directions)
        of_four = self.reconstruction(latent, direct, observed)
        loss = of_four + of_all + pointing
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.uplam.cdbpn.parameters(), 1.0)
        self.optimizer.step()
        values = read({"loss": loss, "of_four": of_four, "of_all": of_all})
        check_finite(values, self.state_path, f"step {done}")
        self.losses.append((values["of_four"], values["of_all"]))
        self.progress(done + 1, self.total, values["of_four"])
        return values

    def validate(self, log: Log | None) -> None:
        """Measure UpLAM in the selection rooms; keep it if it is the best one since LAM is."""
        self.of_four.write_to(self.uplam.lam)
        self.of_all.write_to(self.lam)
        with torch.no_grad():
            observed = torch.from_numpy(self.selection_frames.tetrahedral).to(self.device)
            image = self.uplam(observed).mean(1).double().cpu().numpy()
        errors = image_errors(image, self.selection_frames.directions)
        step, mean = len(self.losses), float(errors.clip(max=LOST_DEG).mean())
        upsampling = [error for at, error in self.selection if at >= self.recipe.lam_steps]
        self.selection.append((step, mean))
        if mean < min(upsampling, default=math.inf):
            self.best = {k: v.clone() for k, v in self.uplam.state_dict().items()}

    def state(self) -> dict[str, Any]:
        """Return weights, optimizer, losses and the best UpLAM."""
        return {
            "cdbpn": self.uplam.cdbpn.state_dict(),
            "shared": self.shared.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "losses": self.losses,
            "selection": self.selection,
            "best": self.best,
        }

    def _resume(self) -> None:
        parts = dict.fromkeys(("cdbpn", "shared", "optimizer", "best"), dict)
        state = self.saved({**parts, "losses": list, "selection": list})
        if state is None:
            return
        with self.reading_state():
            load_weights(self.uplam.cdbpn, state["cdbpn"], self.state_path)
            load_weights(self.shared, state["shared"], self.state_path)
            self.optimizer.load_state_dict(state["optimizer"])
        self.losses, self.selection = state["losses"], state["selection"]
        self.best = state["best"]

    def finished(self) -> Trained:
        """Return the best UpLAM and the last LAM, in evaluation mode, on the CPU."""
        self.uplam.load_state_dict(self.best)
        self.of_all.write_to(
            self.lam
        )  # no validation has, where a run was stopped after its last one
        for model in (self.uplam, self.lam):
            model.eval().requires_grad_(False).cpu()
        return Trained(self.uplam, self.lam, self.losses, self.selection)


def _rate(largest: float, step: int, steps: int) -> float:
    """Return a learning rate that rises over a tenth of the steps and then falls to nothing."""
    warm = max(1.0, steps / 10)
    fall = 0.5 * (1 + math.cos(math.pi * max(0.0, step - warm) / max(1.0, steps - warm)))
    return largest * min(1.0, (step + 1) / warm) * fall


def save_models(trained: Trained, recipe: UpLAMRecipe, folder: Path) -> None:
    """Write ``uplam.safetensors`` and ``lam.safetensors``, real weights in 16 bits."""
    header = {
        "projection": "great_circle",
        "latent_gain": LATENT_GAIN,
        "recipe": asdict(recipe),
        "data": "covariances of an em32 in simulated rooms, no recordings",
        "selection": {
            "mean_error_clipped_at_30_deg": min(error for _, error in trained.selection),
            "frames": recipe.selection_frames,
        },
    }
    for kind, model in (("uplam", trained.uplam), ("lam", trained.lam)):
        state = {
            key: value.half() if value.is_floating_point() else value
            for key, value in model.state_dict().items()
        }
        write_checkpoint(folder / f"{kind}.safetensors", state, {"kind": kind, **header})


def loss_figure(trained: Trained) -> bytes:
    """Return a PNG of the losses and of the direction error in the selection rooms, over steps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    names = ("4 channels", "32 channels")
    for losses, label in zip(np.array(trained.losses).T, names, strict=True):
        seen = losses[losses > 0]
        smooth = median_filter(seen, size=25, mode="nearest")
        axes.plot(np.arange(len(smooth)) + 1, smooth, label=f"loss, {label}")
    axes.set(xlabel="step", ylabel="relative squared error of the covariance", yscale="log")
    errors = axes.twinx()
    errors.plot(*np.array(trained.selection).T, "o-", color="tab:green", label="direction error")
    errors.set(ylabel="direction error in the selection rooms (degrees)", ylim=(0, None))
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    picture = BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    return picture.getvalue()


def _energy(covariance: Tensor) -> Tensor:
    """Return the squared Frobenius norm (B, 9), never quite zero."""
    return covariance.abs().square().sum((-1, -2)).clamp(min=1e-12)
