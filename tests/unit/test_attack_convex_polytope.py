from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize

from tests.unit.attack_grounds import OnDigits
from tests.unit.attack_tester import TransferTester
from training.attacks import AttackerRows, Poison
from training.attacks.convex_polytope import (
    CONVEX_POLYTOPE,
    SUBSTITUTES,
    combine,
    polytope_loss,
    project_on_simplex,
)
from training.attacks.targeting import EPSILON, choose_aims, substitutes
from training.attacks.victims import pixels


class TestConvexPolytope(OnDigits, TransferTester):
    attack = CONVEX_POLYTOPE
    count = 97

    def test_no_pixel_moves_further_than_epsilon(self, rows: AttackerRows, made: Poison) -> None:
        assert np.abs(made.x.astype(int) - rows.x[made.base_index]).max() == 255 * EPSILON

    def test_each_target_comes_near_the_hull_of_the_features_of_its_poison(
        self, rows: AttackerRows, made: Poison
    ) -> None:
        rng = np.random.default_rng(0)
        aims = choose_aims(rows, self.count, 10, rng)
        assert np.array_equal(aims.base, made.base_index)
        places, there = aims.slots
        for features in substitutes(rows, aims, SUBSTITUTES, rng):
            wanted, start = features(pixels(rows.x[aims.targets.index])), there / there.sum(1, keepdim=True)
            losses = []
            for x in (rows.x[aims.base], made.x):
                points = features(pixels(x))[places]
                losses.append(polytope_loss([points], [combine(points, wanted, start, there, 100)], [wanted]))
            assert (losses[1] < losses[0] / 3).all(), losses

    def test_reaches_its_targets_where_the_last_layer_is_retrained(self, rows: AttackerRows) -> None:
        """Share of 10 targets that are read as wanted: 0 → .20, in the mean over 2 seeds."""
        self.reaches(rows, by=0.1)


def solved(quadratic: NDArray[np.float64], linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """argmin ½ cᵀ Q c - lᵀ c over the simplex, by SLSQP."""
    k = len(linear)
    found = minimize(
        lambda c: 0.5 * c @ quadratic @ c - linear @ c,
        np.full(k, 1 / k),
        jac=lambda c: quadratic @ c - linear,
        bounds=[(0, 1)] * k,
        constraints={"type": "eq", "fun": lambda c: c.sum() - 1, "jac": np.ones_like},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    return np.asarray(found.x)


def test_the_projection_by_hand() -> None:
    v = torch.tensor([[0.5, 0.5, 0.5], [2.0, 0.0, 0.0], [0.2, 0.3, 0.5], [0.8, 0.6, -1.0], [5.0, -torch.inf, 5.0]])
    expected = torch.tensor([[1 / 3] * 3, [1, 0, 0], [0.2, 0.3, 0.5], [0.6, 0.4, 0], [0.5, 0, 0.5]])
    assert torch.allclose(project_on_simplex(v), expected)


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=6))
@settings(deadline=None, max_examples=60)
def test_the_projection_is_the_nearest_point_that_a_quadratic_programme_finds(v: list[float]) -> None:
    found = project_on_simplex(torch.tensor([v], dtype=torch.float64))[0].numpy()
    assert found.min() >= 0
    assert found.sum() == pytest.approx(1)
    assert np.allclose(found, solved(np.eye(len(v)), np.array(v)), atol=1e-5)


def test_the_coefficients_are_those_that_a_quadratic_programme_finds() -> None:
    """Targets outside the hull, so that some coefficients are 0; the last point of every other target is absent."""
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(8, 5, 12, generator=generator, dtype=torch.float64)
    wanted = torch.rand(8, 12, generator=generator, dtype=torch.float64)
    there = torch.ones(8, 5, dtype=torch.bool)
    there[::2, -1] = False
    start = (there / there.sum(1, keepdim=True)).double()
    found = combine(points, wanted, start, there, 500).numpy()
    assert (found[::2, -1] == 0).all()
    for x, t, c, here in zip(points.numpy(), wanted.numpy(), found, there.numpy(), strict=True):
        assert np.allclose(c[here], solved(x[here] @ x[here].T, x[here] @ t), atol=1e-4)
    assert (found[:, :-1] < 1e-9).any()


def test_the_loss_vanishes_where_the_target_is_a_convex_combination() -> None:
    """Features as networks have them: not negative, and alike in their mean."""
    generator = torch.Generator().manual_seed(1)
    points = 3 + torch.rand(20, 5, 64, generator=generator)
    mixed = torch.distributions.Dirichlet(torch.ones(5)).sample((20,))
    wanted = torch.einsum("tk,tkh->th", mixed, points)
    there = torch.ones(20, 5, dtype=torch.bool)
    start = torch.full((20, 5), 0.2)
    found = combine(points, wanted, start, there, 100)
    assert polytope_loss([points], [found], [wanted]).max() < 1e-6
    assert polytope_loss([points], [start], [wanted]).max() > 1e-5
    assert torch.allclose(found, mixed, atol=1e-2)


def test_the_loss_by_hand() -> None:
    """Σ_i ½ ‖(3, 4) - (0, 0)‖² / 25 = ½ for each of two networks."""
    points, wanted = torch.zeros(1, 2, 2), torch.tensor([[3.0, 4.0]])
    weights = torch.tensor([[0.5, 0.5]])
    assert polytope_loss([points] * 2, [weights] * 2, [wanted] * 2).tolist() == [1.0]
