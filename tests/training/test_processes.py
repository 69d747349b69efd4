"""What several processes of a run share, without starting any."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from saiseld.training import processes
from saiseld.training.processes import Processes


@pytest.fixture
def second(monkeypatch) -> Processes:
    """Return the second of two processes; the first has gradients of 3 and the values ``[7]``."""
    found = Processes("cpu")
    found.count, found.rank, found.is_main = 2, 1, False
    monkeypatch.setattr(processes, "reduce", lambda own, how: (own + 3.0) / 2)
    monkeypatch.setattr(processes, "broadcast_object_list", lambda values: [7])
    return found


def test_one_process_shares_nothing() -> None:
    alone = Processes("cpu")
    weight = nn.Parameter(torch.ones(2))
    weight.grad = torch.full((2,), 5.0)
    alone.average_gradients([weight])
    assert weight.grad.tolist() == [5, 5]
    assert alone.is_main and alone.own(4) == 4 and alone.of_main([1]) == [1]
    assert alone.device == torch.device("cpu")


def test_gradients_are_the_mean_of_all_processes(second) -> None:
    seen, unseen = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(3))
    seen.grad = torch.arange(4.0).reshape(2, 2)
    second.average_gradients([seen, unseen])
    assert seen.grad.tolist() == [[1.5, 2], [2.5, 3]]
    assert unseen.grad.tolist() == [1.5] * 3


def test_each_process_has_numbers_of_its_own(second) -> None:
    first = Processes("cpu")
    first.count = 2
    assert [first.own(0), second.own(0), first.own(1), second.own(1)] == [0, 1, 2, 3]
    assert second.of_main([1]) == [7]
