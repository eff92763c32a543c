from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import make_moons
from sklearn.neighbors import kneighbors_graph

from training.gaussian_process import GaussianProcess, Kernel, rbf
from training.graph_kernel import GraphKernel, neighbour_laplacian, thin

RNG = np.random.default_rng(0)
PULL = 10.0


def moons(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    x, y = make_moons(rows, noise=0.08, random_state=seed)
    return x * 2, y


def bent(kernel: Kernel, bank: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The bent kernel as Sindhwani, Niyogi and Belkin write it, scaled to a mean variance of 1 on the bank."""
    laplacian = neighbour_laplacian(((bank[:, None] - bank) ** 2).sum(-1))
    gram = rbf(bank, bank, kernel)
    middle = np.linalg.solve(np.eye(len(bank)) + PULL * laplacian @ gram, PULL * laplacian)
    scale = np.diag(gram - gram @ middle @ gram).mean()
    return (rbf(a, b, kernel) - rbf(a, bank, kernel) @ middle @ rbf(bank, b, kernel)) / scale


def test_the_graph_joins_the_nearest_and_its_rows_sum_to_nothing() -> None:
    x = RNG.normal(size=(60, 3))
    laplacian = neighbour_laplacian(((x[:, None] - x) ** 2).sum(-1), 5)
    joined = kneighbors_graph(x, 5).toarray() > 0
    np.testing.assert_array_equal((laplacian < 0), joined | joined.T)
    np.testing.assert_allclose(laplacian.sum(1), 0, atol=1e-12)
    assert np.linalg.eigvalsh(laplacian).min() > -1e-10


def test_the_graph_does_not_change_with_the_unit() -> None:
    square = ((RNG.normal(size=(30, 1, 2)) - RNG.normal(size=(30, 2))) ** 2).sum(-1)
    np.testing.assert_allclose(neighbour_laplacian(square), neighbour_laplacian(1e4 * square))


@pytest.mark.parametrize("length", [0.4, 0.6])
def test_the_kernel_is_that_of_the_paper(length: float) -> None:
    """On rows of the bank, and on rows that it does not hold."""
    bank, kernel = RNG.normal(size=(50, 2)), Kernel(length)
    rows = np.concatenate([bank[:10], RNG.normal(size=(10, 2))])
    np.testing.assert_allclose(GraphKernel(bank).gram(kernel, rows), bent(kernel, bank, rows, rows), atol=1e-3)


def test_a_process_is_conditioned_on_the_labels_of_its_rows_alone() -> None:
    """Mean and variance at new places, by the textbook's formulas under the paper's kernel."""
    bank, query, kernel = RNG.normal(size=(50, 2)), RNG.normal(size=(25, 2)), Kernel(0.6)
    seen, targets = bank[[3, 0, 7, 22, 41, 12]], RNG.normal(size=(6, 2))
    precision = np.linalg.inv(bent(kernel, bank, seen, seen) + kernel.noise * np.eye(len(seen)))
    across = bent(kernel, bank, query, seen)
    mean, variance = GraphKernel(bank).process(kernel, seen, targets)(torch.tensor(query, dtype=torch.float32))
    np.testing.assert_allclose(mean, across @ precision @ targets, atol=1e-3)
    expected = np.diag(bent(kernel, bank, query, query)) + kernel.noise - ((across @ precision) * across).sum(1)
    np.testing.assert_allclose(variance, expected, rtol=2e-3, atol=1e-3)


def test_labels_spread_along_the_rows_where_they_lie_close() -> None:
    """Ten labelled rows of two moons: the bent kernel errs at most half as often as the plain one."""
    wrong = []
    for seed in range(6):
        (z, y), (u, _), (query, truth) = moons(10, seed), moons(400, 100 + seed), moons(300, 200 + seed)
        targets, graph = np.eye(2)[y] - 0.5, GraphKernel(np.concatenate([z, u]))
        process = graph.process(graph.choose(z, targets, 0), z, targets)
        plain = GaussianProcess.fit(z, targets, Kernel(0.8))
        at = torch.tensor(query, dtype=torch.float32)
        wrong.append([(each(at)[0].argmax(1).numpy() != truth).mean() for each in (process, plain)])
    beside, without = np.mean(wrong, axis=0)
    assert beside < 0.5 * without


@pytest.mark.parametrize("count", [1, 3, 500])
def test_a_flood_in_one_place_leaves_few_rows(count: int) -> None:
    z, rng = RNG.normal(size=(40, 2)), np.random.default_rng(1)
    flood = 5 + 1e-3 * rng.normal(size=(count, 2))
    kept = thin(np.concatenate([flood, rng.normal(size=(100, 2))]), z, 200, 0)
    near = (np.abs(kept - 5) < 0.1).all(1).sum()
    assert near == 1
    assert len(kept) > 80


def test_thinning_keeps_no_more_than_asked_and_no_copy_of_a_trusted_row() -> None:
    z = RNG.normal(size=(40, 2))
    kept = thin(np.concatenate([z, RNG.normal(size=(300, 2))]), z, 50, 0)
    assert kept.shape == (50, 2)
    assert not (kept[:, None] == z).all(-1).any()


def test_twins_and_rows_that_are_all_alike_do_not_break_it() -> None:
    z, y = np.array([[0.0, 0.0]] * 4 + [[1.0, 1.0]] * 4), np.arange(8) % 2
    graph = GraphKernel(np.concatenate([np.unique(z, axis=0), thin(RNG.normal(size=(30, 2)), z, 20, 0)]))
    targets = np.eye(2)[y] - 0.5
    mean, variance = graph.process(graph.choose(z, targets, 0), z, targets)(torch.zeros(1, 2))
    assert torch.isfinite(mean).all()
    assert (variance > 0).all()
    alike = np.zeros((5, 2))
    assert len(thin(RNG.normal(size=(9, 2)), alike, 20, 0)) > 0
