from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tests.unit.attack_grounds import DIGITS, OnDigits
from tests.unit.attack_tester import AttackTester
from training.attacks import AttackerRows, Poison
from training.attacks.attack import Inputs, Labels
from training.attacks.direct_gradient import DIRECT_GRADIENT, draw_normal, loss_after_step
from training.attacks.victims import ONLINE_RATE, fit_online, own_network, pixels, train_network


class TestDirectGradient(OnDigits, AttackTester):
    attack = DIRECT_GRADIENT
    attackers = 300
    count = 120

    def test_every_image_gets_the_next_class_and_nine_gets_zero(self, rows: AttackerRows, made: Poison) -> None:
        assert np.array_equal(made.y_true, rows.y[made.base_index])
        assert np.array_equal(made.y, (made.y_true + 1) % 10)
        assert 0 in made.y

    def test_pixels_move_in_fifths_of_the_range(self, rows: AttackerRows, made: Poison) -> None:
        """In steps of 51 from where they were, or from an end of the range at which they were cut."""
        moved = made.x.astype(int) - rows.x[made.base_index]
        assert ((moved % 51 == 0) | (made.x % 51 == 0)).all()
        assert np.abs(moved).mean() > 51

    def test_a_step_on_it_harms_more_than_a_step_on_the_flip_alone(self, rows: AttackerRows, made: Poison) -> None:
        """The network that it was made with, judged by other images: 421 -> 813, higher for .90 of them."""
        flat, moved = step_losses(rows, made, DIGITS.x[300:600], DIGITS.y[300:600])
        assert moved.mean() > 1.5 * flat.mean()
        assert (moved > flat).mean() > 0.75

    def test_hurts_a_network_that_goes_on_learning(self, rows: AttackerRows, test: tuple[Inputs, Labels]) -> None:
        """120 of 300 images; error .237 -> .615, measured on 3 seeds."""
        self.hurts(rows, test, by=0.2)

    def test_a_class_that_the_attacker_never_saw_is_claimed_as_well(self, rows: AttackerRows) -> None:
        few = np.flatnonzero(rows.y < 2)
        made = DIRECT_GRADIENT.run(AttackerRows(rows.x[few], rows.y[few], rows.spec), 8, np.random.default_rng(0))
        assert 2 in made.y


def step_losses(rows: AttackerRows, made: Poison, x: Inputs, y: Labels) -> tuple[np.ndarray, np.ndarray]:
    """Loss of ten clean images after one step on each base image under its wrong label, and on the poisoned one."""
    rng = np.random.default_rng(0)
    assert np.array_equal(rng.permutation(len(rows.y))[: len(made.y)], made.base_index)
    network = own_network(rows, rng)
    normal = draw_normal(AttackerRows(x, y, rows.spec), len(made.y), np.random.default_rng(1))
    wrong = torch.from_numpy(made.y)
    with torch.no_grad():
        flat, moved = (
            loss_after_step(network, pixels(images), wrong, normal).numpy()
            for images in (rows.x[made.base_index], made.x)
        )
    return flat, moved


@pytest.fixture
def four_images() -> tuple[torch.Tensor, torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    z = torch.rand(4, 1, 3, 3, generator=generator, dtype=torch.float64)
    clean = torch.rand(4, 5, 1, 3, 3, generator=generator, dtype=torch.float64)
    return z, torch.tensor([0, 1, 2, 0]), (clean, torch.arange(20).reshape(4, 5) % 3)


def test_one_step_of_logistic_regression_in_closed_form(four_images: tuple) -> None:
    """W' = W - η (softmax(W z) - onehot(y)) zᵀ."""
    z, y, (clean_z, clean_y) = four_images
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Flatten(), nn.Linear(9, 3, bias=False)).double()
    weight = network[1].weight.detach()
    found = loss_after_step(network, z, y, (clean_z, clean_y))
    for i in range(4):
        flat = z[i].flatten()
        after = weight - ONLINE_RATE * torch.outer(
            torch.softmax(weight @ flat, 0) - nn.functional.one_hot(y[i], 3), flat
        )
        expected = nn.functional.cross_entropy(clean_z[i].flatten(1) @ after.T, clean_y[i], reduction="sum")
        assert torch.isclose(found[i], expected)
    assert torch.equal(network[1].weight, weight)


def test_the_gradient_of_the_unrolled_step_by_central_differences(four_images: tuple) -> None:
    z, y, normal = four_images
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        layers = nn.Conv2d(1, 4, 2), nn.Tanh(), nn.Flatten(), nn.Linear(16, 3)
        network = nn.Sequential(*layers).double()
    assert torch.autograd.gradcheck(
        lambda images: loss_after_step(network, images, y, normal), z.requires_grad_(), rtol=1e-5, atol=1e-8
    )


def test_the_sign_is_that_of_forward_differences_as_published() -> None:
    """Each pixel of one image raised by .01, on the float32 network; .95 of the pixels whose gradient is not tiny."""
    rng = np.random.default_rng(0)
    rows = AttackerRows(DIGITS.x[:200], DIGITS.y[:200], DIGITS.spec)
    network = own_network(rows, rng)
    z, wrong = pixels(rows.x[:1]).requires_grad_(), torch.from_numpy((rows.y[:1] + 1) % 10)
    normal = draw_normal(rows, 1, rng)
    slope = torch.autograd.grad(loss_after_step(network, z, wrong, normal).sum(), z)[0].flatten()
    raised = z.detach() + 0.01 * torch.eye(64).view(64, 1, 8, 8)
    many = normal[0].expand(64, -1, -1, -1, -1), normal[1].expand(64, -1)
    with torch.no_grad():
        before = loss_after_step(network, z, wrong, normal)
        difference = loss_after_step(network, raised, wrong.expand(64), many) - before
    seen = slope.abs() > 0.1 * slope.abs().max()
    assert seen.sum() > 20
    assert (difference.sign() == slope.sign())[seen].float().mean() >= 0.95


def test_the_online_network_takes_one_step_on_each_later_row_in_order() -> None:
    """Half of the rows are learnt at once; the steps on the other half by hand, θ ← θ - η ∇θ."""
    x, y = DIGITS.x[:40], DIGITS.y[:40]
    network = train_network(pixels(x[:20]), torch.from_numpy(y[:20]), 5, classes=10)
    for z, label in zip(pixels(x[20:]), torch.from_numpy(y[20:]), strict=True):
        slopes = torch.autograd.grad(nn.functional.cross_entropy(network(z[None]), label[None]), network.parameters())
        with torch.no_grad():
            for weight, slope in zip(network.parameters(), slopes, strict=True):
                weight -= ONLINE_RATE * slope
    found = fit_online(x, y, DIGITS.spec, 5)(DIGITS.x[:300])
    assert np.array_equal(found, network(pixels(DIGITS.x[:300])).argmax(1).numpy())
    assert not np.array_equal(found, fit_online(x[::-1].copy(), y[::-1].copy(), DIGITS.spec, 5)(DIGITS.x[:300]))
