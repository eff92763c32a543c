from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tests.unit.attack_grounds import OnDigits
from tests.unit.attack_tester import TransferTester
from training.attacks import AttackerRows, Poison
from training.attacks.feature_collision import BETA, FEATURE_COLLISION, collide
from training.attacks.targeting import EPSILON, choose_aims, substitutes
from training.attacks.victims import pixels


class TestFeatureCollision(OnDigits, TransferTester):
    attack = FEATURE_COLLISION
    count = 97

    def test_no_pixel_moves_further_than_epsilon(self, rows: AttackerRows, made: Poison) -> None:
        assert np.abs(made.x.astype(int) - rows.x[made.base_index]).max() == 255 * EPSILON

    def test_the_features_of_the_poison_come_near_those_of_the_target(self, rows: AttackerRows, made: Poison) -> None:
        """The same draws in the same order give the same targets and the same network."""
        rng = np.random.default_rng(0)
        aims = choose_aims(rows, self.count, 10, rng)
        assert np.array_equal(aims.base, made.base_index)
        (features,) = substitutes(rows, aims, 1, rng)
        wanted = features(pixels(rows.x[aims.targets.index]))[aims.targets.serves]
        apart = [(features(pixels(x)) - wanted).norm(dim=1).mean().item() for x in (rows.x[aims.base], made.x)]
        assert apart[1] < apart[0] / 2, apart

    def test_reaches_its_targets_where_the_last_layer_is_retrained(self, rows: AttackerRows) -> None:
        """Share of 10 targets that are read as wanted: 0 → .10, in the mean over 2 seeds."""
        self.reaches(rows, by=0.05)


def test_on_linear_features_it_ends_where_the_objective_is_stationary() -> None:
    """2 Aᵀ(A p - φ(t)) + β (p - b) = 0, solved by numpy; no bound is active."""
    generator = torch.Generator().manual_seed(0)
    features = nn.Sequential(nn.Flatten(), nn.Linear(4, 3, bias=False)).double()
    directions = torch.linalg.qr(torch.randn(4, 3, generator=generator, dtype=torch.float64)).Q.T
    features[1].weight.data = torch.tensor([[0.7], [1.0], [1.5]]) * directions
    weight = features[1].weight.detach()
    base = 0.4 + 0.2 * torch.rand(6, 1, 2, 2, generator=generator, dtype=torch.float64)
    wanted = features(base + 0.1 * torch.randn(6, 1, 2, 2, generator=generator, dtype=torch.float64)).detach()
    found = collide(features, base, wanted, epsilon=1.0).flatten(1)
    left = 2 * weight.T @ weight + BETA * torch.eye(4)
    right = 2 * wanted @ weight + BETA * base.flatten(1)
    assert torch.allclose(found, torch.linalg.solve(left, right.T).T, atol=1e-4)
    assert (found - base.flatten(1)).abs().max() > 0.05


def test_a_step_that_is_too_long_is_undone_and_shortened() -> None:
    """Curvature 2 · 30² = 1800 against a first λ of .1: without shrinking, the steps would diverge to the bounds."""
    features = nn.Sequential(nn.Flatten(), nn.Linear(1, 1, bias=False)).double()
    features[1].weight.data.fill_(30)
    base, wanted = torch.full((1, 1, 1, 1), 0.5).double(), torch.tensor([[18.0]]).double()
    assert collide(features, base, wanted, epsilon=1.0).item() == pytest.approx(0.6, abs=1e-4)
