"""Several processes that train one network, as ``accelerate launch`` starts them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, reduce
from torch import nn

_T = TypeVar("_T")


class Processes:
    """The processes of a run: one, unless ``accelerate launch`` started more.

    Parameters
    ----------
    device
        ``cpu``, ``cuda`` or ``mps``; of several GPUs each process gets its own.
    """

    def __init__(self, device: str) -> None:
        self._state = PartialState(cpu=device == "cpu")
        self.count = int(self._state.num_processes)
        self.rank = int(self._state.process_index)
        self.is_main = bool(self._state.is_main_process)
        self.device = torch.device(device) if self.count == 1 else self._state.device

    def own(self, number: int) -> int:
        """Return this process's number of a step's: all processes have different ones."""
        return number * self.count + self.rank

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Give each parameter the mean of its gradients in all processes, in one message."""
        if self.count == 1:
            return
        own = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
        mean = reduce(torch.cat([gradient.flatten() for gradient in own]), "mean")
        parts = mean.split([p.numel() for p in parameters])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.grad = part.view_as(parameter).clone()

    def of_main(self, values: list[_T]) -> list[_T]:
        """Return the first process's values in every process."""
        return values if self.count == 1 else list(broadcast_object_list(values))
