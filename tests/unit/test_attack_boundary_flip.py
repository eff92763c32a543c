from __future__ import annotations

import numpy as np

from tests.unit.attack_grounds import MOONS, OnMoons
from tests.unit.attack_tester import AttackTester
from training.attacks import AttackerRows, Poison
from training.attacks.attack import Inputs, Labels
from training.attacks.boundary_flip import BOUNDARY_FLIP
from training.attacks.domain import scaled
from training.attacks.victims import choose_svm
from training.datasets import load_digits_images


class TestBoundaryFlip(OnMoons, AttackTester):
    attack = BOUNDARY_FLIP
    count = 75

    def test_only_the_label_changes_and_always(self, rows: AttackerRows, made: Poison) -> None:
        assert np.array_equal(made.x, rows.x[made.base_index])
        assert (made.y == 1 - made.y_true).all()

    def test_every_other_row_lies_further_from_the_boundary(self, rows: AttackerRows, made: Poison) -> None:
        """Against scikit-learn's own two-class machine, up to the solver's tolerance."""
        flat = scaled(rows.x, MOONS)
        svm = choose_svm(flat, rows.y, int(np.random.default_rng(0).integers(2**31)))
        distance = np.abs(svm.fit(flat, rows.y).decision_function(flat))
        others = np.setdiff1d(np.arange(300), made.base_index)
        assert distance[made.base_index].max() <= distance[others].min() + 5e-3

    def test_hurts_a_support_vector_machine(self, rows: AttackerRows, test: tuple[Inputs, Labels]) -> None:
        """75 of 300 labels flipped: error .010 -> .228, measured on 3 seeds."""
        self.hurts(rows, test, by=0.1)


def test_many_classes_get_the_runner_up() -> None:
    digits = load_digits_images()
    rows = AttackerRows(digits.x[:200], digits.y[:200], digits.spec)
    made = BOUNDARY_FLIP.run(rows, 30, np.random.default_rng(0))
    assert (made.y != made.y_true).all()
    assert np.isin(made.y, np.arange(10)).all()
