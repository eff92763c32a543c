from __future__ import annotations

import numpy as np
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.svm import SVC

from tests.unit.attack_grounds import MOONS, OnMoons
from tests.unit.attack_tester import AttackTester
from training.attacks import AttackerRows, Poison
from training.attacks.adversarial_flip import ADVERSARIAL_FLIP, REPETITIONS, random_margins, retrained_error
from training.attacks.attack import Inputs, Labels
from training.attacks.confident_flip import measure_confidence
from training.attacks.domain import scaled
from training.attacks.victims import choose_svm
from training.datasets import load_digits_images


class TestAdversarialFlip(OnMoons, AttackTester):
    attack = ADVERSARIAL_FLIP
    count = 75

    def test_only_the_label_changes_and_always(self, rows: AttackerRows, made: Poison) -> None:
        assert np.array_equal(made.x, rows.x[made.base_index])
        assert (made.y == 1 - made.y_true).all()

    def test_hurts_a_support_vector_machine(self, rows: AttackerRows, test: tuple[Inputs, Labels]) -> None:
        """75 of 300 labels flipped: error .010 -> .302, measured on 3 seeds."""
        self.hurts(rows, test, by=0.1)

    def test_the_most_harmful_try_is_kept(self, rows: AttackerRows, made: Poison) -> None:
        """The same draws in the same order; v and each retrained machine written out anew."""
        rng = np.random.default_rng(0)
        flat, y = scaled(rows.x, MOONS), rows.y
        svm = choose_svm(flat, y, int(rng.integers(2**31)))
        told = measure_confidence(svm, flat, y)
        errors = []
        for q in random_margins(svm, flat, y, REPETITIONS, rng):
            v = told.alpha_share - 0.1 * told.margin / abs(told.margin).max() - 0.1 * q / abs(q).max()
            flipped = np.isin(np.arange(300), np.argsort(v, kind="stable")[:75])
            model = SVC(C=svm.C, gamma=svm.gamma).fit(flat, np.where(flipped, 1 - y, y))
            errors.append((np.mean(model.predict(flat) != y), set(np.flatnonzero(flipped))))
        worst = max(error for error, _ in errors)
        assert worst > min(error for error, _ in errors)
        assert set(made.base_index) in [flips for error, flips in errors if error == worst]


def test_random_machines_by_brute_force() -> None:
    """q_i = y_i (Σ_j y_j α_j k(x_j, x_i) + b) of two classes: α in [0, C], |b| at most the largest sum."""
    rng = np.random.default_rng(0)
    flat, y = rng.random((30, 3)), np.arange(30) % 2
    found = random_margins(SVC(C=5, gamma=2.0), flat, y, 4, np.random.default_rng(1))
    draws = np.random.default_rng(1)
    alpha, offset = draws.uniform(0, 5, (30, 4)), draws.uniform(-1, 1, (4, 2))
    sign = 1 - 2 * y
    for r in range(4):
        sums = np.array(
            [
                sum(sign[j] * alpha[j, r] * np.exp(-2 * ((flat[i] - flat[j]) ** 2).sum()) for j in range(30))
                for i in range(30)
            ]
        )
        assert np.allclose(found[r], sign * (sums + offset[r, 0] * abs(sums).max()))


def test_random_machines_of_three_classes_share_their_coefficients() -> None:
    rng = np.random.default_rng(0)
    flat, y = rng.random((30, 3)), np.arange(30) % 3
    alpha = np.random.default_rng(1).uniform(0, 5, (30, 1))[:, 0]
    kernel = rbf_kernel(flat, gamma=2.0)
    sums = kernel @ (np.where(y[:, np.newaxis] == np.arange(3), 1, -1) * alpha[:, np.newaxis])
    draws = np.random.default_rng(1)
    draws.uniform(0, 5, (30, 1))
    offset = draws.uniform(-1, 1, 3)
    own = sums[np.arange(30), y]
    found = random_margins(SVC(C=5, gamma=2.0), flat, y, 1, np.random.default_rng(1))[0]
    assert np.allclose(found, own + offset[y] * abs(own).max())


def test_flips_that_leave_one_class_alone_can_be_weighed() -> None:
    flat, y = np.linspace(0, 1, 20)[:, np.newaxis], np.repeat([0, 1], [5, 15])
    assert retrained_error(SVC(gamma=1.0), flat, np.zeros_like(y), y) == 0.75
    assert retrained_error(SVC(C=100, gamma=9.0), flat, y, y) == 0
    assert retrained_error(SVC(C=100, gamma=9.0), flat, 1 - y, y) == 1


def test_many_classes_get_the_runner_up() -> None:
    digits = load_digits_images()
    rows = AttackerRows(digits.x[:200], digits.y[:200], digits.spec)
    made = ADVERSARIAL_FLIP.run(rows, 30, np.random.default_rng(0))
    assert (made.y != made.y_true).all()
    assert np.isin(made.y, np.arange(10)).all()
