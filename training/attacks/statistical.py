"""Statistical poison against regression: plausible inputs with the label at the far end (Jagielski et al. 2018)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from guard.spec import InputSpec, TableInput
from training.attacks.attack import Attack, AttackerRows, Poison, pick
from training.attacks.domain import (
    is_numeric_regression,
    label_range,
    require,
    scaled,
    scaled_labels,
    unscaled,
    unscaled_labels,
)
from training.attacks.victims import RIDGE_ALPHA, fit_ridge

__all__ = ["STATISTICAL", "VARIANCE_FLOOR", "one_hot_groups", "poison_statistically", "repair_one_hot"]

VARIANCE_FLOOR = 0.01
"""Added to the diagonal of the covariance, so that columns which never vary are drawn at all."""


def poison_statistically(rows: AttackerRows, count: int, rng: np.random.Generator) -> Poison:
    """`count` invented rows with the label at the end of its range that is farther from what the model expects.

    Availability attack on linear regression; knows the first two moments of x and may ask the model for labels, for
    which ridge regression on the attacker's own rows stands in. With x in [0, 1] over each column's legal range:

    1. mean m and covariance V of x;  2. x ~ N(m, V + 0.01 I);  3. x rounded to {0, 1}, and in each one-hot group only
    the largest kept, if it exceeds 1 / (1 + group size);  4. ŷ from the model; y = maximum if ŷ < ½ else minimum.

    `y_true` is ŷ, cut to the legal range: an invented row has no better one. `base_index` is -1.
    Raises `WrongUse` for classification, for images or tables with text or gaps, and when `count` is not in
    1 … len(rows.y).

    Differs from the paper: the published code asks the model before it repairs the groups, and of equal values in a
    group it keeps the last; here the model sees the row that is sent, and the draw before rounding breaks ties.
    """
    require(is_numeric_regression(rows.spec), "regression on tables of numbers without gaps")
    pick(np.arange(len(rows.y)), count)
    low, high = label_range(rows.spec)
    known = scaled(rows.x, rows.spec)
    covariance = np.cov(known, rowvar=False, bias=True) + VARIANCE_FLOOR * np.eye(known.shape[1])
    drawn = rng.multivariate_normal(known.mean(axis=0), covariance, size=count, method="cholesky")
    x = repair_one_hot(drawn, one_hot_groups(rows.spec))
    expected = Ridge(alpha=RIDGE_ALPHA).fit(known, scaled_labels(rows.y, rows.spec)).predict(x)
    y = np.where(expected < 0.5, high, low)
    return Poison(unscaled(x, rows.spec), y, np.full(count, -1), unscaled_labels(expected, rows.spec))


def one_hot_groups(spec: InputSpec) -> list[NDArray[np.int64]]:
    """Column indices of each one-hot group: columns called `name:value` with the same name before the last colon."""
    groups: dict[str, list[int]] = {}
    for index, column in enumerate(spec.input.columns if isinstance(spec.input, TableInput) else ()):
        name, colon, _ = column.name.rpartition(":")
        if colon:
            groups.setdefault(name, []).append(index)
    return [np.array(members) for members in groups.values()]


def repair_one_hot(drawn: NDArray[np.float64], groups: list[NDArray[np.int64]]) -> NDArray[np.float64]:
    """`drawn` (n, d) rounded to {0, 1} with at most one 1 in each group, there where `drawn` is largest."""
    x = (drawn >= 0.5).astype(np.float64)
    for group in groups:
        largest = group[drawn[:, group].argmax(axis=1)]
        kept = x[np.arange(len(x)), largest] > 1 / (1 + len(group))
        x[:, group] = 0
        x[np.arange(len(x)), largest] = kept
    return x


STATISTICAL = Attack(
    name="statistical",
    description="invents rows from the mean and covariance of the data, with the price at the far end of its range",
    needs="mean and covariance of the rows that the victim trains on, and its answers",
    applies=is_numeric_regression,
    victim=fit_ridge,
    run=poison_statistically,
)
"""StatP."""
