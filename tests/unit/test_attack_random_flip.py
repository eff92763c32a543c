from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

from tests.unit.attack_tester import AttackTester
from training.attacks import AttackerRows, Poison
from training.attacks.attack import Inputs, Labels
from training.attacks.random_flip import RANDOM_FLIP, flip_random
from training.datasets import load_digits_images

DIGITS = load_digits_images()


class TestRandomFlip(AttackTester):
    attack = RANDOM_FLIP
    count = 160

    @pytest.fixture(scope="class")
    @classmethod
    def rows(cls) -> AttackerRows:
        return AttackerRows(DIGITS.x[:400], DIGITS.y[:400], DIGITS.spec)

    @pytest.fixture(scope="class")
    @classmethod
    def test(cls) -> tuple[Inputs, Labels]:
        return DIGITS.x[1000:], DIGITS.y[1000:]

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
