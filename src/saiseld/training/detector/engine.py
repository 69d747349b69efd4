"""Training a detector: the loop, its checkpoints, the choice of an epoch (KIST2026, Sec. 2.2).

A run is a function of its recipe, its data and the weights it starts from. Frames, their order and
their augmentation are drawn from (seed, epoch, step); what other chance there is is saved with the
state. A run that was stopped and goes on ends in the same weights, bit for bit, as an unbroken one.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from time import monotonic
from typing import Any, cast

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.utils import broadcast_object_list, gather_object
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from saiseld.detector.losses import class_weights
from saiseld.detector.model import Detector
from saiseld.detector.targets import FrameTargets
from saiseld.evaluation.scores import json_values
from saiseld.formats.checkpoint import load_weights
from saiseld.runtime.devices import DeviceName, device_of
from saiseld.runtime.errors import CheckpointError, refusing
from saiseld.runtime.files import only_run, output_folder
from saiseld.runtime.parallel import die_with_parent
from saiseld.training.detector.augmentation import augment
from saiseld.training.detector.data import TrainingData
from saiseld.training.detector.dataset import collate
from saiseld.training.detector.model_selection import Selection
from saiseld.training.detector.optimisation import freeze, one_cycle, optimizer_of, set_rate
from saiseld.training.detector.recipes import Recipe
from saiseld.training.detector.run_state import (
    TrainingState,
    load_run_state,
    random_state,
    save_run_state,
    set_random_state,
)
from saiseld.training.detector.sampling import epoch_frames, public_epoch_frames
from saiseld.training.detector.start_weights import start_from
from saiseld.training.logs import RunLog, run_log
from saiseld.training.steps import check_finite, read, usable_precision

STATE = "state.pt"
WEIGHTS = "detector.safetensors"

_log = logging.getLogger(__name__)


class Trainer:
    """A training run, from its beginning or from where it stopped.

    Parameters
    ----------
    data
        What to learn from and to select by.
    recipe
        How.
    output
        Folder of the run: ``detector.safetensors`` (the best epoch), ``state.pt``, ``log.jsonl``,
        ``tensorboard``.
    start
        Weights to start from: a detector's, or torchvision's COCO Mask R-CNN.
    workers
        Processes that read frames.
    device
        Where the network learns: ``auto`` takes a GPU where there is one.

    Raises
    ------
    DeviceError
        If the device is not there.
    RecipeError
        If the folder holds a run of another recipe or other data.
    """

    def __init__(
        self,
        data: TrainingData,
        recipe: Recipe,
        output: str | Path,
        *,
        start: str | Path | None = None,
        workers: int = 0,
        device: DeviceName = "auto",
    ) -> None:
        found = device_of(device)
        on_cpu = found == "cpu"
        self.data, self.recipe, self.workers = data, recipe, workers
        self.output = output_folder(output)
        self.accelerator = Accelerator(
            cpu=on_cpu,
            mixed_precision=usable_precision(recipe.precision, torch.device(found)),
            # A batch without a sound leaves the energy and distance heads out.
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        )
        together = self.accelerator.num_processes * recipe.batch_size
        self.steps: int = max(recipe.frames_per_epoch // together, 1)
        self.epoch, self.step = 1, 0
        self.best, self.plateau, self.stale, self.rate = -1.0, -1.0, 0, 1.0
        self.started_from = "scratch" if start is None else Path(start).name
        torch.manual_seed(recipe.seed)
        self.detector = Detector(
            recipe.size,
            data.projection,
            frozen_norms=recipe.frozen_norms,
            context=recipe.context,
            frame_scaling=recipe.frame_scaling,
        )
        self._begin(start)

    def run(self) -> Path:
        """Train to the recipe's last epoch and return the best epoch's weights.

        Raises
        ------
        RecipeError
            If a loss or gradient stops being finite; the last saved state is kept.
        OutputError
            If another run is in the folder.
        """
        main = self.accelerator.is_main_process
        selection = Selection(self.data.select, self.recipe.selection_frames) if main else None
        total = self.recipe.epochs * self.steps
        alone = only_run(self.output) if main else nullcontext()
        with alone, run_log(self.output, self._done, total) if main else nullcontext() as log:
            while self.epoch <= self.recipe.epochs:
                for values in self.epoch_steps():
                    if log is not None:
                        log.step(self._done, self.epoch, values)
                    if self._is_due():
                        self.save()
                self._finish_epoch(selection, log)
        return self.output / WEIGHTS

    def epoch_steps(self) -> Iterator[dict[str, float]]:
        """Make the steps that are left of this epoch, yielding the losses of each."""
        self.detector.train()
        freeze(self.detector, self.recipe, self.epoch)
        # What stands still may have changed, and with it what processes tell each other.
        model = self.accelerator.prepare_model(self.detector)
        for rgb, latent, targets in self._batches():
            values = self.training_step(model, rgb, latent, targets)
            self.step += 1
            yield values
        self.accelerator.unwrap_model(model, keep_fp32_wrapper=False)

    def save(self) -> None:
        """Write the state that a run goes on from, in place of the former one."""
        scaler = self.accelerator.scaler
        random = gather_object([random_state()])
        if self.accelerator.is_main_process:
            recipe, data = self._identity()
            state: TrainingState = {
                "recipe": recipe,
                "data": data,
                "epoch": self.epoch,
                "step": self.step,
                "model": self.detector.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": {} if scaler is None else scaler.state_dict(),
                "random": random,
                "best": self.best,
                "plateau": self.plateau,
                "stale": self.stale,
                "rate": self.rate,
            }
            save_run_state(self.output / STATE, state)
        self._saved_at = monotonic()

    @property
    def _done(self) -> int:
        """Steps done, over all epochs."""
        return self.steps * (self.epoch - 1) + self.step

    def _identity(self) -> tuple[str, str]:
        """Return what makes a run this one and no other: recipe and data."""
        provenance_of_run = {**self.data.provenance, "started_from": self.started_from}
        return self.recipe.model_dump_json(), json.dumps(provenance_of_run)

    def _reading_state(self) -> AbstractContextManager[None]:
        return refusing(CheckpointError, self.output / STATE, "the state of this training run")

    def _begin(self, start: str | Path | None) -> None:
        """Go on from the saved state, or begin with the weights to start from."""
        state = None
        if (self.output / STATE).exists():
            state = load_run_state(self.output / STATE, *self._identity())
            with self._reading_state():
                load_weights(self.detector, state["model"], self.output / STATE)
            self.epoch, self.step = state["epoch"], state["step"]
            self.best, self.plateau = state["best"], state["plateau"]
            self.stale, self.rate = state["stale"], state["rate"]
            _log.info("%s: going on at epoch %d, step %d", self.output, self.epoch, self.step)
        elif start is None:
            _log.info("weights: from scratch")
            if self.recipe.size == "paper" and self.recipe.frozen_norms:
                _log.warning(
                    "frozen norms hardly learn from scratch: recipe paper_scratch has none"
                )
        else:
            _log.info("weights: %d tensors of %s", start_from(self.detector, start), start)
        if state is None and self.recipe.balanced_loss:
            counts = torch.from_numpy(self.data.train.counts.sum(axis=0))
            self.detector.class_weights.copy_(class_weights(counts))
        # Convolutions are a fifth faster with the channels last.
        self.detector.to(self.accelerator.device).to(memory_format=torch.channels_last)
        self.optimizer = self.accelerator.prepare(optimizer_of(self.detector, self.recipe))
        rank = self.accelerator.process_index
        torch.manual_seed(hash((self.recipe.seed, rank)))
        if state is not None:
            with self._reading_state():
                self.optimizer.load_state_dict(state["optimizer"])
                if self.accelerator.scaler is not None:
                    self.accelerator.scaler.load_state_dict(state["scaler"])
                set_random_state(state["random"][rank])
        self._saved_at = monotonic()

    def _batches(self) -> Iterator[tuple[Tensor, Tensor, list[FrameTargets]]]:
        """Yield this process's batches from the next step of the epoch on."""
        recipe, data = self.recipe, self.data.train
        together = self.accelerator.num_processes * recipe.batch_size
        count = self.steps * together
        if recipe.sampling == "public":
            frames = public_epoch_frames(data.counts, count, recipe.seed, self.epoch)
        else:
            frames = epoch_frames(data.counts, count, recipe.silent_share, recipe.seed, self.epoch)
        rng = np.random.default_rng([recipe.seed, self.epoch, 0])
        shown = frames + len(data) * rng.integers(
            len(self.data.varied) // len(data), size=frames.shape
        )
        chosen = shown.reshape(self.steps, -1, recipe.batch_size)[
            self.step :, self.accelerator.process_index
        ]
        yield from DataLoader(
            Subset(self.data.varied, chosen.reshape(-1).tolist()),
            batch_size=recipe.batch_size,
            collate_fn=collate,
            num_workers=self.workers,
            worker_init_fn=die_with_parent,
            generator=torch.Generator(),  # not torch's own, whose state is the run's
        )

    def training_step(
        self, model: Any, rgb: Tensor, latent: Tensor, targets: list[FrameTargets]
    ) -> dict[str, float]:
        """Make a step and return its losses."""
        recipe, device = self.recipe, self.accelerator.device
        rank = self.accelerator.process_index
        images = self.detector.compose(rgb.to(device), latent.to(device))
        rng = np.random.default_rng([recipe.seed, self.epoch, self.step, rank])
        images, targets = augment(
            images, [_on(device, target) for target in targets], recipe.augmentation, rng
        )
        set_rate(self.optimizer, recipe.learning_rate * self._rate())
        losses = model(images.contiguous(memory_format=torch.channels_last), targets)
        weight = recipe.loss_weights.model_dump()
        total = sum(weight[name] * loss for name, loss in losses.items())
        self.accelerator.backward(total)
        norm = self.accelerator.clip_grad_norm_(self.detector.parameters(), recipe.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        reported = {"loss": total, **losses}
        values = read({**reported, "gradient norm": norm})
        if self.accelerator.scaler is not None:  # it skips steps of infinite gradients by itself
            del values["gradient norm"]
        place = f"epoch {self.epoch}, step {self.step + 1} of {self.steps}"
        check_finite(values, self.output / STATE, place)
        return {name: values[name] for name in reported}

    def _rate(self) -> float:
        """Return the share of the full learning rate."""
        if self.recipe.schedule == "plateau":
            return self.rate
        return one_cycle(
            self._done / (self.recipe.epochs * self.steps), self.recipe.warmup_fraction
        )

    def _is_due(self) -> bool:
        due = [monotonic() - self._saved_at >= 60 * self.recipe.checkpoint_minutes]
        broadcast_object_list(due)  # the first process decides for all
        return due[0]

    def _finish_epoch(self, selection: Selection | None, log: RunLog | None) -> None:
        """Measure the epoch, keep its weights if they are the best, adapt the rate, save."""
        score = [-1.0]
        if selection is not None and log is not None:
            scores = selection.score(self.detector.eval()).headline()
            score = [scores["macro_mAP"]]
            log.epoch(self._done, self.epoch, scores)
            if score[0] > self.best:
                self.detector.save(self.output / WEIGHTS, half=True, header=self._header(scores))
        broadcast_object_list(score)
        self.best = max(self.best, score[0])
        if score[0] > self.plateau:
            self.plateau, self.stale = score[0], 0
        else:
            self.stale += 1
        if self.stale > self.recipe.patience:
            self.rate, self.stale = self.rate / 2, 0
        self.epoch, self.step = self.epoch + 1, 0
        if self.recipe.plateau_restarts and any(
            group.begins_in(self.epoch) for group in self.recipe.groups
        ):
            self.plateau, self.stale, self.rate = -1.0, 0, 1.0
        self.save()

    def _header(self, scores: Mapping[str, float]) -> dict[str, Any]:
        return {
            "recipe": self.recipe.model_dump(mode="json"),
            "data": self.data.provenance,
            "started_from": self.started_from,
            "epoch": self.epoch,
            "selection": json_values(scores),
        }


def _on(device: torch.device, target: FrameTargets) -> FrameTargets:
    moved = {name: cast(Tensor, value).to(device) for name, value in target.items()}
    return cast(FrameTargets, moved)
