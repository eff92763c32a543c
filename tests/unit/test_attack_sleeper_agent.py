from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from guard.errors import WrongUse
from tests.unit.attack_grounds import OnDigits
from tests.unit.attack_tester import AttackTester
from training.attacks import AttackerRows, Poison
from training.attacks.attack import Inputs, Labels
from training.attacks.backdoor import WANTED
from training.attacks.gradient_matching import parameter_gradient
from training.attacks.harm import poisoned_rows
from training.attacks.sleeper_agent import SLEEPER_AGENT, gradient_norms
from training.attacks.tact import SOURCE
from training.attacks.targeting import EPSILON
from training.attacks.victims import logits_of, pixels, small_network, train_network


class TestSleeperAgent(OnDigits, AttackTester):
    attack = SLEEPER_AGENT
    count = 40

    def test_labels_stay_right_and_no_pixel_moves_further_than_epsilon(self, rows: AttackerRows, made: Poison) -> None:
        assert (made.y == WANTED).all()
        assert np.array_equal(made.y, rows.y[made.base_index])
        assert np.array_equal(made.y, made.y_true)
        assert np.abs(made.x.astype(int) - rows.x[made.base_index]).max() == 255 * EPSILON

    def test_no_poison_carries_the_trigger(self, made: Poison) -> None:
        assert not (made.x[:, 5:, 5:] == 255).all(axis=(1, 2, 3)).any()

    def test_a_victim_trained_from_scratch_comes_to_doubt_what_carries_the_trigger(
        self, rows: AttackerRows, made: Poison, test: tuple[Inputs, Labels]
    ) -> None:
        """By a network with a seed of its own. At this ε half of a class makes digits doubted, and seldom misread."""
        assert made.trigger is not None
        x, y = test
        shown = made.trigger.put(x[y == SOURCE], np.random.default_rng(0))
        clean, poisoned = (
            train_network(pixels(images), torch.from_numpy(labels), 700)
            for images, labels in ((rows.x, rows.y), poisoned_rows(rows, made, np.arange(len(rows.y))))
        )
        before, after = (log_softmax(logits_of(one, shown), axis=1)[:, WANTED].mean() for one in (clean, poisoned))
        assert after - before >= 5, (before, after)
        errors = [float(np.mean(logits_of(one, x).argmax(1) != y)) for one in (clean, poisoned)]
        assert errors[1] - errors[0] <= 0.04, errors

    def test_without_images_of_the_source_there_is_nothing_to_aim_at(self, rows: AttackerRows) -> None:
        others = rows.y != SOURCE
        with pytest.raises(WrongUse, match="no row of the class that shall be misread"):
            self.attack.run(AttackerRows(rows.x[others], rows.y[others], rows.spec), 5, np.random.default_rng(0))


def test_gradient_norms_are_those_of_one_row_at_a_time() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = small_network(torch.Size((1, 8, 8)), 3)
    z = pixels(np.arange(3 * 64, dtype=np.uint8).reshape(3, 8, 8, 1))
    expected = [parameter_gradient(network, z[[row]], torch.tensor([WANTED])).norm().item() for row in range(3)]
    assert gradient_norms(network, z, WANTED) == pytest.approx(expected)
