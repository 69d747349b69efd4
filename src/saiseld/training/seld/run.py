"""Training the SELD network: its steps, and the choice of its weights.

A run is a function of its recipe, the sounds, the rooms, the encoder and the weights it starts
from: scenes, their order and what is dropped are drawn from (seed, step) alone.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator, Mapping
from functools import cached_property
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from saiseld.conventions.symmetry import SYMMETRIES
from saiseld.formats.checkpoint import load_weights, read_checkpoint
from saiseld.runtime.devices import DeviceName, device_of
from saiseld.runtime.files import output_folder
from saiseld.runtime.parallel import die_with_parent
from saiseld.seld.encoders import frozen
from saiseld.seld.model import Seld
from saiseld.seld.network import SeldNetwork, frame_embeddings
from saiseld.seld.output import GRID
from saiseld.training.loop import Log, check_finite, read, usable_precision
from saiseld.training.loop import Trainer as TrainingLoop
from saiseld.training.processes import Processes
from saiseld.training.seld.data import TrainingData
from saiseld.training.seld.losses import losses
from saiseld.training.seld.model_selection import Scores, score
from saiseld.training.seld.recipes import Recipe
from saiseld.training.seld.windows import (
    Shard,
    Shards,
    features_of,
    joined,
    rows,
    turned,
)

STATE = "state.pt"
WEIGHTS = "seld.safetensors"


class Trainer(TrainingLoop[Shard]):
    """A SELD network's training run, from its beginning or from where it stopped.

    Parameters
    ----------
    data, recipe
        What to learn from, and how.
    output
        Folder of the run: ``seld.safetensors`` (the best look), ``state.pt``, ``log.jsonl``,
        ``tensorboard``, ``windows``.
    start
        Weights to start from.
    workers
        Processes that mix scenes.
    device
        Where the network learns: ``auto`` takes a GPU where there is one. Scenes are made, and
        heard by the prior, on the CPU.

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
        workers: int = 1,
        device: DeviceName = "auto",
    ) -> None:
        self.processes = Processes(device_of(device))
        self.device, self.is_main = self.processes.device, self.processes.is_main
        self.data, self.recipe, self.workers = data, recipe, workers
        super().__init__(
            output_folder(output), STATE, WEIGHTS, recipe.steps, recipe.selection_every
        )
        self._is_bf16 = usable_precision(recipe.precision, self.device) == "bf16"
        # Scenes are heard by the prior as it was given, where they are made.
        self.encoder = copy.deepcopy(frozen(data.encoder)).to(self.device)
        if recipe.encoder_lr_factor:
            self.encoder.requires_grad_(True)
        torch.manual_seed(recipe.seed)
        self.network = SeldNetwork(data.encoder.channels).to(self.device)
        self.started_from = "scratch" if start is None else Path(start).name
        windows = self.output / "windows"
        self.shards = Shards(data.training_windows(recipe), windows)
        self.selection = Shards(data.selection_windows(recipe), windows / "selection")
        self.best, self.since_best, self.best_step = -1.0, 0, 0
        groups: list[dict[str, Any]] = [{"params": list(self.network.parameters())}]
        self.rates = [recipe.learning_rate]
        if recipe.encoder_lr_factor:
            groups.append({"params": list(self.encoder.parameters())})
            self.rates.append(recipe.learning_rate * recipe.encoder_lr_factor)
        self.optimizer = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)
        if start is not None:
            self._start_from(start)
        self.ema = copy.deepcopy(self.network)
        self._resume()

    def begin(self, log: Log | None) -> None:
        """Measure the weights to start from: what is no better is not kept."""
        if self.started_from != "scratch" and not self.done:
            self.validate(log)

    @property
    def stopped_early(self) -> bool:
        """Whether so many validations brought no better score that the run has ended."""
        return 0 < self.recipe.patience <= self.since_best

    @cached_property
    def _selection_scenes(self) -> Shard:
        return self.selection[0]

    def batches(self) -> Iterator[Shard]:
        """Yield each step's new scenes."""
        yield from DataLoader(
            self.shards,
            batch_size=None,
            sampler=[self.processes.own(step) for step in range(self.done, self.total)],
            num_workers=self.workers,
            worker_init_fn=die_with_parent,
            prefetch_factor=6 if self.workers else None,
        )

    def _batch(self, fresh: Shard, rng: np.random.Generator) -> Shard:
        """Return a step's windows: the new ones, and some heard before, turned or mirrored."""
        recipe, parts = self.recipe, [fresh]
        again = recipe.batch_size - recipe.fresh if self.done else 0
        for _ in range(again):
            old = self.shards[self.processes.own(int(rng.integers(self.done)))]
            parts.append(rows(old, [int(rng.integers(recipe.fresh))]))
        names = list(SYMMETRIES)
        return joined([turned(part, names[int(rng.integers(len(names)))]) for part in parts])

    def training_step(self, batch: Shard) -> dict[str, float]:
        """Take one optimisation step on new scenes and some earlier ones; return its losses."""
        recipe = self.recipe
        rank = self.processes.rank
        rng = np.random.default_rng([recipe.seed, 1, self.done, *([rank] if rank else [])])
        torch.manual_seed(int(rng.integers(2**31)))
        batch = self._to_device(self._batch(batch, rng))
        given = features_of(batch)
        points, chance = torch.randperm(GRID.shape[1]), torch.rand(len(given.mels))
        points = points[: recipe.points].to(self.device, non_blocking=True)
        spectrum_kept = (
            chance.to(self.device, non_blocking=True) >= recipe.spectrum_dropout
        ).float()
        share = self._rate()
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * share
        self.network.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._is_bf16):
            embedding = (
                self.encoder(None, given.mels)
                if recipe.encoder_lr_factor
                else batch["embedding"].float()
            )
            frames = given.covariance.shape[1]
            logits = self.network(
                given,
                frame_embeddings(embedding, frames),
                spectrum_kept=spectrum_kept,
                points=points,
            )
        logits = type(logits)(*(part.float() for part in logits))
        parts = losses(logits, batch, points, recipe.spread_deg, recipe.loss_weights)
        self.optimizer.zero_grad()
        torch.autograd.backward(parts["loss"])
        moved = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.processes.average_gradients(moved)
        norm = nn.utils.clip_grad_norm_(moved, recipe.clip_norm)
        self.optimizer.step()
        self._update_ema()
        values = read({**parts, "gradient norm": norm})
        check_finite(values, self.state_path, f"step {self.done + 1}")
        return {name: values[name] for name in parts}

    def _to_device(self, shard: Shard) -> Shard:
        """Return windows where the network is."""
        return {name: part.to(self.device, non_blocking=True) for name, part in shard.items()}

    @torch.no_grad()
    def _update_ema(self) -> None:
        """Let the averaged weights follow; faster at the beginning."""
        memory = min(self.recipe.ema_decay, (1 + self.done) / (10 + self.done))
        current = self.network.state_dict()
        for name, value in self.ema.state_dict().items():
            if value.is_floating_point():
                value.lerp_(current[name], 1 - memory)
            else:
                value.copy_(current[name])

    def _rate(self) -> float:
        """Return the share of the full learning rate."""
        done = self.done / self.recipe.steps
        if done < self.recipe.warmup_fraction:
            return (self.done + 1) / (self.recipe.warmup_fraction * self.recipe.steps + 1)
        fall = (done - self.recipe.warmup_fraction) / (1 - self.recipe.warmup_fraction)
        return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * fall))

    def validate(self, log: Log | None) -> None:
        """Measure the averaged weights in the first process; keep them if they are the best."""
        if log is not None:
            self._measure(log)
        best, since, at = self.processes.of_main([self.best, self.since_best, self.best_step])
        self.best, self.since_best, self.best_step = best, int(since), int(at)

    def _measure(self, log: Log) -> None:
        scenes = self._selection_scenes
        if self.recipe.encoder_lr_factor:  # those on disk are of the encoder as it was at first
            scenes = {**scenes, "embedding": self._embedded(scenes["mels"])}
        scores = score(self.ema, scenes)
        values = {
            "mAP": scores.mAP,
            "accuracy": scores.accuracy,
            "direction_deg": scores.direction_deg,
        }
        log.epoch(self.done, self.done // self.every, values)
        self.since_best += 1
        if scores.mAP > self.best:
            self.best, self.since_best, self.best_step = scores.mAP, 0, self.done
            self.seld(self.ema, scores).save(self.weights_path)

    @torch.inference_mode()
    def _embedded(self, mels: Tensor) -> Tensor:
        parts = [self.encoder(None, part.float().to(self.device)) for part in torch.split(mels, 16)]
        return torch.cat(parts).cpu()

    def seld(self, network: SeldNetwork, scores: Scores) -> Seld:
        """Return encoder and network, with a header that says how they were trained."""
        header = {
            "recipe": self.recipe.model_dump(mode="json"),
            "data": self.data.provenance,
            "started_from": self.started_from,
            "step": self.done,
            "selection": {
                "mAP": scores.mAP,
                "accuracy": scores.accuracy,
                "direction_deg": scores.direction_deg,
                "by_class": [None if math.isnan(v) else round(v, 4) for v in scores.by_class],
            },
        }
        return Seld(self.data.encoder_name, self.encoder, network, header)

    def _start_from(self, path: str | Path) -> None:
        given, _ = read_checkpoint(path)
        prefix = "network."
        load_weights(
            self.network,
            {k.removeprefix(prefix): v for k, v in given.items() if k.startswith(prefix)},
            path,
        )

    def identity(self) -> Mapping[str, str]:
        """Return recipe and data."""
        data = {**self.data.provenance, "started_from": self.started_from}
        if self.processes.count > 1:
            data["processes"] = self.processes.count
        return {"recipe": self.recipe.model_dump_json(), "data": json.dumps(data)}

    def state(self) -> dict[str, Any]:
        """Return weights, their average, optimizer and what was best."""
        return {
            **{name: getattr(self, name) for name in _SCORES},
            "network": self.network.state_dict(),
            "ema": self.ema.state_dict(),
            "encoder": self.encoder.state_dict() if self.recipe.encoder_lr_factor else {},
            "optimizer": self.optimizer.state_dict(),
        }

    def _resume(self) -> None:
        parts = dict.fromkeys(("network", "ema", "encoder", "optimizer"), dict)
        state = self.saved({**parts, **_SCORES})
        if state is None:
            return
        with self.reading_state():
            load_weights(self.network, state["network"], self.state_path)
            load_weights(self.ema, state["ema"], self.state_path)
            self.optimizer.load_state_dict(state["optimizer"])
            if self.recipe.encoder_lr_factor:
                load_weights(self.encoder, state["encoder"], self.state_path)
        for name in _SCORES:
            setattr(self, name, state[name])


_SCORES: dict[str, type] = {"best": Real, "since_best": int, "best_step": int}
"""Best score so far, validations since, and the step of the best one."""
