from __future__ import annotations

import numpy as np
from scipy.stats import chisquare

from tests.unit.attack_grounds import DIGITS, OnDigits
from tests.unit.attack_tester import AttackTester
from training.attacks import AttackerRows, Poison
from training.attacks.attack import Inputs, Labels
from training.attacks.random_flip import RANDOM_FLIP, flip_random


class TestRandomFlip(OnDigits, AttackTester):
    attack = RANDOM_FLIP
    attackers = 400
    held_back = 1000
    count = 160

    def test_only_the_label_changes_and_always(self, rows: AttackerRows, made: Poison) -> None:
        assert np.array_equal(made.x, rows.x[made.base_index])
        assert np.array_equal(made.y_true, rows.y[made.base_index])
        assert (made.y != made.y_true).all()

    def test_other_classes_are_equally_likely(self) -> None:
        """Seed 0, 1700 flips, 9 shifts: the chi-squared test is not significant at 1 in 1000."""
        made = flip_random(AttackerRows(DIGITS.x, DIGITS.y, DIGITS.spec), 1700, np.random.default_rng(0))
        assert chisquare(np.bincount((made.y - made.y_true) % 10, minlength=10)[1:]).pvalue > 1e-3

    def test_hurts_a_support_vector_machine(self, rows: AttackerRows, test: tuple[Inputs, Labels]) -> None:
        """160 of 400 labels flipped: error .049 -> .105, measured on 3 seeds."""
        self.hurts(rows, test, by=0.025)
