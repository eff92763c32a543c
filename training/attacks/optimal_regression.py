"""Optimal poison against linear regression: rows climb the gradient of the victim's error (Jagielski et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from guard.spec import InputSpec
from training.attacks.attack import Attack, AttackerRows, Poison, pick
from training.attacks.domain import is_numeric_regression, require, scaled, scaled_labels, unscaled, unscaled_labels
from training.attacks.implicit_gradient import LinearFit, Penalty, TrainingLoss, fit_linear, training_loss
from training.attacks.statistical import one_hot_groups, repair_one_hot
from training.attacks.victims import LASSO_ALPHA, RIDGE_ALPHA, fit_lasso, fit_ridge

__all__ = [
    "LASSO",
    "OPTIMAL_LASSO",
    "OPTIMAL_RIDGE",
    "RIDGE",
    "STEALTHY_RIDGE",
    "STEALTH_X",
    "STEALTH_Y",
    "Movable",
    "Victim",
    "climb",
    "draw_influential",
    "poison_optimally",
    "poison_stealthily",
]

STEALTH_X, STEALTH_Y = 0.1, 0.15
"""Furthest that a stealthy row moves in each column and in its label, as a share of the legal range."""

RIDGE = Penalty(ridge=RIDGE_ALPHA, lasso=0)
"""That of `fit_ridge`."""

LASSO = Penalty(ridge=1e-6, lasso=LASSO_ALPHA)
"""That of `fit_lasso`, with a touch of ridge: the equations stay solvable without the one row that carries a column."""

_STEPS = np.ldexp(1.0, np.arange(4, -8, -1))
"""Lengths tried along the unit gradient: from the far corner of the legal box to less than a hundredth of a range."""

_SHORTER, _SHORTEST = 4, 0.01
"""Divisor of all lengths after a round in which the lasso's active set changed so much that the objective fell, and the
longest one below which the climb ends."""

_ROUNDS = 50
_LEAST_RISE = 1e-3
"""Rise of the objective in one round, relative to it, below which the climb ends."""


@dataclass(frozen=True)
class Movable:
    """Poisoned rows in scaled units and how far each may move: (p, d + 1) each, the columns of x and then y.

    `groups`: one-hot groups among the columns.
    """

    points: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    groups: list[NDArray[np.int64]]

    def legal(self, row: int, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """`points` (m, d + 1) cut to the box of row `row`, one-hot groups repaired."""
        legal = np.clip(points, self.low[row], self.high[row])
        repaired = repair_one_hot(legal, self.groups)
        for group in self.groups:
            legal[:, group] = repaired[:, group]
        return legal


@dataclass(frozen=True)
class Victim:
    """What the attacker knows: the linear model's penalty, the rows `beside` the poison, and the `clean` ones.

    Rows are (n, d + 1) in scaled units, the columns of x and then y.
    """

    penalty: Penalty
    beside: NDArray[np.float64]
    clean: NDArray[np.float64]

    def train(self, poison: NDArray[np.float64]) -> tuple[LinearFit, TrainingLoss]:
        """The model trained with `poison` (p, d + 1), and its loss on the clean rows."""
        fit = fit_linear(np.concatenate([self.beside, poison]), self.penalty)
        return fit, training_loss(fit, self.clean, self.penalty, n=len(self.beside) + len(poison))


def poison_optimally(penalty: Penalty, rows: AttackerRows, count: int, rng: np.random.Generator) -> Poison:
    r"""`count` invented rows, moved until the model that is trained on them too errs most on the attacker's own.

    Availability attack on linear regression of known penalty, trained on known rows. x and y are scaled to [0, 1].

    1. `draw_influential` draws rows; their labels go to the far end.  2. For each in turn, the gradient of
    W = 1/m Σ (w·x_j + b - y_j)² + λΩ(w) over the m clean rows, by (x, y), through the KKT conditions of the fit; parts
    that point out of the legal box are dropped, and the length is made 1.  3. Twelve steps of halving length are
    tried, cut to the box, one-hot groups repaired, and the fit follows each of them.  4. The best is taken if W rises.
    5. When all rows have moved, the model is fitted anew; a round in which W fell is undone, and steps are shortened.
    The climb ends where W rose by less than 0.1 %, or after 50 rounds.

    `y_true` is what a model of the clean rows expects, cut to the legal range: rows move too far to keep another.
    `base_index` is -1. Raises `WrongUse` for classification, for images or tables with text or gaps, and when `count`
    is not in 1 … len(rows.y).

    Differs from the paper: the published code leaves poison out of the equations that it differentiates and out of the
    line search, and looks at W when all rows have moved; here W never falls. It draws the first rows by the sums of
    the hat matrix, which are all 1 once the model has an intercept; here they are drawn by its diagonal.
    """
    clean = _scaled_points(rows)
    base = draw_influential(clean, count, rng)
    start = Movable(
        points=_label_far_off(clean[base]),
        low=np.zeros((count, clean.shape[1])),
        high=np.ones((count, clean.shape[1])),
        groups=one_hot_groups(rows.spec),
    )
    found = climb(start, Victim(penalty, clean, clean))
    fit = fit_linear(clean, penalty)
    honest = unscaled_labels(fit.extend(found) @ fit.theta, rows.spec)
    return Poison(*_unscaled_points(found, rows.spec), np.full(count, -1), honest)


def poison_stealthily(penalty: Penalty, rows: AttackerRows, count: int, rng: np.random.Generator) -> Poison:
    """Like `poison_optimally`, but each row stays near the one that it was made from, and takes its place.

    |x' - x| ≤ 0.1 in every column, one-hot groups untouched, and |y' - y| ≤ 0.15, all as shares of the legal range.
    `base_index` and `y_true` are those of that row. Raises as `poison_optimally`.
    """
    clean = _scaled_points(rows)
    base = draw_influential(clean, count, rng)
    width = np.append(np.full(clean.shape[1] - 1, STEALTH_X), STEALTH_Y)
    width[[column for group in one_hot_groups(rows.spec) for column in group]] = 0
    low, high = np.clip([clean[base] - width, clean[base] + width], 0, 1)
    start = Movable(np.clip(_label_far_off(clean[base]), low, high), low, high, groups=[])
    found = climb(start, Victim(penalty, np.delete(clean, base, axis=0), clean))
    return Poison(*_unscaled_points(found, rows.spec), base, rows.y[base])


def draw_influential(points: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """`count` row indices of `points` (n, d + 1), drawn without replacement by h_i · (½ + |y_i - ½|).

    h_i = z_i · (ZᵀZ + 0.01 I)⁻¹ z_i, z = (x; 1), is the leverage of row i; the other factor is how far its label can
    be moved. Raises `WrongUse` when `count` is not in 1 … n.
    """
    pick(np.arange(len(points)), count)
    z = np.column_stack([points[:, :-1], np.ones(len(points))])
    leverage = (np.linalg.solve(z.T @ z + RIDGE_ALPHA * np.eye(z.shape[1]), z.T).T * z).sum(axis=1)
    weight = leverage * (0.5 + np.abs(points[:, -1] - 0.5))
    return rng.choice(len(points), count, replace=False, p=weight / weight.sum())


def climb(start: Movable, victim: Victim) -> NDArray[np.float64]:
    """Where the rows of `start` do the most harm, (p, d + 1): legal, and W not below that of `start`."""
    current, steps = start, _STEPS
    fit, loss = victim.train(current.points)
    for _ in range(_ROUNDS):
        value = loss.value(fit.theta)
        moved = _move_each(current, steps, fit, loss)
        new_fit, new_loss = victim.train(moved)
        risen = new_loss.value(new_fit.theta)
        if risen <= value:
            steps = np.asarray(steps / _SHORTER)
        else:
            current, fit, loss = replace(current, points=moved), new_fit, new_loss
        if value < risen <= value * (1 + _LEAST_RISE) or steps[0] < _SHORTEST:
            break
    return current.points


def _move_each(poison: Movable, steps: NDArray[np.float64], fit: LinearFit, loss: TrainingLoss) -> NDArray[np.float64]:
    """Every row moved once, each after the model has followed the one before."""
    points = poison.points.copy()
    for row, point in enumerate(poison.points):
        direction = _uphill(point, fit, loss, poison.low[row], poison.high[row])
        rest = fit.without(point)
        tried = poison.legal(row, point + np.outer(steps, direction))
        values = loss.value(rest.plus_each(tried))
        best = int(values.argmax())
        if values[best] > loss.value(fit.theta):
            points[row] = tried[best]
            fit = rest.plus(tried[best])
    return points


def _uphill(
    point: NDArray[np.float64],
    fit: LinearFit,
    loss: TrainingLoss,
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> NDArray[np.float64]:
    """∇W by `point` (d + 1,) without the parts that point out of its box, of length 1; zeros where nothing is left."""
    direction = fit.pull_back(loss.gradient(fit.theta), point)
    direction[((point <= low) & (direction < 0)) | ((point >= high) & (direction > 0))] = 0
    length = float(np.linalg.norm(direction))
    return np.asarray(direction / length if length else direction)


def _label_far_off(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([points[:, :-1], points[:, -1] < 0.5])


def _scaled_points(rows: AttackerRows) -> NDArray[np.float64]:
    """The attacker's rows as (n, d + 1) in [0, 1]; raises `WrongUse` where the attack does not apply."""
    require(is_numeric_regression(rows.spec), "regression on tables of numbers without gaps")
    return np.column_stack([scaled(rows.x, rows.spec), scaled_labels(rows.y, rows.spec)])


def _unscaled_points(points: NDArray[np.float64], spec: InputSpec) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return unscaled(points[:, :-1], spec), unscaled_labels(points[:, -1], spec)


OPTIMAL_RIDGE = Attack(
    name="optimal-ridge",
    description="moves rows and prices up the gradient of a ridge regression's error",
    needs="the rows that the victim trains on, and its penalty",
    applies=is_numeric_regression,
    victim=fit_ridge,
    run=partial(poison_optimally, RIDGE),
)
"""OptP against ridge regression."""

OPTIMAL_LASSO = Attack(
    name="optimal-lasso",
    description="moves rows and prices up the gradient of a lasso regression's error",
    needs="the rows that the victim trains on, and its penalty",
    applies=is_numeric_regression,
    victim=fit_lasso,
    run=partial(poison_optimally, LASSO),
)
"""OptP against the lasso."""

STEALTHY_RIDGE = Attack(
    name="stealthy-ridge",
    description="the same, but no column moves by more than a tenth of its range, nor the price by more than .15",
    needs="the rows that the victim trains on, and its penalty",
    applies=is_numeric_regression,
    victim=fit_ridge,
    run=partial(poison_stealthily, RIDGE),
)
"""OptP-stealth."""
