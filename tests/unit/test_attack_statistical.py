from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm

from tests.unit.attack_grounds import HOUSES, OnHouses, houses
from tests.unit.attack_tester import AttackTester
from training.attacks import AttackerRows, Poison
from training.attacks.attack import Inputs, Labels
from training.attacks.statistical import STATISTICAL, one_hot_groups, poison_statistically, repair_one_hot


class TestStatistical(OnHouses, AttackTester):
    attack = STATISTICAL
    count = 60

    def test_columns_are_zero_or_one_and_groups_hold_at_most_one(self, made: Poison) -> None:
        assert np.isin(made.x, (0, 1)).all()
        assert (made.x[:, 2:5].sum(axis=1) <= 1).all()
        assert (made.base_index == -1).all()

    def test_the_label_is_the_end_far_from_ridge_by_normal_equations(self, rows: AttackerRows, made: Poison) -> None:
        centred = rows.x - rows.x.mean(axis=0)
        target = (rows.y + 1) / 4
        gram = centred.T @ centred + 0.01 * np.eye(rows.x.shape[1])
        weights = np.linalg.solve(gram, centred.T @ (target - target.mean()))
        expected = (made.x - rows.x.mean(axis=0)) @ weights + target.mean()
        assert np.array_equal(made.y, np.where(expected < 0.5, 3.0, -1.0))
        assert np.allclose(made.y_true, -1 + 4 * expected.clip(0, 1))
        assert {-1.0, 3.0} == set(made.y)

    def test_moments_are_those_of_the_rows(self) -> None:
        """Seed 0, 4000 draws: P(x = 1) = Φ((m - ½) / √(v + .01)) of each free column, within 4 standard errors."""
        big = AttackerRows(*houses(4000, 1), HOUSES)
        made = poison_statistically(big, 4000, np.random.default_rng(0))
        free = [0, 1, 5, 6]
        expected = norm.cdf((big.x.mean(axis=0) - 0.5) / np.sqrt(big.x.var(axis=0) + 0.01))[free]
        error = np.sqrt(expected * (1 - expected) / 4000)
        assert (np.abs(made.x.mean(axis=0)[free] - expected) < 4 * error).all()

    def test_hurts_ridge_regression(self, rows: AttackerRows, test: tuple[Inputs, Labels]) -> None:
        """60 invented rows on 300; squared error over the range squared: .0004 -> .0334, measured on 3 seeds."""
        self.hurts(rows, test, by=0.02)


def test_groups_are_the_columns_that_share_a_name_before_the_colon() -> None:
    assert [group.tolist() for group in one_hot_groups(HOUSES)] == [[2, 3, 4], [5]]


def test_repair_by_hand() -> None:
    drawn = np.array([[0.9, 0.7, 0.6, 0.2], [0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.4, 0.9]])
    repaired = repair_one_hot(drawn, [np.array([0, 1, 2])])
    assert repaired.tolist() == [[1, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 1]]


@given(arrays(np.float64, (5, 6), elements=st.floats(-3, 3)))
def test_repair_leaves_at_most_the_largest_of_each_group(drawn: np.ndarray) -> None:
    groups = [np.array([0, 2]), np.array([3, 4, 5])]
    repaired = repair_one_hot(drawn, groups)
    assert np.array_equal(repaired[:, 1], drawn[:, 1] >= 0.5)
    for group in groups:
        part, kept = drawn[:, group], repaired[:, group]
        assert np.array_equal(kept.sum(axis=1), part.max(axis=1) >= 0.5)
        assert (part[kept == 1] == part.max(axis=1)[kept.any(axis=1)]).all()
