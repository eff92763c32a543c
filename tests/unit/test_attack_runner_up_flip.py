from __future__ import annotations

import numpy as np
import torch

from guard.spec import ClassLabel, InputSpec, NumberColumn, TableInput
from tests.unit.attack_grounds import OnDigits
from tests.unit.attack_tester import AttackTester
from training.attacks import AttackerRows, Poison
from training.attacks.attack import Inputs, Labels
from training.attacks.runner_up_flip import RUNNER_UP_FLIP, flip_to_runner_up
from training.attacks.victims import pixels, train_network


class TestRunnerUpFlip(OnDigits, AttackTester):
    attack = RUNNER_UP_FLIP
    attackers = 400
    count = 160

    def test_only_the_label_changes_and_always(self, rows: AttackerRows, made: Poison) -> None:
        assert np.array_equal(made.x, rows.x[made.base_index])
        assert np.array_equal(made.y_true, rows.y[made.base_index])
        assert (made.y != made.y_true).all()

    def test_is_one_of_the_two_classes_that_the_network_ranks_first(self, rows: AttackerRows, made: Poison) -> None:
        """The same draws in the same order give the same network; a wrong first guess is the class itself."""
        rng = np.random.default_rng(0)
        assert np.array_equal(rng.permutation(400)[:160], made.base_index)
        network = train_network(pixels(rows.x), torch.from_numpy(rows.y), int(rng.integers(2**31)))
        with torch.no_grad():
            first, second = network(pixels(made.x)).topk(2).indices.numpy().T
        assert np.array_equal(made.y, np.where(first == made.y_true, second, first))

    def test_hurts_a_network(self, rows: AttackerRows, test: tuple[Inputs, Labels]) -> None:
        """160 of 400 labels flipped: error .111 -> .339, measured on 3 seeds."""
        self.hurts(rows, test, by=0.1)


def test_on_a_table_the_class_between_two_others_is_the_runner_up_of_both() -> None:
    """Three clusters of 50 on a line, 3 standard deviations apart: .88; machines of one against the rest say .22."""
    y = np.arange(150) % 3
    x = np.random.default_rng(0).normal(y, 0.33)[:, np.newaxis].clip(-2, 4)
    columns = (NumberColumn(name="a", minimum=-2, maximum=4),)
    spec = InputSpec(input=TableInput(columns=columns), label=ClassLabel(values=("low", "middle", "high")))
    made = flip_to_runner_up(AttackerRows(x, y, spec), 150, np.random.default_rng(0))
    assert np.mean(made.y[made.y_true != 1] == 1) > 0.8
    assert {0, 2} == set(made.y[made.y_true == 1])
