"""TRIM: fit a regression to the rows that it explains best, and take the others for poison (Jagielski et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from training.attacks.domain import is_regression, require, scaled_labels
from training.defences.defence import Defence, Evidence, Ranking, assumed_share
from training.defences.features import flat_inputs

__all__ = ["ALPHAS", "ROUNDS", "STARTS", "TRIM", "TrimmedFit", "best_fit", "trim", "trimmed_fit"]

ALPHAS = (0.01, 0.1, 1.0, 10.0, 100.0)
"""What α is chosen from: it weighs ‖w‖² against the sum, not the mean, of squared errors."""

ROUNDS = 400
STARTS = 5
_LEAST_GAIN = 1e-5


@dataclass(frozen=True)
class TrimmedFit:
    """`model`: fitted to the rows `kept`, int64 (size,). `losses`: the mean loss after each fit, never rising."""

    model: Ridge
    kept: NDArray[np.int64]
    losses: tuple[float, ...]

    def residuals(self, z: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
        """Squared residuals (n,) of rows z (n, d) with labels t (n,)."""
        return np.asarray((self.model.predict(z) - t) ** 2)


def trim(evidence: Evidence) -> Ranking:
    """Ridge regression on the `size` rows that fit it best.

    From a random I of `size` = (1 - |Sp| / |So|) · n rows, in turn until I stays, the loss gains less than 1e-5, or 400
    rounds are over:

    w, b = argmin Σ_{i ∈ I} (w·x_i + b - y_i)² + α ‖w‖²;   I = the `size` rows of least (w·x_i + b - y_i)²

    Of 5 random starts the one of least loss counts, and of the five α the one whose model errs least on the trusted
    rows. flagged = not in I; suspicion = the squared residual, in units of the label range. x: `flat_inputs`. A
    defender who is not told the share of poison reckons with `ASSUMED_SHARE`. Raises `WrongUse` for classification.

    Differs from the paper: α is chosen by trusted rows; with a small one, poison at the ends of many columns is fitted,
    and clean rows are left out. There is one random start, and in the published code it is the first rows, or all of
    them. Here starts are drawn from the rows in the order of their values, so that their order in So tells nothing.
    """
    require(is_regression(evidence.spec), "regression")
    inputs = flat_inputs(evidence)
    given = evidence.y, evidence.trusted_y, evidence.clean_y
    labels, trusted, clean = (scaled_labels(y, evidence.spec) for y in given)
    size = max(1, round((1 - assumed_share(evidence)) * len(labels)))
    fits = [best_fit(inputs.rows, labels, size, alpha, np.random.default_rng(evidence.seed)) for alpha in ALPHAS]
    fit = min(fits, key=lambda each: float(each.residuals(inputs.trusted, trusted).mean()))
    flagged = np.ones(len(labels), np.bool_)
    flagged[fit.kept] = False
    return Ranking(fit.residuals(inputs.rows, labels), fit.residuals(inputs.clean, clean), flagged)


def best_fit(
    z: NDArray[np.float64], t: NDArray[np.float64], size: int, alpha: float, rng: np.random.Generator
) -> TrimmedFit:
    """The one of `STARTS` trimmed fits to `size` of the rows z (n, d), t (n,) whose loss is least."""
    order = np.lexsort([*z.T, t])
    starts = [order[rng.permutation(len(t))[:size]] for _ in range(STARTS)]
    return min((trimmed_fit(z, t, start, alpha) for start in starts), key=lambda fit: fit.losses[-1])


def trimmed_fit(z: NDArray[np.float64], t: NDArray[np.float64], start: NDArray[np.int64], alpha: float) -> TrimmedFit:
    """Alternates from the rows `start` of z (n, d), t (n,); of equal residuals the first rows are kept."""
    fit = _fit(z, t, start, alpha, ())
    for _ in range(ROUNDS):
        kept = np.argsort(fit.residuals(z, t), kind="stable")[: len(start)]
        again = _fit(z, t, kept, alpha, fit.losses)
        gain = fit.losses[-1] - again.losses[-1]
        fit = again
        if gain < _LEAST_GAIN:
            break
    return fit


def _fit(
    z: NDArray[np.float64], t: NDArray[np.float64], kept: NDArray[np.int64], alpha: float, losses: tuple[float, ...]
) -> TrimmedFit:
    model = Ridge(alpha=alpha).fit(z[kept], t[kept])
    loss = ((model.predict(z[kept]) - t[kept]) ** 2).sum() + alpha * (model.coef_**2).sum()
    return TrimmedFit(model, kept, (*losses, float(loss) / len(kept)))


TRIM = Defence(
    name="trim",
    description="flags the rows that a linear regression explains worst, fitted to the others",
    needs="the share of poison, and trusted rows to choose the regularisation by",
    applies=is_regression,
    run=trim,
)
"""TRIM."""
