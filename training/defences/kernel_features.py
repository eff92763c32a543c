"""Kernel machines as linear ones: coordinates in which the inner product is a Gaussian kernel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.spatial.distance import cdist

__all__ = ["LAMBDAS", "WIDTHS", "Coordinates", "KernelChoice", "choose_kernel", "gaussian_coordinates"]

WIDTHS = (0.1, 0.3, 1.0, 3.0, 10.0)
"""What the kernel's γ is chosen from, over the summed variance of the columns."""

LAMBDAS = (1e-1, 1e-2, 1e-3, 1e-4)
"""What λ is chosen from: it weighs ½‖w‖² against the mean of ½(f - y)²."""


@dataclass(frozen=True)
class Coordinates:
    """φ: x (m, d) to (m, r), with φ(x)·φ(x') ≈ k(x, x'); exact between `centres` (n, d) where r = n."""

    centres: NDArray[np.float64]
    gamma: float
    projection: NDArray[np.float64]

    def __call__(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """k(z, centres) projected: float64 (m, r)."""
        return np.asarray(_kernel(z, self.centres, self.gamma) @ self.projection)


@dataclass(frozen=True)
class KernelChoice:
    """Coordinates, and the λ that goes with them."""

    coordinates: Coordinates
    weight: float


def gaussian_coordinates(z: NDArray[np.float64], gamma: float, rank: int) -> Coordinates:
    """The `rank` leading eigenvectors of K = exp(-γ ‖z_i - z_j‖²), z (n, d): φ(x) = S^-½ Vᵀ k(z, x), K = V S Vᵀ."""
    n = len(z)
    values, vectors = eigh(_kernel(z, z, gamma), subset_by_index=[max(0, n - rank), n - 1])
    large = values > values[-1] * 1e-10
    return Coordinates(z, gamma, vectors[:, large] / np.sqrt(values[large]))


def choose_kernel(
    z: NDArray[np.float64],
    t: NDArray[np.float64],
    trusted_z: NDArray[np.float64],
    trusted_t: NDArray[np.float64],
    rank: int,
) -> KernelChoice:
    """The width and λ by which ridge regression of t (n, c) on z (n, d) errs least on the trusted rows, squared."""
    spread = max(float(z.var(axis=0).sum()), float(np.finfo(float).tiny))
    found = []
    for width in WIDTHS:
        coordinates = gaussian_coordinates(z, width / spread, rank)
        rows, trusted = coordinates(z), coordinates(trusted_z)
        gram, moment = rows.T @ rows / len(z), rows.T @ t / len(z)
        for weight in LAMBDAS:
            answer = trusted @ np.linalg.solve(gram + weight * np.eye(len(gram)), moment)
            found.append((float(((answer - trusted_t) ** 2).mean()), KernelChoice(coordinates, weight)))
    return min(found, key=lambda each: each[0])[1]


def _kernel(a: NDArray[np.float64], b: NDArray[np.float64], gamma: float) -> NDArray[np.float64]:
    return np.asarray(np.exp(-gamma * cdist(a, b, "sqeuclidean")))
