"""Training a detector: its steps, and the choice of an epoch (KIST2026, Sec. 2.2).

Frames, their order and their augmentation are drawn from (seed, epoch, step); the generators that
anything else draws from are saved with the state.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from functools import cached_property
from numbers import Real
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
from saiseld.runtime.files import output_folder
from saiseld.runtime.parallel import die_with_parent
from saiseld.training.detector.augmentation import augment
from saiseld.training.detector.data import TrainingData
from saiseld.training.detector.dataset import collate
from saiseld.training.detector.model_selection import Selection
from saiseld.training.detector.optimisation import freeze, optimizer_of, set_rate
from saiseld.training.detector.recipes import Recipe
from saiseld.training.detector.sampling import epoch_frames, public_epoch_frames
from saiseld.training.detector.start_weights import start_from
from saiseld.training.loop import (
    Log,
    check_finite,
    read,
    usable_precision,
    warmup_cosine,
)
from saiseld.training.loop import Trainer as TrainingLoop

STATE = "state.pt"
WEIGHTS = "detector.safetensors"

Batch = tuple[Tensor, Tensor, list[FrameTargets]]
"""Pictures, latents and targets of some frames."""

_log = logging.getLogger(__name__)


class Trainer(TrainingLoop[Batch]):
    """A detector's training run, from its beginning or from where it stopped.

    Epochs are of so many frames; after each the detector is validated.

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
        self.accelerator = Accelerator(
            cpu=on_cpu,
            mixed_precision=usable_precision(recipe.precision, torch.device(found)),
            # A batch without a sound leaves the energy and distance heads out.
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        )
        together = self.accelerator.num_processes * recipe.batch_size
        self.epoch_steps: int = max(recipe.frames_per_epoch // together, 1)
        total = recipe.epochs * self.epoch_steps
        super().__init__(output_folder(output), STATE, WEIGHTS, total, self.epoch_steps)
        self.is_main = self.accelerator.is_main_process
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

    @property
    def epoch(self) -> int:
        """Number of the epoch that the next step is in, from 1."""
        return 1 + self.done // self.epoch_steps

    @property
    def step(self) -> int:
        """Steps done of that epoch."""
        return self.done % self.epoch_steps

    def identity(self) -> Mapping[str, str]:
        """Return recipe and data."""
        data = {**self.data.provenance, "started_from": self.started_from}
        return {"recipe": self.recipe.model_dump_json(), "data": json.dumps(data)}

    def state(self) -> dict[str, Any]:
        """Return weights, optimizer, generators of all processes and the plateau."""
        scaler = self.accelerator.scaler
        return {
            "model": self.detector.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": {} if scaler is None else scaler.state_dict(),
            "random": gather_object([_random_state()]),
            **{name: getattr(self, name) for name in _PLATEAU},
        }

    def save(self) -> None:
        """Write the state, and begin to wait for the next time."""
        super().save()
        self._saved_at = monotonic()

    def _begin(self, start: str | Path | None) -> None:
        """Go on from the saved state, or begin with the weights to start from."""
        parts = dict.fromkeys(("model", "optimizer", "scaler"), dict)
        state = self.saved({**parts, "random": list, **_PLATEAU})
        if state is not None:
            with self.reading_state():
                load_weights(self.detector, state["model"], self.state_path)
            for name in _PLATEAU:
                setattr(self, name, state[name])
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
            with self.reading_state():
                self.optimizer.load_state_dict(state["optimizer"])
                if self.accelerator.scaler is not None:
                    self.accelerator.scaler.load_state_dict(state["scaler"])
                _set_random_state(state["random"][rank])
        self._saved_at = monotonic()

    def batches(self) -> Iterator[Batch]:
        """Yield this process's batches, epoch by epoch."""
        while self.done < self.total:
            self.detector.train()
            freeze(self.detector, self.recipe, self.epoch)
            # What stands still may have changed, and with it what processes tell each other.
            self._model = self.accelerator.prepare_model(self.detector)
            yield from self._epoch_batches()

    def _epoch_batches(self) -> Iterator[Batch]:
        """Yield this process's batches from the next step of the epoch on."""
        recipe, data = self.recipe, self.data.train
        together = self.accelerator.num_processes * recipe.batch_size
        count = self.epoch_steps * together
        if recipe.sampling == "public":
            frames = public_epoch_frames(data.counts, count, recipe.seed, self.epoch)
        else:
            frames = epoch_frames(data.counts, count, recipe.silent_share, recipe.seed, self.epoch)
        rng = np.random.default_rng([recipe.seed, self.epoch, 0])
        indices = frames + len(data) * rng.integers(
            len(self.data.varied) // len(data), size=frames.shape
        )
        chosen = indices.reshape(self.epoch_steps, -1, recipe.batch_size)[
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

    def training_step(self, batch: Batch) -> dict[str, float]:
        """Make a step and return its losses."""
        rgb, latent, targets = batch
        recipe, device = self.recipe, self.accelerator.device
        rank = self.accelerator.process_index
        images = self.detector.compose(rgb.to(device), latent.to(device))
        rng = np.random.default_rng([recipe.seed, self.epoch, self.step, rank])
        images, targets = augment(
            images, [_on(device, target) for target in targets], recipe.augmentation, rng
        )
        set_rate(self.optimizer, recipe.learning_rate * self._rate())
        losses = self._model(images.contiguous(memory_format=torch.channels_last), targets)
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
        place = f"epoch {self.epoch}, step {self.step + 1} of {self.epoch_steps}"
        check_finite(values, self.output / STATE, place)
        return {name: values[name] for name in reported}

    def _rate(self) -> float:
        """Return the share of the full learning rate."""
        if self.recipe.schedule == "plateau":
            return self.rate
        return warmup_cosine(self.done / self.total, self.recipe.warmup_fraction)

    def is_due(self) -> bool:
        """Return whether the recipe's time since the last saved state has passed."""
        due = [monotonic() - self._saved_at >= 60 * self.recipe.checkpoint_minutes]
        broadcast_object_list(due)  # the first process decides for all
        return due[0]

    @cached_property
    def _selection(self) -> Selection:
        return Selection(self.data.select, self.recipe.selection_frames)

    def validate(self, log: Log | None) -> None:
        """Measure the epoch, keep its weights if they are the best, adapt the rate."""
        self.accelerator.unwrap_model(self._model, keep_fp32_wrapper=False)
        epoch, score = self.epoch - 1, [-1.0]
        if log is not None:
            scores = self._selection.score(self.detector.eval()).headline()
            score = [scores["macro_mAP"]]
            log.epoch(self.done, epoch, scores)
            if score[0] > self.best:
                header = {
                    "recipe": self.recipe.model_dump(mode="json"),
                    "data": self.data.provenance,
                    "started_from": self.started_from,
                    "epoch": epoch,
                    "selection": json_values(scores),
                }
                self.detector.save(self.weights_path, half=True, header=header)
        broadcast_object_list(score)
        self.best = max(self.best, score[0])
        if score[0] > self.plateau:
            self.plateau, self.stale = score[0], 0
        else:
            self.stale += 1
        if self.stale > self.recipe.patience:
            self.rate, self.stale = self.rate / 2, 0
        begins = any(group.begins_in(self.epoch) for group in self.recipe.groups)
        if self.recipe.plateau_restarts and begins:
            self.plateau, self.stale, self.rate = -1.0, 0, 1.0


_PLATEAU: dict[str, type] = {"best": Real, "plateau": Real, "stale": int, "rate": Real}
"""Best score so far, best since the plateau began, epochs since, and its share of the rate."""


def _random_state() -> list[Tensor]:
    """Return the states of torch's generators in this process."""
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return [torch.get_rng_state(), *devices]


def _set_random_state(states: list[Tensor]) -> None:
    torch.set_rng_state(states[0])
    if len(states) > 1:
        torch.cuda.set_rng_state_all(states[1:])


def _on(device: torch.device, target: FrameTargets) -> FrameTargets:
    moved = {name: cast(Tensor, value).to(device) for name, value in target.items()}
    return cast(FrameTargets, moved)
