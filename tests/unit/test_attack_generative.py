from __future__ import annotations

import numpy as np
import torch

from tests.unit.attack_grounds import DIGITS, OnDigits
from tests.unit.attack_tester import AttackTester
from tests.unit.test_attack_direct_gradient import step_losses
from training.attacks import AttackerRows, Poison
from training.attacks.attack import Inputs, Labels
from training.attacks.generative import GENERATIVE, train_autoencoder
from training.attacks.victims import pixels


class TestGenerative(OnDigits, AttackTester):
    attack = GENERATIVE
    attackers = 300
    count = 120

    def test_every_image_gets_the_next_class_and_nine_gets_zero(self, rows: AttackerRows, made: Poison) -> None:
        assert np.array_equal(made.y_true, rows.y[made.base_index])
        assert np.array_equal(made.y, (made.y_true + 1) % 10)
        assert 0 in made.y

    def test_a_step_on_it_harms_more_than_a_step_on_the_flip_alone(self, rows: AttackerRows, made: Poison) -> None:
        """The network that it was made with, judged by other images: 421 -> 1478, higher for all of them."""
        flat, moved = step_losses(rows, made, DIGITS.x[300:600], DIGITS.y[300:600])
        assert moved.mean() > 1.5 * flat.mean()
        assert (moved > flat).mean() > 0.75

    def test_hurts_a_network_that_goes_on_learning(self, rows: AttackerRows, test: tuple[Inputs, Labels]) -> None:
        """120 of 300 images; error .237 -> .706, measured on 3 seeds."""
        self.hurts(rows, test, by=0.2)


def test_the_autoencoder_copies_better_than_the_mean_and_leaves_the_global_generator_alone() -> None:
    z = pixels(DIGITS.x[:400])
    state = torch.random.get_rng_state()
    copied = train_autoencoder(z, 0)(z).detach()
    assert copied.shape == z.shape
    assert ((copied - z) ** 2).mean() < 0.4 * ((z.mean(dim=0) - z) ** 2).mean()
    assert torch.equal(torch.random.get_rng_state(), state)
