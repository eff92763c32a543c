"""A kernel that is bent along the unlabelled rows: a label spreads where they lie close together, not across gaps."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from training.gaussian_process import (
    LENGTHS,
    GaussianProcess,
    Kernel,
    log_density,
    rbf,
    search_rows,
    square_distances,
    usual_distance,
)

__all__ = ["GraphKernel", "neighbour_laplacian", "thin"]

Floats = NDArray[np.float64]

_NEIGHBOURS = 6
_PULL = 10.0
"""μ: of 1, 10 and 100, and their mean, what served confident flips on development data best."""
_CANDIDATES = 5
_APART = 0.1
_JITTER = 1e-6
"""Added to the diagonal: near twins among the rows make the kernel's matrix singular to machine precision."""


def thin(unlabelled: Floats, z: Floats, most: int, seed: int) -> Floats:
    """At most `most` of the rows `unlabelled` (m, d), no two nearer than a tenth of what is usual between rows of `z`.

    However many rows a sender puts into one place, few of them are kept. Rows are tried in an order drawn with `seed`.
    """
    square = square_distances(z, z)
    nearest = np.where(square > 0, square, np.inf).min(axis=1)
    apart = (_APART * usual_distance(nearest[np.isfinite(nearest)])) ** 2
    order = np.random.default_rng(seed).permutation(len(unlabelled))[: _CANDIDATES * most]
    kept, count = np.empty((len(z) + most, z.shape[1])), len(z)
    kept[:count] = z
    for row in unlabelled[order]:
        if count < len(kept) and ((kept[:count] - row) ** 2).sum(axis=1).min() > apart:
            kept[count] = row
            count += 1
    return kept[len(z) : count]


def neighbour_laplacian(square: Floats, k: int = _NEIGHBOURS) -> Floats:
    """D − W of the graph of k nearest neighbours from squared distances (m, m).

    W_ij = exp(−‖a − b‖² / s_i s_j) where one is among the nearest of the other, s_i the distance of the k-th neighbour
    (Zelnik-Manor and Perona 2004). It depends on ratios of distances only: rows sent in masses to one place
    bring the edges there no more weight than rows elsewhere have.
    """
    square, k = square.copy(), min(k, len(square) - 1)
    np.fill_diagonal(square, np.inf)
    nearest = np.argsort(square, axis=1, kind="stable")[:, :k]
    rows = np.arange(len(square))[:, None]
    scale = np.sqrt(square[rows[:, 0], nearest[:, -1]])
    weights = np.zeros_like(square)
    weights[rows, nearest] = np.exp(-square[rows, nearest] / (scale[:, None] * scale[nearest] + 1e-300))
    weights = np.maximum(weights, weights.T)
    return np.diag(weights.sum(1)) - weights


class GraphKernel:
    """k̃(a, b) = v (k(a, b) − k_a A k_b): the RBF kernel k, bent along the graph of the distinct rows `bank` (m, d).

    With G = k(bank, bank), L the graph's Laplacian, k_a = k(a, bank) and the pull μ: A = (I + μLG)⁻¹ μL (Sindhwani,
    Niyogi, Belkin 2005, eq. 6). It is the prior of functions that vary little along the edges, it needs no label, and
    beyond the bank it goes on as k does. v makes the mean variance of the bank 1.

    With G = R Rᵀ and Rᵀ L R = Q diag(e) Qᵀ, A has the root R⁻ᵀ Q diag(μe/(1 + μe))^½.
    Differs from the paper: μ is fixed, and only ℓ is chosen by the labels.
    """

    def __init__(self, bank: Floats) -> None:
        self._bank = bank
        self._square = square_distances(bank, bank)
        self._laplacian = neighbour_laplacian(self._square)
        median = usual_distance(self._square)
        self.kernels = tuple(Kernel(share * median) for share in LENGTHS)
        self._bending = lru_cache(maxsize=None)(self._bend)

    def choose(self, z: Floats, targets: Floats, seed: int) -> Kernel:
        """The kernel under which `targets` (n, t) at the rows z (n, d) are likeliest, each left out."""
        rows = search_rows(len(z), seed)
        return max(self.kernels, key=lambda each: log_density(self.gram(each, z[rows]), targets[rows], each.noise))

    def gram(self, kernel: Kernel, z: Floats) -> Floats:
        """k̃ among any rows z (n, d): (n, n)."""
        root, prior = self._bending(kernel.length)
        explained = rbf(z, self._bank, kernel) @ root
        gram: Floats = prior * rbf(z, z, kernel) - explained @ explained.T
        return gram

    def process(self, kernel: Kernel, z: Floats, targets: Floats) -> GaussianProcess:
        """The process that has seen `targets` (n, t) at rows z (n, d) of the bank."""
        root, prior = self._bending(kernel.length)
        towards = -root @ (rbf(z, self._bank, kernel) @ root).T  # k̃(·, z) = k(·, bank) @ towards
        towards[square_distances(z, self._bank).argmin(axis=1), np.arange(len(z))] += prior
        gram = self.gram(kernel, z) + kernel.noise * np.eye(len(z))
        seen = np.linalg.inv(np.linalg.cholesky(gram))
        both = np.concatenate([root, towards @ seen.T], axis=1)
        triangle: Floats = scipy.linalg.qr(both.T, mode="r", check_finite=False)[0][: len(self._bank)]
        return GaussianProcess(self._bank, towards @ (seen.T @ (seen @ targets)), triangle.T, kernel, prior)

    def _bend(self, length: float) -> tuple[Floats, float]:
        """A root of v A (m, m), and v."""
        gram = np.exp(-self._square / (2 * length**2)) + _JITTER * np.eye(len(self._bank))
        lower = np.linalg.cholesky(gram)
        values, vectors = scipy.linalg.eigh(lower.T @ self._laplacian @ lower, driver="evd", check_finite=False)
        damped = 1 / (1 + _PULL * np.maximum(values, 0))
        prior = 1 / float(((lower @ vectors) ** 2 @ damped).mean())
        inverse = scipy.linalg.solve_triangular(lower, vectors, trans="T", lower=True, check_finite=False)
        return inverse * np.sqrt(prior * (1 - damped)), prior
