from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chisquare
from sklearn.linear_model import Lasso, Ridge

from guard.spec import InputSpec, NumberColumn, NumberLabel, TableInput
from tests.unit.attack_grounds import OnHouses, houses
from tests.unit.attack_tester import AttackTester
from training.attacks import Attack, AttackerRows, Poison
from training.attacks.attack import Inputs, Labels
from training.attacks.harm import measure_harm
from training.attacks.implicit_gradient import LinearFit, Penalty, TrainingLoss
from training.attacks.optimal_regression import (
    LASSO,
    OPTIMAL_LASSO,
    OPTIMAL_RIDGE,
    RIDGE,
    STEALTHY_RIDGE,
    Movable,
    Victim,
    climb,
    draw_influential,
)
from training.attacks.statistical import STATISTICAL
from training.attacks.victims import LASSO_ALPHA, RIDGE_ALPHA


class OptimalTester(OnHouses, AttackTester):
    count = 60


class TestOptimalRidge(OptimalTester):
    attack = OPTIMAL_RIDGE

    def test_groups_hold_at_most_one_and_rows_are_made_up(self, made: Poison) -> None:
        assert np.isin(made.x[:, 2:6], (0, 1)).all()
        assert (made.x[:, 2:5].sum(axis=1) <= 1).all()
        assert (made.base_index == -1).all()

    def test_the_right_label_is_what_clean_rows_let_expect(self, rows: AttackerRows, made: Poison) -> None:
        model = Ridge(alpha=RIDGE_ALPHA).fit(rows.x, (rows.y + 1) / 4)
        assert np.allclose(made.y_true, -1 + 4 * model.predict(made.x).clip(0, 1))

    def test_hurts_ridge_regression(self, rows: AttackerRows, test: tuple[Inputs, Labels]) -> None:
        """60 rows on 300; squared error over the range squared: .0004 -> .0379, measured on 3 seeds."""
        self.hurts(rows, test, by=0.02)

    def test_hurts_more_than_statistical_poison(self, rows: AttackerRows, test: tuple[Inputs, Labels]) -> None:
        ours, theirs = (
            measure_harm(attack, rows, attack.run(rows, self.count, np.random.default_rng(0)), test).poisoned
            for attack in (OPTIMAL_RIDGE, STATISTICAL)
        )
        assert ours > theirs


class TestOptimalLasso(OptimalTester):
    attack = OPTIMAL_LASSO

    def test_hurts_the_lasso(self, rows: AttackerRows, test: tuple[Inputs, Labels]) -> None:
        """60 rows on 300; squared error over the range squared: .0004 -> .0378, measured on 3 seeds."""
        self.hurts(rows, test, by=0.02)


class TestStealthyRidge(OptimalTester):
    attack = STEALTHY_RIDGE

    def test_nothing_moves_far(self, rows: AttackerRows, made: Poison) -> None:
        moved = np.abs(made.x - rows.x[made.base_index])
        assert moved.max() <= 0.1 + 1e-12
        assert moved[:, [0, 1, 6]].mean() > 0.02
        assert not moved[:, 2:6].any()
        assert np.abs(made.y - made.y_true).max() <= 0.15 * 4 + 1e-12
        assert np.array_equal(made.y_true, rows.y[made.base_index])

    def test_hurts_ridge_regression(self, rows: AttackerRows, test: tuple[Inputs, Labels]) -> None:
        """60 of 300 rows moved; squared error over the range squared: .0004 -> .0042, measured on 3 seeds."""
        self.hurts(rows, test, by=0.002)


def objective_of(points: NDArray[np.float64], penalty: Penalty, clean: NDArray[np.float64]) -> float:
    """W of the model that scikit-learn trains on `points`."""
    model = Lasso(alpha=LASSO_ALPHA, tol=1e-9, max_iter=10**5) if penalty.lasso else Ridge(alpha=RIDGE_ALPHA)
    model.fit(points[:, :-1], points[:, -1])
    w = model.coef_
    fine = LASSO_ALPHA * abs(w).sum() if penalty.lasso else RIDGE_ALPHA / 2 / len(points) * w @ w
    return float(np.mean((model.predict(clean[:, :-1]) - clean[:, -1]) ** 2) + fine)


@pytest.mark.parametrize("penalty", [RIDGE, LASSO], ids=["ridge", "lasso"])
def test_the_climb_ends_higher_than_it_began(penalty: Penalty) -> None:
    x, y = houses(100, 3)
    clean = np.column_stack([x, (y + 1) / 4])
    start = Movable(clean[:20], np.zeros((20, 8)), np.ones((20, 8)), groups=[])
    found = climb(start, Victim(penalty, clean, clean))
    begun, ended = (objective_of(np.concatenate([clean, rows]), penalty, clean) for rows in (start.points, found))
    assert ended > 5 * begun
    assert found.min() >= 0
    assert found.max() <= 1


def test_one_row_climbs_as_high_as_any_place_under_its_label() -> None:
    """One column, one poisoned row labelled 0, 101 places for it, each with the model trained anew."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0.3, 0.7, 30)
    clean = np.column_stack([x, 0.2 + 0.5 * x])
    start = Movable(np.array([[0.6, 0.0]]), np.zeros((1, 2)), np.ones((1, 2)), groups=[])
    found = climb(start, Victim(RIDGE, clean, clean))
    axis = np.linspace(0, 1, 101)
    best = max(objective_of(np.append(clean, [[a, 0]], axis=0), RIDGE, clean) for a in axis)
    assert objective_of(np.append(clean, found, axis=0), RIDGE, clean) > 0.999 * best


def test_rows_are_drawn_by_leverage_and_by_the_room_of_their_label() -> None:
    """4000 draws of one row among 12, seed 0: the chi-squared test is not significant at 1 in 1000."""
    x, y = houses(12, 4)
    points = np.column_stack([x[:, :2], (y + 1) / 4])
    z = np.column_stack([points[:, :2], np.ones(12)])
    hat = z @ np.linalg.inv(z.T @ z + 0.01 * np.eye(3)) @ z.T
    expected = np.diag(hat) * (0.5 + abs(points[:, 2] - 0.5))
    rng = np.random.default_rng(0)
    drawn = np.bincount([draw_influential(points, 1, rng)[0] for _ in range(4000)], minlength=12)
    assert chisquare(drawn, 4000 * expected / expected.sum()).pvalue > 1e-3
    assert len(set(draw_influential(points, 12, rng))) == 12


@pytest.mark.parametrize("attack", [OPTIMAL_RIDGE, OPTIMAL_LASSO, STEALTHY_RIDGE], ids=lambda attack: attack.name)
def test_a_column_that_cannot_vary_is_not_counted_on(attack: Attack) -> None:
    x, y = houses(80, 5)
    columns = (NumberColumn(name="size", minimum=0, maximum=1), NumberColumn(name="year", minimum=2020, maximum=2020))
    label = NumberLabel(minimum=-1, maximum=3)
    one, two = (InputSpec(input=TableInput(columns=columns[:k]), label=label) for k in (1, 2))
    pairs = np.column_stack([x[:, 0], np.full(80, 2020.0)])
    alone = attack.run(AttackerRows(x[:, :1], y, one), 10, np.random.default_rng(0))
    made = attack.run(AttackerRows(pairs, y, two), 10, np.random.default_rng(0))
    assert (made.x[:, 1] == 2020).all()
    assert np.allclose(made.x[:, 0], alone.x[:, 0])
    assert np.allclose(made.y, alone.y)


class Watched(Victim):
    """Keeps what it was trained on, and W."""

    seen: ClassVar[list[tuple[float, NDArray[np.float64]]]] = []

    def train(self, poison: NDArray[np.float64]) -> tuple[LinearFit, TrainingLoss]:
        fit, loss = super().train(poison)
        self.seen.append((float(loss.value(fit.theta)), poison))
        return fit, loss


def test_a_round_in_which_the_lasso_falls_is_undone() -> None:
    """30 columns, 5 of which matter, under the lasso: the best poison of the whole climb is returned."""
    rng = np.random.default_rng(0)
    x = rng.random((60, 30))
    clean = np.column_stack([x, np.clip(x[:, :5].mean(axis=1) + rng.normal(0, 0.05, 60), 0, 1)])
    start = Movable(clean[:12], np.zeros((12, 31)), np.ones((12, 31)), groups=[])
    found = climb(start, Watched(Penalty(ridge=1e-6, lasso=3e-3), clean, clean))
    values = [value for value, _ in Watched.seen]
    assert any(after < before for before, after in pairwise(values))
    assert np.array_equal(found, Watched.seen[int(np.argmax(values))][1])
