from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from tests.unit.attack_grounds import OnDigits
from tests.unit.attack_tester import TargetedTester
from training.attacks import AttackerRows, Poison
from training.attacks.harm import poisoned_rows
from training.attacks.metapoison import METAPOISON, unrolled
from training.attacks.targeting import EPSILON
from training.attacks.victims import logits_of, pixels, train_network


class TestMetaPoison(OnDigits, TargetedTester):
    attack = METAPOISON
    count = 45

    def test_no_pixel_moves_further_than_epsilon(self, rows: AttackerRows, made: Poison) -> None:
        assert np.abs(made.x.astype(int) - rows.x[made.base_index]).max() == 255 * EPSILON

    def test_a_network_trained_from_scratch_comes_to_doubt_the_targets(self, rows: AttackerRows, made: Poison) -> None:
        """log p(wanted | target), in the mean over 5 targets and 2 networks with seeds of their own: -6.9 → -4.8."""
        targets = made.targets
        assert targets is not None
        clean = np.setdiff1d(np.arange(len(rows.y)), targets.index)
        poisoned = poisoned_rows(rows, made, clean)
        rises = []
        for seed in (500, 501):
            before, after = (
                log_softmax(
                    logits_of(train_network(pixels(x), torch.from_numpy(y), seed), rows.x[targets.index]), axis=1
                )[np.arange(len(targets.wanted)), targets.wanted].mean()
                for x, y in ((rows.x[clean], rows.y[clean]), poisoned)
            )
            rises.append(after - before)
        assert np.mean(rises) >= 1.0, rises


def smooth_network() -> nn.Sequential:
    """Without kinks, in float64: finite differences are exact to nine digits."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(9, 4), nn.Tanh(), nn.Linear(4, 3)).double()


def drawn(n: int, seed: int) -> Tensor:
    return torch.rand(n, 1, 3, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_two_steps_ahead_is_where_gradient_descent_goes() -> None:
    """Against torch's own optimiser on a copy; the network itself stays."""
    network, rival = smooth_network(), smooth_network()
    batches = [(drawn(5, seed), torch.tensor([0, 1, 2, 1, 0])) for seed in (1, 2)]
    ahead = unrolled(network, batches, 0.3)
    optimiser = torch.optim.SGD(rival.parameters(), lr=0.3)
    for z, y in batches:
        optimiser.zero_grad()
        functional.cross_entropy(rival(z), y).backward()
        optimiser.step()
    for name, value in rival.named_parameters():
        assert torch.allclose(ahead[name], value)
    for one, other in zip(network.parameters(), smooth_network().parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_gradient_through_both_steps_is_that_of_finite_differences() -> None:
    network, y = smooth_network(), torch.tensor([0, 1, 2])
    others, target, wanted = drawn(4, 3), drawn(1, 4), torch.tensor([2])

    def misreading(x: Tensor) -> Tensor:
        both = [(torch.cat([x, others]), torch.cat([y, torch.tensor([1, 1, 0, 2])]))] * 2
        return functional.cross_entropy(functional_call(network, unrolled(network, both, 0.5), (target,)), wanted)

    x = drawn(3, 5).requires_grad_()
    found = torch.autograd.grad(misreading(x), x)[0].flatten()
    for place in range(0, x.numel(), 4):
        change = torch.zeros(x.numel(), dtype=torch.float64)
        change[place] = 1e-5
        up, down = (misreading(x.detach() + sign * change.view_as(x)).item() for sign in (1, -1))
        assert found[place].item() == pytest.approx((up - down) / 2e-5, rel=1e-4, abs=1e-9)
    assert found.abs().max() > 1e-4
