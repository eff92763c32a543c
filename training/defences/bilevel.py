"""The two-level problem of DUTI: labels that may change, the model that they make, and what trusted rows say of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

__all__ = ["CONFIDENCE", "Bilevel", "Loss", "SoftmaxLoss", "Solution", "SquaredLoss"]

CONFIDENCE = 100.0
"""c: how much more a trusted row weighs than one that is to be judged."""

_NEWTON_STEPS = 50
_LONGEST_STEP = 2.0
_BLOCK = 256

Array = NDArray[np.float64]


class SquaredLoss:
    """ℓ = ½(f - t)², f and t (n, 1)."""

    def value(self, f: Array, t: Array) -> float:
        """Summed over rows."""
        return float(((f - t) ** 2).sum() / 2)

    def expected(self, f: Array) -> Array:
        """What the model says of t; the slope of ℓ by f is this less t."""
        return f

    def curvature(self, f: Array) -> Array:
        """∂²ℓ/∂f²: (n, 1, 1)."""
        return np.ones((len(f), 1, 1))

    def gain(self, corrected: Array, own: Array) -> Array:
        """How fast the objective falls when a row leaves its own label: (n,), in units of γ."""
        return np.asarray(np.abs(corrected - own)[:, 0])

    def label_gradient(self, corrected: Array, t: Array) -> Array:
        """The slope of F by t, times n: (n, 1)."""
        return t - corrected


class SoftmaxLoss:
    """ℓ = -Σ_k t_k log softmax(f)_k, f (n, classes), t in the simplex."""

    def value(self, f: Array, t: Array) -> float:
        """Summed over rows."""
        return float(-(t * log_softmax(f, axis=1)).sum())

    def expected(self, f: Array) -> Array:
        """What the model says of t; the slope of ℓ by f is this less t."""
        return np.asarray(softmax(f, axis=1))

    def curvature(self, f: Array) -> Array:
        """∂²ℓ/∂f²: (n, classes, classes)."""
        p = softmax(f, axis=1)
        return np.asarray(p[:, :, np.newaxis] * (np.eye(p.shape[1]) - p[:, np.newaxis, :]))

    def gain(self, corrected: Array, own: Array) -> Array:
        """How fast the objective falls when a row leaves its own label for the best other: (n,), in units of γ."""
        other = np.where(own > 0, -np.inf, corrected).max(axis=1)
        return np.asarray(other - (corrected * own).sum(axis=1))

    def label_gradient(self, corrected: Array, t: Array) -> Array:  # noqa: ARG002 – linear in t
        """The slope of F by t, times n: (n, classes), up to a number that is the same for all classes of a row."""
        return -corrected


Loss = SquaredLoss | SoftmaxLoss


@dataclass(frozen=True)
class Bilevel:
    """Rows φ (n, r) whose labels t (n, c) may change, and trusted rows (m, r) with `answers` (m, c).

    W(t) = argmin (1/n) Σ ℓ(φ_i·W, t_i) + (λ/2) ‖W‖²
    F(t) = (c/m) Σ ℓ(φ̃_j·W(t), ỹ_j) + (1/n) Σ ℓ(φ_i·W(t), t_i)
    """

    rows: Array
    trusted: Array
    answers: Array
    weight: float
    loss: Loss
    confidence: float = CONFIDENCE

    def fit(self, t: Array, start: Array) -> Array:
        """W (r, c) by Newton's method from `start`, steps halved while they do not help."""
        weights, value = start, self._inner(start, t)
        for _ in range(_NEWTON_STEPS):
            f = self.rows @ weights
            slope = self.rows.T @ (self.loss.expected(f) - t) / len(t) + self.weight * weights
            step = np.linalg.solve(self._hessian(f), slope.ravel()).reshape(weights.shape)
            while (reached := self._inner(weights - step, t)) > value + 1e-14 * abs(value):
                step = step / 2
            weights, value = weights - step, reached
            if np.abs(step).max() <= 1e-9 * (1 + np.abs(weights).max()):
                break
        return weights

    def solve(self, t: Array, start: Array) -> Solution:
        """The model of labels t, warm from the weights `start`, with what the trusted rows want of it."""
        weights = self.fit(t, start)
        f = self.trusted @ weights
        pull = self.confidence / len(f) * self.trusted.T @ (self.loss.expected(f) - self.answers)
        # At W(t) the mean slope of the rows' own losses is -λW.
        slope = pull - self.weight * weights
        inverse = np.asarray(np.linalg.inv(self._hessian(self.rows @ weights)), dtype=np.float64)
        return Solution(self, t, weights, inverse, (inverse @ slope.ravel()).reshape(slope.shape))

    def objective(self, t: Array, weights: Array) -> float:
        """F at labels t and their model."""
        trusted = self.loss.value(self.trusted @ weights, self.answers)
        return self.confidence * trusted / len(self.trusted) + self.loss.value(self.rows @ weights, t) / len(t)

    def _inner(self, weights: Array, t: Array) -> float:
        return self.loss.value(self.rows @ weights, t) / len(t) + self.weight / 2 * float((weights**2).sum())

    def _hessian(self, f: Array) -> Array:
        found = _curvature(self.rows, self.loss.curvature(f)) / len(f)
        return found + self.weight * np.eye(len(found))


@dataclass(frozen=True)
class Solution:
    """Labels t (n, c), their model W (r, c), H⁻¹ of the inner problem, and the adjoint A = H⁻¹ ∇_W F (r, c).

    By the implicit function theorem n ∂F/∂t depends on t and on the corrected answer φ·(W - A) alone: what the model
    would say if it had moved towards the trusted rows.
    """

    problem: Bilevel
    t: Array
    weights: Array
    inverse: Array
    adjoint: Array

    @cached_property
    def corrected(self) -> Array:
        """φ·(W - A) of the rows, (n, c)."""
        return np.asarray(self.problem.rows @ (self.weights - self.adjoint))

    @property
    def objective(self) -> float:
        """F(t)."""
        return self.problem.objective(self.t, self.weights)

    @property
    def label_gradient(self) -> Array:
        """The slope of F by t, times n: (n, c)."""
        return self.problem.loss.label_gradient(self.corrected, self.t)

    @cached_property
    def _middle(self) -> Array:
        """H⁻¹ (∂²/∂W² of the trusted loss - λ) H⁻¹: how the adjoint answers to a slope in the inner problem."""
        f = self.problem.trusted @ self.weights
        bend = _curvature(self.problem.trusted, self.problem.loss.curvature(f)) * self.problem.confidence / len(f)
        return np.asarray(self.inverse @ (bend - self.problem.weight * np.eye(len(bend))) @ self.inverse)

    @cached_property
    def sensitivity(self) -> Array:
        """J = ∂corrected / ∂t, (n, n), for squared loss: constant, since everything is linear."""
        core = self.inverse - self._middle
        return np.asarray(self.problem.rows @ core @ self.problem.rows.T / len(self.t))

    def corrected_if_added(self, added: Array, own: Array) -> Array:
        """The corrected answer (k, c) for each of the rows `added` (k, r) if it alone joined with its label `own`.

        A row that joins with weight 1/n bends the model towards its own label, as all rows of So have. Exact for
        squared loss; to first order in 1/n otherwise. The labels of the others stay.
        """
        middle = self._middle
        blocks = range(0, len(added), _BLOCK)
        return np.concatenate([self._added(added[i : i + _BLOCK], own[i : i + _BLOCK], middle) for i in blocks])

    def _added(self, added: Array, own: Array, middle: Array) -> Array:
        n, loss = len(self.t), self.problem.loss
        reach, drag = (_quadratic(added, matrix, own.shape[1]) / n for matrix in (self.inverse, middle))
        before, f = added @ self.weights, added @ self.weights
        unit = np.eye(own.shape[1])
        for _ in range(_NEWTON_STEPS):
            error = f - before + _times(reach, loss.expected(f) - own)
            step = _solved(unit + reach @ loss.curvature(f), error)
            longest = np.abs(step).max(axis=1, keepdims=True)
            f = f - step * _LONGEST_STEP / np.maximum(longest, _LONGEST_STEP)
            if longest.max() <= 1e-10:
                break
        residual = loss.expected(f) - own
        adjoint = added @ self.adjoint - _times(drag, residual)
        return np.asarray(f - _solved(unit + reach @ loss.curvature(f), adjoint))


def _curvature(phi: Array, curvature: Array) -> Array:
    """Σ_i φ_i φ_iᵀ ⊗ S_i of rows φ (n, r) and S (n, c, c): (r c, r c)."""
    r, c = phi.shape[1], curvature.shape[1]
    found = np.empty((r, c, r, c))
    for k in range(c):
        for j in range(c):
            found[:, k, :, j] = phi.T @ (curvature[:, k, j, np.newaxis] * phi)
    return found.reshape(r * c, r * c)


def _quadratic(phi: Array, matrix: Array, c: int) -> Array:
    """(φ_i ⊗ I)ᵀ M (φ_i ⊗ I) of rows φ (k, r) and M (r c, r c): (k, c, c)."""
    r = phi.shape[1]
    half = (phi @ matrix.reshape(r, c * r * c)).reshape(len(phi), c, r, c)
    return np.asarray(np.einsum("ikbj,ib->ikj", half, phi))


def _times(matrices: Array, vectors: Array) -> Array:
    return np.asarray((matrices @ vectors[:, :, np.newaxis])[:, :, 0])


def _solved(matrices: Array, vectors: Array) -> Array:
    return np.asarray(np.linalg.solve(matrices, vectors[:, :, np.newaxis])[:, :, 0])
