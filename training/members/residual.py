"""residual: how far the label lies from a blend of three regressors, in units of the error expected there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import Lasso, LassoCV, Ridge, RidgeCV
from torch import Tensor, nn

from guard.spec import InputSpec
from training.members.member import FittedMember, Member, TrustedData
from training.members.out_of_fold import cross_fit
from training.networks import MeanSuggestion
from training.trees import Forest

__all__ = ["RESIDUAL"]

_RIDGE = np.logspace(-1, 5, 13)
_LASSO = 20
_TREES = 64
_DEPTH = 12
"""Levels that the exported graph walks, one gather each, for every row and tree."""
_INNER_FOLDS = 3
_SHRINK = 10.0
"""Ridge penalty, in rows, on the two slopes of log σ: a few dozen residuals say little about how errors vary."""


def _applies(spec: InputSpec, rows: int) -> bool:  # noqa: ARG001 – the interface
    return spec.task == "regression" and spec.input.kind == "table"


@dataclass(frozen=True)
class _Penalties:
    ridge: float
    lasso: float


class _Blend(nn.Module):
    """Ridge, lasso and extra trees: (batch, d) → (batch, 3) predictions of the standardised label."""

    def __init__(self, linear: nn.Linear, forest: Forest) -> None:
        super().__init__()
        self.linear = linear
        self.forest = forest

    def forward(self, z: Tensor) -> Tensor:
        return torch.cat([self.linear(z), self.forest(z)[:, None]], 1)


class _Expectation(nn.Module):
    """The blend's mean: (batch, d) → (batch,)."""

    def __init__(self, blend: _Blend) -> None:
        super().__init__()
        self.blend = blend

    def forward(self, z: Tensor) -> Tensor:
        mean: Tensor = self.blend(z).mean(1)
        return mean


class _StandardisedResidual(nn.Module):
    """|y − ŷ(z)| / σ(z), σ = max(exp(a + b ŷ + c log spread), floor); spread: the three predictions' deviation."""

    line: Tensor

    def __init__(self, blend: _Blend, line: NDArray[np.float64], floor: float) -> None:
        super().__init__()
        self.blend = blend
        self.floor = floor
        self.register_buffer("line", torch.tensor(line, dtype=torch.float32))

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """Scores a batch: (batch, d), float32 (batch,) → (batch,)."""
        predictions = self.blend(z)
        sigma = torch.exp((_error_features(predictions) * self.line).sum(1)).clamp_min(self.floor)
        distance: Tensor = (y - predictions.mean(1)).abs()
        return distance / sigma


def _fit(data: TrustedData) -> FittedMember:
    """|y − ŷ(z)| / σ(z), averaged over the folds; `suggest` returns the mean ŷ.

    ŷ is the mean of ridge, lasso and extra trees; log σ is linear in ŷ and in the log of their disagreement, learned
    from residuals that are out of fold within the training rows. No rows are invented where n is small: interpolated
    neighbours (SMOTE for regression) did not raise recall on development data with 19 to 42 rows.
    """

    def learn(z: Tensor, y: Tensor, seed: int, name: str) -> tuple[nn.Module, list[float]]:  # noqa: ARG001 – the interface
        return _learn(z.cpu().numpy(), y.double().cpu().numpy(), seed).to(data.device), []

    fitted = cross_fit(data, learn)
    expectations = [
        _Expectation(scorer.blend) for scorer in fitted.scorers if isinstance(scorer, _StandardisedResidual)
    ]
    return fitted.member(suggest=MeanSuggestion(expectations).eval())


def _learn(z: NDArray[np.float32], y: NDArray[np.float64], seed: int) -> _StandardisedResidual:
    penalties = _choose_penalties(z, y)
    predictions = np.empty((len(y), 3))
    fold = np.random.default_rng(seed).permutation(len(y)) % _INNER_FOLDS
    for k in range(_INNER_FOLDS):
        blend = _fit_blend(z[fold != k], y[fold != k], penalties, seed)
        with torch.no_grad():
            predictions[fold == k] = blend(torch.from_numpy(z[fold == k])).double().numpy()
    residual = np.abs(y - predictions.mean(1))
    floor = max(float(np.median(residual)) / 4, 1e-6)
    line = _log_line(_error_features(torch.from_numpy(predictions)).numpy(), np.log(residual + floor))
    return _StandardisedResidual(_fit_blend(z, y, penalties, seed), line, floor)


def _choose_penalties(z: NDArray[np.float32], y: NDArray[np.float64]) -> _Penalties:
    """Ridge by its closed leave-one-out error, lasso by three folds."""
    lasso = LassoCV(cv=3, alphas=_LASSO, max_iter=2000, tol=1e-3).fit(z, y)
    return _Penalties(ridge=float(RidgeCV(_RIDGE).fit(z, y).alpha_), lasso=float(lasso.alpha_))


def _fit_blend(z: NDArray[np.float32], y: NDArray[np.float64], penalties: _Penalties, seed: int) -> _Blend:
    ridge = Ridge(penalties.ridge).fit(z, y)
    lasso = Lasso(penalties.lasso, max_iter=2000, tol=1e-3).fit(z, y)
    linear = nn.Linear(z.shape[1], 2)
    linear.weight.data = torch.tensor(np.stack([ridge.coef_, lasso.coef_]), dtype=torch.float32)
    linear.bias.data = torch.tensor([ridge.intercept_, lasso.intercept_], dtype=torch.float32)
    trees = ExtraTreesRegressor(_TREES, max_depth=_DEPTH, min_samples_leaf=2, max_features=1 / 3, random_state=seed)
    return _Blend(linear.requires_grad_(requires_grad=False), Forest(trees.fit(z, y)))


def _error_features(predictions: Tensor) -> Tensor:
    """(batch, 3): 1, ŷ, log of the deviation among the three predictions (in standard deviations of the label)."""
    mean = predictions.mean(1)
    spread = ((predictions - mean[:, None]) ** 2).mean(1).sqrt()
    return torch.stack([torch.ones_like(mean), mean, torch.log(spread + 0.05)], 1)


def _log_line(features: NDArray[np.float64], log_error: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least squares of the log error on (1, …) with shrunken slopes: the three coefficients."""
    centre = features[:, 1:].mean(0)
    centred = features[:, 1:] - centre
    slopes = np.linalg.solve(centred.T @ centred + _SHRINK * np.eye(2), centred.T @ log_error)
    return np.array([log_error.mean() - centre @ slopes, *slopes])


RESIDUAL = Member(
    name="residual",
    description="distance of the label from what ridge, lasso and extra trees expect, in units of the expected error",
    blind_to="labels shifted by no more than the honest scatter around the prediction",
    applies=_applies,
    fit=_fit,
)
