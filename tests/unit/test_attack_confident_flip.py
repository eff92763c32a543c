from __future__ import annotations

import numpy as np
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.svm import SVC

from tests.unit.attack_grounds import OnMoons, moons
from tests.unit.attack_tester import AttackTester
from training.attacks import AttackerRows, Poison
from training.attacks.attack import Inputs, Labels
from training.attacks.confident_flip import CONFIDENT_FLIP, Confidence, flip_order, measure_confidence
from training.datasets import load_digits_images


class TestConfidentFlip(OnMoons, AttackTester):
    attack = CONFIDENT_FLIP
    count = 75

    def test_only_the_label_changes_and_always(self, rows: AttackerRows, made: Poison) -> None:
        assert np.array_equal(made.x, rows.x[made.base_index])
        assert (made.y == 1 - made.y_true).all()

    def test_hurts_a_support_vector_machine(self, rows: AttackerRows, test: tuple[Inputs, Labels]) -> None:
        """75 of 300 labels flipped, all of them far from the boundary: error .010 -> .273, measured on 3 seeds."""
        self.hurts(rows, test, by=0.1)


def test_margin_and_dual_coefficients_by_hand() -> None:
    """f(x) = Σ_i y_i α_i k(x_i, x) + b, summed over the support vectors as scikit-learn stores them."""
    x, y = moons(120, 3)
    svm = SVC(C=10, gamma=0.7)
    found = measure_confidence(svm, x, y)
    fitted = SVC(C=10, gamma=0.7).fit(x, y)
    decision = rbf_kernel(x, x[fitted.support_], gamma=0.7) @ fitted.dual_coef_[0] + fitted.intercept_[0]
    alpha = np.zeros(len(x))
    alpha[fitted.support_] = fitted.dual_coef_[0] * (2 * y[fitted.support_] - 1)
    assert (alpha >= 0).all()
    # Each class has its own fit: equal up to the solver's tolerance of 1e-3.
    assert np.allclose(found.margin, decision * (2 * y - 1), atol=5e-3)
    assert np.allclose(found.alpha_share, alpha / 10, atol=5e-3)
    assert np.array_equal(found.runner_up, 1 - y)


def test_the_order_of_four_points_by_hand() -> None:
    """v = α/C - s/10 with s relative to 2: (0 - .1, 0 - .05, 1 + .05, .5 - .01)."""
    confidence = Confidence(np.array([0, 0, 1, 0.5]), np.array([2.0, 1.0, -1.0, 0.2]), np.zeros(4, np.int64))
    assert flip_order(confidence).tolist() == [0, 1, 3, 2]


def test_points_that_are_no_support_vectors_come_first() -> None:
    x, y = moons(200, 4)
    confidence = measure_confidence(SVC(C=10, gamma=1.0), x, y)
    free = int((confidence.alpha_share == 0).sum())
    assert 20 < free < 200
    first = flip_order(confidence)[:free]
    assert (confidence.alpha_share[first] < 0.1).all()


def test_many_classes_get_the_runner_up() -> None:
    digits = load_digits_images()
    rows = AttackerRows(digits.x[:300], digits.y[:300], digits.spec)
    made = CONFIDENT_FLIP.run(rows, 40, np.random.default_rng(0))
    assert (made.y != made.y_true).all()
    assert np.isin(made.y, np.arange(10)).all()
