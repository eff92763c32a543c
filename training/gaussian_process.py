"""Gaussian process regression with one kernel for all outputs and leave-one-out predictions in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["GaussianProcess", "Kernel", "choose_kernel", "leave_out"]

_NOISE = 0.05
_LENGTHS = tuple(0.02 * 1.5**step for step in range(12))
"""ℓ in median distances: .02 to 1.7, in steps that a few rows more or less do not jump."""
_SEARCH_ROWS = 300
"""A search costs 12 inversions: .1 s at 300 rows on one core."""


@dataclass(frozen=True)
class Kernel:
    """k(a, b) = exp(−‖a − b‖² / 2ℓ²), with noise variance λ on the diagonal.

    λ is fixed: it sets the scale of every variance, and scores of models whose λ was chosen on other rows cannot be
    compared. On two moons with 72 rows a λ chosen per fold caught .37 of the confident flips, a fixed one .6 or more.
    """

    length: float
    noise: float = _NOISE


def choose_kernel(z: NDArray[np.float64], targets: NDArray[np.float64], seed: int) -> Kernel:
    """The kernel on a grid of ℓ (times the median distance) with the best leave-one-out log-density.

    `z`: (n, d); `targets`: (n, t), t outputs of one kernel. The density has the amplitude that suits it best, which
    leaves −½ Σ log(mean(r²/v) · v_i). At most `_SEARCH_ROWS` rows, drawn with `seed`, take part.
    """
    rows = np.random.default_rng(seed).permutation(len(z))[:_SEARCH_ROWS]
    z, targets = z[rows], targets[rows]
    square = _square_distances(z, z)
    median = float(np.sqrt(np.median(square[square > 0]))) if (square > 0).any() else 1.0
    kernels = [Kernel(share * median) for share in _LENGTHS]
    return max(kernels, key=lambda kernel: _log_density(square, targets, kernel))


def _log_density(square: NDArray[np.float64], targets: NDArray[np.float64], kernel: Kernel) -> float:
    precision = np.linalg.inv(np.exp(-square / (2 * kernel.length**2)) + kernel.noise * np.eye(len(square)))
    variance = 1 / np.diag(precision)
    amplitude = max(float((((precision @ targets) ** 2).mean(1) * variance).mean()), 1e-12)
    return -0.5 * float(np.log(amplitude * variance).sum())


def leave_out(
    z: NDArray[np.float64], targets: NDArray[np.float64], kernel: Kernel
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (n, t) and variance (n,) of each row by a process on all rows but itself and its twins, in closed form.

    With P = (K + λI)⁻¹ and I a group of identical rows: mean_I = y_I − P_II⁻¹ (P y)_I, covariance_I = P_II⁻¹
    (Rasmussen and Williams, eqs 5.10 to 5.12, written for groups).
    """
    precision = np.linalg.inv(_gram(z, z, kernel) + kernel.noise * np.eye(len(z)))
    weights = precision @ targets
    mean, variance = np.empty_like(targets), np.empty(len(z))
    _, group = np.unique(z, axis=0, return_inverse=True)
    for rows in np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1]):
        block = np.linalg.inv(precision[np.ix_(rows, rows)])
        mean[rows] = targets[rows] - block @ weights[rows]
        variance[rows] = np.diag(block)
    return mean, variance


class GaussianProcess(nn.Module):
    """Mean (batch, t) and variance with noise (batch,) at z (batch, d), of a process on trusted rows."""

    bank: Tensor
    weights: Tensor
    root: Tensor

    def __init__(self, z: NDArray[np.float64], targets: NDArray[np.float64], kernel: Kernel) -> None:
        super().__init__()
        root = np.linalg.inv(np.linalg.cholesky(_gram(z, z, kernel) + kernel.noise * np.eye(len(z))))
        self.register_buffer("bank", torch.tensor(z, dtype=torch.float32))
        self.register_buffer("weights", torch.tensor(root.T @ (root @ targets), dtype=torch.float32))
        self.register_buffer("root", torch.tensor(root.T.copy(), dtype=torch.float32))
        self.kernel = kernel

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Predicts a batch."""
        # In double precision: near a trusted row the terms cancel, and a short ℓ makes much of what is left of them.
        z, bank = z.double(), self.bank.double()
        square = (z * z).sum(1, keepdim=True) - 2 * z @ bank.T + (bank * bank).sum(1)
        near = torch.exp(-square.clamp_min(0) / (2 * self.kernel.length**2)).float()
        explained = ((near @ self.root) ** 2).sum(1)
        variance = (1 + self.kernel.noise - explained).clamp_min(self.kernel.noise)
        return near @ self.weights, variance


def _square_distances(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    square: NDArray[np.float64] = (a * a).sum(1)[:, None] - 2 * a @ b.T + (b * b).sum(1)
    return np.maximum(square, 0.0)


def _gram(a: NDArray[np.float64], b: NDArray[np.float64], kernel: Kernel) -> NDArray[np.float64]:
    gram: NDArray[np.float64] = np.exp(-_square_distances(a, b) / (2 * kernel.length**2))
    return gram
