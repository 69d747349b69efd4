"""Rates: which parameters move when and how fast (KIST2026, Sec. 2.2)."""

from __future__ import annotations

import re

import torch
from torch import nn

from saiseld.training.detector.recipes import Group, Recipe


def optimizer_of(model: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """Return AdamW with a parameter group for each group of the recipe, and one for the rest."""
    rest = Group(parameters="")
    groups = [
        {
            "params": parameters,
            "rate": group.rate,
            "weight_decay": (
                recipe.weight_decay if group.weight_decay is None else group.weight_decay
            ),
        }
        for group, parameters in _grouped(model, (*recipe.groups, rest))
        if parameters
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


def freeze(model: nn.Module, recipe: Recipe, epoch: int) -> None:
    """Let the recipe's groups move or stand still in an epoch; call after ``model.train()``.

    Where all of a module's parameters stand still, its norms keep their statistics.
    """
    rest = Group(parameters="")
    for group, parameters in _grouped(model, (*recipe.groups, rest)):
        for parameter in parameters:
            parameter.requires_grad_(not group.frozen_in(epoch))
    for module in model.modules():
        parameters = list(module.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            module.eval()


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate, to be multiplied by each group's factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate"]


def _grouped(model: nn.Module, groups: tuple[Group, ...]) -> list[tuple[Group, list[nn.Parameter]]]:
    members: list[list[nn.Parameter]] = [[] for _ in groups]
    for name, parameter in model.named_parameters():
        first = next(i for i, group in enumerate(groups) if re.match(group.parameters, name))
        members[first].append(parameter)
    return list(zip(groups, members, strict=True))
