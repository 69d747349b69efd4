from itertools import product

import numpy as np
import pytest
from tests.reference.perturbed_labels import perturbed

from saiseld.decision.adaptive import SIZES, adaptive_points, allocate
from saiseld.decision.emission import grid_points
from saiseld.evaluation.rendering import render
from saiseld.evaluation.soft_iou import soft_iou


@pytest.mark.parametrize("seed", range(5))
def test_allocation_is_near_the_best_of_all(seed):
    rng = np.random.default_rng(seed)
    value = np.cumsum(rng.random((6, 3)), axis=1)
    cost = np.cumsum(rng.integers(1, 20, (6, 3)), axis=1)
    budget = int(cost[:, 0].sum() + 30)
    chosen = allocate(value, cost, budget)
    rows = np.arange(6)
    assert cost[rows, chosen].sum() <= budget
    best = max(
        value[rows, list(c)].sum()
        for c in product(range(3), repeat=6)
        if cost[rows, list(c)].sum() <= budget
    )
    assert best - value[rows, chosen].sum() <= np.diff(value, axis=1).max()


def test_allocation_takes_the_cheapest_where_nothing_fits():
    assert allocate(np.array([[0.1, 0.9]]), np.array([[5, 9]]), budget=1).tolist() == [0]


def own_overlap(table, points):
    whole = grid_points(table.box, table.energy_map, 28, "centre")
    return [soft_iou(render((p,)), render((w,))) for p, w in zip(points, whole, strict=True)]


def test_adaptive_beats_an_equal_grid_of_the_same_bytes():
    table, _ = perturbed(0, "fold4_room1_mix001", frames=4)
    equal = list(grid_points(table.box, table.energy_map, 5))
    budget = sum(len(str(p.tolist()).replace(" ", "")) for p in equal)
    adaptive = adaptive_points(table, budget)
    assert np.mean(own_overlap(table, adaptive)) > np.mean(own_overlap(table, equal))
    assert len({len(p) for p in adaptive}) > 1


def test_finest_grid_where_it_fits():
    table, _ = perturbed(0, "fold4_room1_mix001", frames=1)
    assert {len(p) for p in adaptive_points(table, 10**6)} == {SIZES[-1] ** 2}
