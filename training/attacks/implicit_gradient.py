"""How a fitted linear model moves when one of its training rows does: the KKT conditions, differentiated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Lasso

__all__ = ["LinearFit", "Penalty", "TrainingLoss", "fit_linear", "training_loss"]

_LASSO_TOLERANCE = 1e-9
"""Of the duality gap: the active set must be that of the optimum, not of a point on the way to it."""


@dataclass(frozen=True)
class Penalty:
    """λΩ(w) = ridge / 2n · ‖w‖² + lasso · ‖w‖₁ beside the mean squared error halved.

    `ridge` and `lasso` are `alpha` of scikit-learn's `Ridge`, which weighs it against a sum over n rows, and of its
    `Lasso`, which weighs it against a mean.
    """

    ridge: float
    lasso: float

    def value(self, w: NDArray[np.float64], n: int) -> NDArray[np.float64]:
        """λΩ of each row of w (…, k)."""
        return np.asarray(self.ridge / (2 * n) * (w**2).sum(axis=-1) + self.lasso * np.abs(w).sum(axis=-1))

    def gradient(self, w: NDArray[np.float64], n: int) -> NDArray[np.float64]:
        """∇λΩ(w), (k,); no w may be zero if `lasso` is not."""
        return self.ridge / n * w + self.lasso * np.sign(w)


@dataclass(frozen=True)
class LinearFit:
    r"""A solution of min_{w,b} 1/2n Σ (w·x_i + b - y_i)² + λΩ(w), and what is needed to move it.

    `columns`: int64 (k,), the active set {j : w_j ≠ 0}; all columns without the lasso. `theta`: (k + 1,), w of these
    columns and then b. `inverse`: (k + 1, k + 1), P = (ZᵀZ + ridge · diag(1, …, 1, 0))⁻¹ with rows z = (x_columns; 1).
    As long as columns and signs of w stay, θ = P (Zᵀy - n · lasso · (sign w; 0)) holds exactly.
    """

    columns: NDArray[np.int64]
    theta: NDArray[np.float64]
    inverse: NDArray[np.float64]

    def extend(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Z (…, k + 1) of `points` (…, d + 1): the active columns of x and a one."""
        return np.concatenate([points[..., self.columns], np.ones((*points.shape[:-1], 1))], axis=-1)

    def without(self, point: NDArray[np.float64]) -> LinearFit:
        """The fit to the same rows less `point` (d + 1,), at the same n · λ (Sherman-Morrison)."""
        z = self.extend(point)
        reach = self.inverse @ z
        gain = 1 - z @ reach
        theta = self.theta - reach * (point[-1] - z @ self.theta) / gain
        return LinearFit(self.columns, theta, self.inverse + np.outer(reach / gain, reach))

    def plus(self, point: NDArray[np.float64]) -> LinearFit:
        """The fit to the same rows and `point` (d + 1,), at the same n · λ."""
        reach = self.inverse @ self.extend(point)
        gain = 1 + self.extend(point) @ reach
        theta = self.plus_each(point[np.newaxis])[0]
        return LinearFit(self.columns, theta, self.inverse - np.outer(reach / gain, reach))

    def plus_each(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """θ of `plus` for each of `points` (m, d + 1) alone: (m, k + 1)."""
        z = self.extend(points)
        reach = z @ self.inverse
        step = (points[:, -1] - z @ self.theta) / (1 + (z * reach).sum(axis=1))
        return np.asarray(self.theta + reach * step[:, np.newaxis])

    def pull_back(self, cotangent: NDArray[np.float64], point: NDArray[np.float64]) -> NDArray[np.float64]:
        """∇ of cotangent · θ by the training row `point`: (d + 1,), x and then y.

        With a = P · cotangent and the residual r = z · θ - y:  ∇_x = -(r a_w + (a · z) w) in active columns and 0 in
        others,  ∇_y = a · z.
        """
        z = self.extend(point)
        a = self.inverse @ cotangent
        slope = np.zeros(len(point))
        slope[self.columns] = -((z @ self.theta - point[-1]) * a[:-1] + (a @ z) * self.theta[:-1])
        slope[-1] = a @ z
        return slope


@dataclass(frozen=True)
class TrainingLoss:
    """W(θ) = 1/m Σ (w·x_j + b - y_j)² + λΩ(w) over m clean rows, as a quadratic form in θ.

    `gram`: ZᵀZ / m; `moment`: Zᵀy / m; `power`: yᵀy / m. `n`: rows that the model is trained on, poison among them.
    """

    gram: NDArray[np.float64]
    moment: NDArray[np.float64]
    power: float
    penalty: Penalty
    n: int

    def value(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """W of each θ (…, k + 1)."""
        square = ((theta @ self.gram - 2 * self.moment) * theta).sum(axis=-1) + self.power
        return np.asarray(square + self.penalty.value(theta[..., :-1], self.n))

    def gradient(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """∇W(θ), (k + 1,)."""
        slope = np.append(self.penalty.gradient(theta[:-1], self.n), 0)
        return np.asarray(2 * (self.gram @ theta - self.moment) + slope)


def training_loss(fit: LinearFit, clean: NDArray[np.float64], penalty: Penalty, n: int) -> TrainingLoss:
    """W over the rows of `clean` (m, d + 1), for θ with the active columns of `fit`."""
    z, y = fit.extend(clean), clean[:, -1]
    m = len(clean)
    return TrainingLoss(z.T @ z / m, z.T @ y / m, float(y @ y / m), penalty, n)


def fit_linear(points: NDArray[np.float64], penalty: Penalty) -> LinearFit:
    """Fit `points` (n, d + 1), x and then y. The lasso's active set and signs are found by coordinate descent."""
    x, y = points[:, :-1], points[:, -1]
    w = np.zeros(x.shape[1])
    columns = np.arange(x.shape[1])
    if penalty.lasso:
        w = Lasso(alpha=penalty.lasso, tol=_LASSO_TOLERANCE, max_iter=100_000).fit(x, y).coef_
        columns = np.flatnonzero(w)
    z = np.column_stack([x[:, columns], np.ones(len(x))])
    inverse = np.linalg.inv(z.T @ z + np.diag(np.append(np.full(len(columns), penalty.ridge), 0)))
    signs = np.append(np.sign(w[columns]), 0)
    return LinearFit(columns, inverse @ (z.T @ y - len(x) * penalty.lasso * signs), inverse)
