from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import approx_fprime
from sklearn.linear_model import Lasso, Ridge

from training.attacks.implicit_gradient import LinearFit, Penalty, fit_linear, training_loss

RIDGE = Penalty(ridge=0.5, lasso=0)
LASSO = Penalty(ridge=1e-9, lasso=0.02)


def sample(n: int = 40, seed: int = 0) -> NDArray[np.float64]:
    """Six columns and a label that depends on three of them; at 0.02 the lasso keeps these three."""
    rng = np.random.default_rng(seed)
    x = rng.random((n, 6))
    return np.column_stack([x, 0.7 * x[:, 0] - 0.5 * x[:, 3] + 0.4 * x[:, 5] + rng.normal(0, 0.03, n)])


def reference(points: NDArray[np.float64], penalty: Penalty) -> NDArray[np.float64]:
    """All six weights and the intercept, by scikit-learn."""
    ridge, lasso = Ridge(alpha=penalty.ridge), Lasso(alpha=penalty.lasso, tol=1e-15, max_iter=10**6)
    model = (lasso if penalty.lasso else ridge).fit(points[:, :-1], points[:, -1])
    return np.append(model.coef_, model.intercept_)


def spread(fit: LinearFit, theta: NDArray[np.float64]) -> NDArray[np.float64]:
    """θ of the active columns as θ of all six."""
    whole = np.zeros(7)
    whole[fit.columns], whole[-1] = theta[:-1], theta[-1]
    return whole


def differences(points: NDArray[np.float64], penalty: Penalty, row: int, h: float = 1e-5) -> NDArray[np.float64]:
    """∂(w; b) / ∂(x; y) of one row by central differences of scikit-learn: (7, 7)."""
    columns = []
    for place in range(7):
        ends = []
        for side in (h, -h):
            moved = points.copy()
            moved[row, place] += side
            ends.append(reference(moved, penalty))
        columns.append((ends[0] - ends[1]) / (2 * h))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("penalty", [RIDGE, LASSO], ids=["ridge", "lasso"])
def test_the_fit_is_that_of_scikit_learn(penalty: Penalty) -> None:
    fit = fit_linear(sample(), penalty)
    assert fit.columns.tolist() == ([0, 3, 5] if penalty.lasso else list(range(6)))
    assert np.allclose(spread(fit, fit.theta), reference(sample(), penalty), rtol=0, atol=1e-8)


@pytest.mark.parametrize("penalty", [RIDGE, LASSO], ids=["ridge", "lasso"])
@pytest.mark.parametrize("row", [0, 17])
def test_the_jacobian_by_central_differences_of_scikit_learn(penalty: Penalty, row: int) -> None:
    """Row by row of the Jacobian, pulled back from each unit vector, the lasso where its signs are stable."""
    points = sample()
    fit = fit_linear(points, penalty)
    jacobian = np.zeros((7, 7))
    for place, unit in zip([*fit.columns, 6], np.eye(len(fit.theta)), strict=True):
        jacobian[place] = fit.pull_back(unit, points[row])
    expected = differences(points, penalty, row)
    assert np.linalg.norm(jacobian - expected) < 1e-5 * np.linalg.norm(expected)
    if penalty.lasso:
        assert not expected[[1, 2, 4]].any()


def test_one_column_in_closed_form() -> None:
    """w = Sxy / (Sxx + α), b = ȳ - w x̄; hence ∂w/∂y = (x - x̄) / (Sxx + α)."""
    points = sample()[:, [0, 6]]
    x, y = points.T
    spread_x = ((x - x.mean()) ** 2).sum() + 0.5
    w = ((x - x.mean()) * (y - y.mean())).sum() / spread_x
    fit = fit_linear(points, RIDGE)
    assert np.allclose(fit.theta, [w, y.mean() - w * x.mean()])
    by_x = ((y[3] - y.mean()) - 2 * w * (x[3] - x.mean())) / spread_x
    assert np.allclose(fit.pull_back(np.array([1.0, 0.0]), points[3]), [by_x, (x[3] - x.mean()) / spread_x])


def test_a_row_less_and_a_row_more_are_fits_anew() -> None:
    points = sample()
    rest = fit_linear(points, RIDGE).without(points[5])
    assert np.allclose(rest.theta, reference(np.delete(points, 5, axis=0), RIDGE))
    others = sample(n=4, seed=1)
    each = rest.plus_each(others)
    for other, theta in zip(others, each, strict=True):
        moved = points.copy()
        moved[5] = other
        assert np.allclose(theta, reference(moved, RIDGE))
        swapped, anew = rest.plus(other), fit_linear(moved, RIDGE)
        assert np.allclose(swapped.theta, anew.theta)
        assert np.allclose(swapped.inverse, anew.inverse)


def test_the_lasso_follows_a_small_move_as_long_as_its_signs_stay() -> None:
    """n · λ stays that of all rows when one is taken out and put back elsewhere."""
    points = sample()
    moved = points.copy()
    moved[5] += 0.05
    fit = fit_linear(points, LASSO)
    followed = fit.without(points[5]).plus(moved[5])
    assert np.allclose(spread(fit, followed.theta), reference(moved, LASSO), rtol=0, atol=1e-7)


@pytest.mark.parametrize("penalty", [RIDGE, LASSO], ids=["ridge", "lasso"])
def test_the_loss_and_its_gradient(penalty: Penalty) -> None:
    points, clean = sample(), sample(n=25, seed=2)
    fit = fit_linear(points, penalty)
    loss = training_loss(fit, clean, penalty, n=40)
    theta = fit.theta + 0.1

    def written_out(theta: NDArray[np.float64]) -> float:
        w, b = theta[:-1], theta[-1]
        residuals = clean[:, fit.columns] @ w + b - clean[:, -1]
        return float(np.mean(residuals**2) + penalty.lasso * abs(w).sum() + penalty.ridge / 80 * (w @ w))

    assert np.isclose(float(loss.value(theta)), written_out(theta))
    assert np.allclose(loss.value(np.stack([theta, fit.theta])), [written_out(theta), written_out(fit.theta)])
    assert np.allclose(loss.gradient(theta), approx_fprime(theta, written_out, 1e-7), atol=1e-5)
