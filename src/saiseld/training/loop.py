"""The loop that every network is trained in, and the state that a stopped run goes on from.

A `Trainer` says what a step, a validation and the state are. The loop makes the steps, validates
after every so many, and keeps the state on disk whole. A run is a function of its identity (recipe,
data and weights to start from): one that was stopped ends in the same weights, bit for bit, as an
unbroken one.
"""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from saiseld.formats.checkpoint import load_tensors
from saiseld.runtime.errors import CheckpointError, RecipeError, one_line, refusing
from saiseld.runtime.files import atomic_path, only_run
from saiseld.training.logs import run_log

Batch = TypeVar("Batch")
_log = logging.getLogger(__name__)


class Log(Protocol):
    """Where a run's numbers go; `saiseld.training.logs.RunLog` is one."""

    def step(self, number: int, epoch: int, values: Mapping[str, float], /) -> None:
        """Note the losses of a step, counted over all epochs."""
        ...

    def epoch(self, number: int, epoch: int, values: Mapping[str, float], /) -> None:
        """Note the scores of a validation."""
        ...


class Trainer(ABC, Generic[Batch]):
    """A training run, from its beginning or from where it stopped.

    Parameters
    ----------
    output
        Folder of the run, which is there.
    state, weights
        Names of the files in it: the state to go on from, and the best weights.
    total
        Steps of the whole run.
    every
        Steps from one validation, after which the state is saved, to the next.
    """

    is_main = True
    """Whether this process writes; of several that train together one does."""

    def __init__(self, output: Path, state: str, weights: str, total: int, every: int) -> None:
        self.output, self.total, self.every = output, total, every
        self.state_path, self.weights_path = output / state, output / weights
        self.done = 0

    @abstractmethod
    def identity(self) -> Mapping[str, str]:
        """Return what makes this run the one it is."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return what else is to be known to go on, for ``torch.save``."""

    @abstractmethod
    def batches(self) -> Iterator[Batch]:
        """Yield the batches of the steps that are left."""

    @abstractmethod
    def training_step(self, batch: Batch) -> dict[str, float]:
        """Take one optimisation step and return its losses."""

    @abstractmethod
    def validate(self, log: Log | None) -> None:
        """Measure the network and keep its weights if they are the best."""

    def begin(self, log: Log | None) -> None:
        """Do what comes before the steps."""

    def is_due(self) -> bool:
        """Return whether the state is to be saved between validations too."""
        return False

    @property
    def stopped_early(self) -> bool:
        """Whether so many validations brought no better score that the run has ended."""
        return False

    def open_log(self) -> AbstractContextManager[Log | None]:
        """Open the run's log and hold its folder against other runs."""
        return _only_log(self.output, self.done, self.total) if self.is_main else nullcontext()

    def steps(self, until: int | None = None) -> Iterator[dict[str, float]]:
        """Make the steps that are left, or those before ``until``, yielding each one's losses."""
        until = self.total if until is None else until
        if self.done >= until or self.stopped_early:
            return
        for batch in self.batches():
            values = self.training_step(batch)
            self.done += 1
            yield values
            if self.done >= until:
                return

    def run(self, until: int | None = None) -> Path:
        """Train to the last step, or to ``until``, and return the path of the best weights.

        Raises
        ------
        RecipeError
            If a loss or gradient stops being finite; the last saved state is kept.
        OutputError
            If another run is in the folder.
        """
        with self.open_log() as log:
            self.begin(log)
            for values in self.steps(until):
                if log is not None:
                    log.step(self.done, 1 + (self.done - 1) // self.every, values)
                if self.done % self.every == 0 or self.done == self.total:
                    self.validate(log)
                    self.save()
                    if self.stopped_early:
                        _log.info("no better score for long: ended at step %d", self.done)
                        break
                elif self.is_due():
                    self.save()
        return self.weights_path

    def save(self) -> None:
        """Write the state in place of the former one."""
        content = {**self.identity(), "done": self.done, **self.state()}
        if self.is_main:
            save_state(self.state_path, content)

    def saved(self, kinds: Mapping[str, type]) -> dict[str, Any] | None:
        """Return the state to go on from, of values of these kinds; None where there is none."""
        if not self.state_path.exists():
            return None
        content = load_state(self.state_path, self.identity(), {"done": int, **kinds})
        self.done = content["done"]
        _log.info("%s: going on at step %d", self.output, self.done)
        return content

    def reading_state(self) -> AbstractContextManager[None]:
        """Refuse, in this block, what cannot be taken from the state as a ``CheckpointError``."""
        return refusing(CheckpointError, self.state_path, "the state of this training run")


@contextmanager
def _only_log(folder: Path, done: int, total: int) -> Iterator[Log]:
    with only_run(folder), run_log(folder, done, total) as log:
        yield log


def save_state(path: str | Path, state: Mapping[str, Any]) -> None:
    """Write the state of a run; if that fails, a former one stays.

    Raises
    ------
    OutputError
        If the disk is full or the folder cannot be written.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        torch.save(dict(state), file)


def load_state(
    path: str | Path, identity: Mapping[str, str], kinds: Mapping[str, type]
) -> dict[str, Any]:
    """Read a state of `save_state`.

    Parameters
    ----------
    identity
        What must be in it, as of the run that goes on.
    kinds
        What else must be, and of which type; whole numbers are 0 or more.

    Raises
    ------
    CheckpointError
        If it is not one, or lacks a key, or a value is of another kind.
    RecipeError
        If it belongs to another run: going on would be neither.
    """
    path, expected = Path(path), "the state of a training run"
    content: dict[str, Any] = load_tensors(path, expected)
    with refusing(CheckpointError, path, expected):
        missing = sorted({*identity, *kinds} - set(content))
    if missing:
        raise CheckpointError(path, place=missing[0], expected="a value", found="none")
    for name, kind in {**dict.fromkeys(identity, str), **kinds}.items():
        value = content[name]
        if not isinstance(value, kind) or (isinstance(value, int) and value < 0):
            expected = f"a value of type {kind.__name__}"
            raise CheckpointError(path, place=name, expected=expected, found=one_line(value))
    for name, now in identity.items():
        if content[name] != now:
            raise RecipeError(
                path,
                place=name,
                expected=_difference(content[name], now),
                found=_difference(now, content[name]),
                advice="Go on with what the run began with, or choose another output folder",
            )
    return content


def _difference(text: str, other: str) -> str:
    """Return the part of ``text`` from where it differs from ``other``, with a little before."""
    same = next(
        (i for i, (a, b) in enumerate(zip(text, other, strict=False)) if a != b),
        min(len(text), len(other)),
    )
    start = max(text.rfind(",", 0, same) + 1, 0)
    return text[start : same + 40].split(",")[0] or "nothing more"


def warmup_cosine(progress: float, warmup_fraction: float) -> float:
    """Return the share of the full rate at a share of all steps: a linear rise, a cosine fall."""
    if progress < warmup_fraction:
        return (progress + 1e-3) / (warmup_fraction + 1e-3)
    return 0.5 * (
        1 + math.cos(math.pi * (progress - warmup_fraction) / max(1 - warmup_fraction, 1e-9))
    )


def read(values: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the numbers of a step in one read.

    A GPU works on while it is told what comes next, until it is asked for a number: so all are
    asked for together, at the end of a step.
    """
    together = torch.stack([value.detach() for value in values.values()])
    return dict(zip(values, together.tolist(), strict=True))


def usable_precision(precision: str, device: torch.device) -> str:
    """Return a recipe's precision, or full precision where the processor has no other.

    A CPU without bfloat16 arithmetic computes in it all the same, five times slower than in full
    precision.
    """
    if precision == "no" or device.type != "cpu":
        return precision
    if precision == "bf16" and torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return precision
    _log.info("no %s on this processor: training in full precision", precision)
    return "no"


def check_finite(values: Mapping[str, float], state: Path, place: str) -> None:
    """Raise ``RecipeError`` where a number of a step is not finite.

    Parameters
    ----------
    values
        By name.
    state
        File of the run's last saved state.
    place
        Which step it was.
    """
    for name, value in values.items():
        if not math.isfinite(value):
            raise RecipeError(
                state.parent,
                place=f"{place}, {name}",
                expected="a finite number",
                found=str(value),
                advice=f"The last good state is in {state.name}; try a lower learning rate",
            )
