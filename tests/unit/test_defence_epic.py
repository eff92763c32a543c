from __future__ import annotations

import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from guard.errors import WrongUse
from training.defences.epic.facility_location import choose_medoids
from training.defences.epic.isolation import SMALLEST_CLASS, gradient_proxy, isolated_rows
from training.defences.epic.train import LONG, SHORT, Dropping, EpicSchedule
from training.defences.robust_training import Curriculum, Schedule
from training.rows import Rows


def points(n: int, seed: int) -> Tensor:
    return torch.rand(n, 3, generator=torch.Generator().manual_seed(seed))


def shortfall(distance: np.ndarray, chosen: list[int]) -> float:
    """By how much a choice falls short of the best one, as the definition says: every candidate is tried each time."""
    similarity, worst = distance.max() - distance, 0.0
    for k, one in enumerate(chosen):
        values = [similarity[:, [*chosen[:k], j]].max(1).sum() for j in range(len(distance))]
        worst = max(worst, max(values) - values[one])
    return worst


_GROWTH = """
import resource, torch
from training.defences.epic.facility_location import choose_medoids
largest = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
points = torch.nn.functional.normalize(torch.randn(16_000, 10, generator=torch.Generator().manual_seed(0)), dim=1)
before = largest()
choose_medoids(points, 1)
print(largest() - before)
"""


def test_memory_is_that_of_a_block_and_not_of_all_distances() -> None:
    """All distances of 16,000 points are 980 MiB. Small sums, kept between freed blocks, once held as much."""
    told = subprocess.run([sys.executable, "-c", _GROWTH], capture_output=True, text=True, check=True)
    assert float(told.stdout) < 250


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12))
def test_lazy_choice_is_that_of_plain_greedy(seed: int, count: int) -> None:
    p = points(40, seed)
    distance = torch.cdist(p.double(), p.double()).numpy()
    found = choose_medoids(p, count).rows.tolist()
    assert len(found) == count
    assert shortfall(distance, found) < 1e-4


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_greedy_reaches_its_bound_of_the_best_choice(seed: int) -> None:
    p = points(10, seed)
    distance = torch.cdist(p.double(), p.double()).numpy()
    similarity = distance.max() - distance
    value = {s: similarity[:, s].max(1).sum() for s in combinations(range(10), 3)}
    found = value[tuple(sorted(choose_medoids(p, 3).rows.tolist()))]
    assert found >= (1 - 1 / np.e) * max(value.values())


def test_more_candidates_than_are_tried_at_once_and_ties_among_them() -> None:
    """A grid of 200 points with many equal gains: each is chosen once, and everybody has the nearest medoid."""
    grid = torch.cartesian_prod(torch.arange(20.0), torch.arange(10.0)) / 10
    found = choose_medoids(grid, 60)
    assert len(set(found.rows.tolist())) == 60
    distance = torch.cdist(grid.double(), grid[found.rows].double())
    torch.testing.assert_close(distance.gather(1, found.assigned[:, None])[:, 0], distance.amin(1))
    assert found.sizes.sum() == 200
    assert found.sizes.min() >= 1


def test_twins_are_represented_by_one_of_them() -> None:
    found = choose_medoids(torch.ones(50, 3), 20)
    assert found.rows.tolist() == [0]
    assert found.sizes.tolist() == [50]
    for count in (0, 51):
        with pytest.raises(WrongUse, match="medoids"):
            choose_medoids(torch.ones(50, 3), count)


def test_the_proxy_is_autograds_gradient_by_the_logits() -> None:
    logits = torch.randn(7, 4, dtype=torch.float64, requires_grad=True)
    y = torch.tensor([0, 1, 2, 3, 0, 1, 2])
    expected = torch.autograd.grad(nn.functional.cross_entropy(logits, y, reduction="sum"), logits)[0]
    torch.testing.assert_close(gradient_proxy(logits.detach(), y), expected)


def test_a_far_point_is_isolated_and_small_classes_are_left_alone() -> None:
    y = torch.tensor([0] * 40 + [1] * 40 + [2] * (SMALLEST_CLASS - 1))
    gradient = 0.01 * torch.randn(len(y), 3, generator=torch.Generator().manual_seed(0))
    gradient[7] += 1
    gradient[-1] += 1
    isolated, size = isolated_rows(gradient, y, 0.1)
    assert isolated[7]
    assert size[7] == 1
    assert not isolated[80:].any()
    assert (size[80:] == SMALLEST_CLASS - 1).all()
    moved = torch.roll(torch.arange(len(y)), 5)
    again, _ = isolated_rows(gradient[moved], y[moved], 0.1)
    assert torch.equal(again, isolated[moved])


def test_when_the_published_schedules_drop() -> None:
    assert [epoch for epoch in range(40) if SHORT.drops_at(epoch)] == list(range(10, 35, 2))
    assert [epoch for epoch in range(200) if LONG.drops_at(epoch)] == list(range(30, 150, 10))


def test_drops_are_for_ever_and_dropped_rows_take_no_part_in_the_choice() -> None:
    """Logits are the rows themselves: row 3 says loudly what no other does, and in its shadow row 5, once 3 is gone."""
    y = torch.zeros(30, dtype=torch.int64)
    z = torch.tensor([[4.0, 0.0]]).repeat(30, 1)
    z[3], z[5] = torch.tensor([0.0, 4.0]), torch.tensor([0.0, 4.0])
    curriculum = Curriculum.of(Rows(z, y, 2))
    hook = Dropping.of(Rows(z, y, 2), EpicSchedule(Schedule(6, (5,)), warm_up=1, every=2, share=0.1))
    hook(0, nn.Identity(), curriculum)
    assert curriculum.weight.all()
    hook(1, nn.Identity(), curriculum)
    assert curriculum.weight.all()  # 3 and 5 keep each other company
    curriculum.drop(torch.tensor([5]))
    hook(3, nn.Identity(), curriculum)
    assert torch.nonzero(curriculum.weight == 0).squeeze(1).tolist() == [3, 5]
    assert hook.dropped_at[3] == 3
    assert hook.dropped_at[5] == -1
    hook(5, nn.Identity(), curriculum)
    assert curriculum.weight.sum() == 28
