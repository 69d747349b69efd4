"""The state of a training run, on disk whole or not at all."""

from __future__ import annotations

from numbers import Real
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import Tensor

from saiseld.formats.checkpoint import load_tensors
from saiseld.runtime.errors import CheckpointError, RecipeError, one_line, refusing
from saiseld.runtime.files import atomic_path


class TrainingState(TypedDict):
    """All that a run goes on from.

    ``recipe`` is the recipe as JSON, ``data`` says what is trained on; ``epoch`` (from 1) and
    ``step`` (from 0) come next; ``random`` has the generator states of every process; ``best`` is
    the best score so far, ``plateau`` the best since the plateau began, ``stale`` the epochs since
    that, ``rate`` the plateau's share of the rate.
    """

    recipe: str
    data: str
    epoch: int
    step: int
    model: dict[str, Tensor]
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    random: list[list[Tensor]]
    best: float
    plateau: float
    stale: int
    rate: float


_KINDS: dict[str, type] = {
    **dict.fromkeys(("recipe", "data"), str),
    **dict.fromkeys(("epoch", "step", "stale"), int),
    **dict.fromkeys(("model", "optimizer", "scaler"), dict),
    **dict.fromkeys(("best", "plateau", "rate"), Real),
    "random": list,
}


def save_run_state(path: str | Path, state: TrainingState) -> None:
    """Write a state; if that fails, a former one stays.

    Raises
    ------
    OutputError
        If the disk is full or the folder cannot be written.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        torch.save(dict(state), file)


def load_run_state(path: str | Path, recipe: str, data: str) -> TrainingState:
    """Read a state of `save_run_state`.

    Raises
    ------
    CheckpointError
        If it is not one.
    RecipeError
        If it belongs to another recipe or other data: going on would be neither run.
    """
    path = Path(path)
    expected = "the state of a training run"
    state: TrainingState = load_tensors(path, expected)
    with refusing(CheckpointError, path, expected):
        missing = sorted(TrainingState.__required_keys__ - set(state))
    if missing:
        raise CheckpointError(path, place=missing[0], expected="a value", found="none")
    for name, kind in _KINDS.items():
        value = state[name]  # type: ignore[literal-required]
        if not isinstance(value, kind) or (isinstance(value, int) and value < 0):
            raise CheckpointError(
                path, place=name, expected=f"a value of type {kind.__name__}", found=one_line(value)
            )
    for name, now in (("recipe", recipe), ("data", data)):
        if state[name] != now:  # type: ignore[literal-required]
            raise RecipeError(
                path,
                place=name,
                expected=_difference(state[name], now),  # type: ignore[literal-required]
                found=_difference(now, state[name]),  # type: ignore[literal-required]
                advice="Go on with what the run began with, or choose another output folder",
            )
    return state


def random_state() -> list[Tensor]:
    """Return the states of torch's generators in this process."""
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return [torch.get_rng_state(), *devices]


def set_random_state(states: list[Tensor]) -> None:
    """Set them again."""
    torch.set_rng_state(states[0])
    if len(states) > 1:
        torch.cuda.set_rng_state_all(states[1:])


def _difference(text: str, other: str) -> str:
    """Return the part of ``text`` from where it differs from ``other``, with a little before."""
    same = next(
        (i for i, (a, b) in enumerate(zip(text, other, strict=False)) if a != b),
        min(len(text), len(other)),
    )
    start = max(text.rfind(",", 0, same) + 1, 0)
    return text[start : same + 40].split(",")[0] or "nothing more"
