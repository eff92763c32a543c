"""Sever: drop the rows whose gradients vary most along one direction, and fit again (Diakonikolas et al. 2019)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from sklearn.linear_model import LogisticRegression, Ridge

from guard.spec import InputSpec
from training.attacks.attack import Labels
from training.attacks.domain import class_count
from training.defences.defence import Defence, Evidence, Ranking, assumed_share
from training.defences.features import deep_features
from training.defences.trim import ALPHAS

__all__ = ["SEVER", "Differentiate", "Gradients", "Spectrum", "fit_spectrum", "sever", "top_direction"]

_REGRESSION_ROUNDS = 8
_CLASSIFICATION_ROUNDS = 2


@dataclass(frozen=True)
class Gradients:
    """One gradient for each row, kept as the two factors of its outer product: G_i = residual_i ⊗ inputs_i.

    `residual`: (n, c), what the model says less what the label says. `inputs`: (n, d + 1), the last column is 1.
    """

    residual: NDArray[np.float64]
    inputs: NDArray[np.float64]

    def of(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> NDArray[np.float64]:
        """float64 (rows, c · (d + 1)), written out."""
        outer = self.residual[rows][:, :, np.newaxis] * self.inputs[rows][:, np.newaxis, :]
        return outer.reshape(len(outer), -1)

    def along(self, direction: NDArray[np.float64]) -> NDArray[np.float64]:
        """⟨G_i, direction⟩ of all rows (n,), without writing them out."""
        by_class = direction.reshape(self.residual.shape[1], -1)
        return np.asarray((self.residual * (self.inputs @ by_class.T)).sum(axis=1))


Differentiate = Callable[[NDArray[np.float64], Labels], Gradients]
"""A fitted model: inputs (n, d + 1) and labels (n,) to the gradients of their losses."""


@dataclass(frozen=True)
class Spectrum:
    """Where the kept gradients vary most: unit `direction` v, `centre` ⟨Ḡ, v⟩ and `variance` along it."""

    direction: NDArray[np.float64]
    centre: float
    variance: float

    def outlyingness(self, gradients: Gradients) -> NDArray[np.float64]:
        """τ (n,): ⟨G_i - Ḡ, v⟩² in units of the variance of the kept rows."""
        return np.asarray((gradients.along(self.direction) - self.centre) ** 2 / self.variance)


def sever(evidence: Evidence) -> Ranking:
    """Spectral filtering of per-row gradients G_i = ∇ℓ_i(θ), several times over.

    1. θ = argmin of the loss over the kept rows.  2. v = top right singular vector of G - Ḡ.  3. τ_i = ⟨G_i - Ḡ, v⟩².
    4. The share p of largest τ is dropped.

    Regression: ridge regression, 8 rounds, p = ε / 2; of five weights of the regulariser the one whose last model errs
    least on the trusted rows. Classification: softmax regression on φ, classes are filtered apart, 2 rounds,
    p = (n / rows of the smaller class) · ε / 2. ε is the share of poison, `ASSUMED_SHARE` where the defender is not
    told. flagged = dropped in any round. suspicion = τ of all rows after a last fit to the kept ones, in units of their
    variance. The pull of the regulariser is the same for all rows and leaves with the mean.

    φ: as for Deep-kNN. Inputs are centred by the trusted rows.

    Differs from the paper: the quantile is fixed, as in the published code, not drawn at random. Softmax regression
    stands for the support vector machine, so that there may be more than two classes; of more than two, p = ε, what two
    equal classes would have. The published code centres the inputs of regressions by a filter of their own.
    """
    rows, trusted, clean = _inputs(evidence)
    group, clean_group = (_groups(y, evidence.spec) for y in (evidence.y, evidence.clean_y))
    filtered = [_filter(rows, evidence.y, group, evidence, alpha) for alpha in _alphas(evidence.spec)]
    kept, differentiate = min(filtered, key=lambda f: float((f[1](trusted, evidence.trusted_y).residual ** 2).mean()))
    gradients = differentiate(rows, evidence.y)
    spectra = {label: fit_spectrum(gradients, kept & (group == label)) for label in np.unique(group)}
    suspicion = _by_group(gradients, group, spectra)
    return Ranking(suspicion, _by_group(differentiate(clean, evidence.clean_y), clean_group, spectra), ~kept)


def _filter(
    rows: NDArray[np.float64], y: Labels, group: NDArray[np.int64], evidence: Evidence, alpha: float
) -> tuple[NDArray[np.bool_], Differentiate]:
    """Which rows stay after all rounds, and the gradients of the model that fits them."""
    kept, share = np.ones(len(y), np.bool_), _dropped_share(evidence)
    for _ in range(_rounds(evidence.spec)):
        gradients = _fit(rows, y, kept, evidence.spec, alpha)(rows, y)
        for label in np.unique(group):
            kept = _without_outliers(gradients, kept, group == label, share)
    return kept, _fit(rows, y, kept, evidence.spec, alpha)


def fit_spectrum(gradients: Gradients, rows: NDArray[np.bool_]) -> Spectrum:
    """The top direction of the gradients of the given rows, bool (n,), about their mean."""
    found = gradients.of(rows)
    direction = top_direction(found - found.mean(axis=0))
    along = found @ direction
    return Spectrum(direction, float(along.mean()), max(float(along.var()), float(np.finfo(float).tiny)))


def top_direction(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit (p,): the right singular vector of `centred` (n, p) with the largest singular value; its sign is chance."""
    last = centred.shape[1] - 1
    return np.asarray(eigh(centred.T @ centred, subset_by_index=[last, last])[1][:, 0])


def _without_outliers(
    gradients: Gradients, kept: NDArray[np.bool_], group: NDArray[np.bool_], share: float
) -> NDArray[np.bool_]:
    """`kept` (n,) less the `share` of the group's kept rows that lie farthest out; two of them stay in any case."""
    inside = np.flatnonzero(kept & group)
    count = max(0, min(round(share * len(inside)), len(inside) - 2))
    outlyingness = fit_spectrum(gradients, kept & group).outlyingness(gradients)[inside]
    left = kept.copy()
    left[inside[np.argsort(outlyingness, kind="stable")[len(inside) - count :]]] = False
    return left


def _by_group(gradients: Gradients, group: NDArray[np.int64], spectra: dict[int, Spectrum]) -> NDArray[np.float64]:
    """τ (n,), each row by the spectrum of its own group; a group that So does not hold is as far out as any."""
    found = {label: spectrum.outlyingness(gradients) for label, spectrum in spectra.items()}
    farthest = np.max(list(found.values()), axis=0)
    return np.select([group == label for label in found], list(found.values()), farthest)


def _inputs(evidence: Evidence) -> tuple[NDArray[np.float64], ...]:
    """So, the trusted and the further clean rows, centred by the trusted rows, with a last column of 1."""
    features = deep_features(evidence)
    centre = features.trusted.mean(axis=0)
    given = features.rows, features.trusted, features.clean
    return tuple(np.column_stack([z - centre, np.ones(len(z))]) for z in given)


def _fit(
    inputs: NDArray[np.float64], y: Labels, kept: NDArray[np.bool_], spec: InputSpec, alpha: float
) -> Differentiate:
    """A function of inputs and labels: their gradients at the model that fits the rows `kept`."""
    if spec.task == "regression":
        ridge = Ridge(alpha=alpha).fit(inputs[kept, :-1], y[kept])
        return lambda x, label: Gradients((ridge.predict(x[:, :-1]) - label)[:, np.newaxis], x)
    classes = np.arange(class_count(spec))
    softmax = LogisticRegression(C=1 / alpha, solver="newton-cholesky").fit(inputs[kept, :-1], y[kept])

    def differentiate(x: NDArray[np.float64], label: Labels) -> Gradients:
        residual = -(label[:, np.newaxis] == classes).astype(np.float64)
        residual[:, softmax.classes_] += softmax.predict_proba(x[:, :-1])
        return Gradients(residual, x)

    return differentiate


def _alphas(spec: InputSpec) -> tuple[float, ...]:
    return (1.0,) if spec.task == "classification" else ALPHAS


def _groups(y: Labels, spec: InputSpec) -> NDArray[np.int64]:
    """int64 (n,): which rows are filtered together."""
    return np.zeros(len(y), np.int64) if spec.task == "regression" else y.astype(np.int64)


def _rounds(spec: InputSpec) -> int:
    return _CLASSIFICATION_ROUNDS if spec.task == "classification" else _REGRESSION_ROUNDS


def _dropped_share(evidence: Evidence) -> float:
    """p, of the rows that are filtered together."""
    share = assumed_share(evidence)
    if evidence.spec.task == "regression":
        return share / 2
    count = np.bincount(evidence.y)
    ratio = len(evidence.y) / count[count > 0].min() if class_count(evidence.spec) == 2 else 2.0
    return min(1.0, ratio * share / _CLASSIFICATION_ROUNDS)


def _applies(spec: InputSpec) -> bool:  # noqa: ARG001 – the interface
    return True


SEVER = Defence(
    name="sever",
    description="flags rows whose gradients at a fitted model lie far out along the direction of largest spread",
    needs="the share of poison, and trusted rows to centre the inputs and to choose the regularisation by",
    applies=_applies,
    run=sever,
)
"""Sever."""
