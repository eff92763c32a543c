"""The detection boundary (§IV-C, Eq. 10): a z-score on the critic's values of the augmented data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Boundary", "Z", "fit_boundary"]

Z = -1.96
"""z_s as printed. One-sided, it belongs to a significance of .025, not to the .05 that the text names (−1.645)."""


@dataclass(frozen=True)
class Boundary:
    """μ and σ of D_w on S_aug, and z_s."""

    mean: float
    std: float
    z: float = Z

    @property
    def threshold(self) -> float:
        """y_thr = z_s σ + μ."""
        return self.z * self.std + self.mean

    def poisoned(self, values: NDArray[np.floating]) -> NDArray[np.bool_]:
        """y_pre < y_thr (Eq. 10) for critic values of any shape."""
        return np.asarray(values) < self.threshold


def fit_boundary(values: NDArray[np.floating], z: float = Z) -> Boundary:
    """μ and σ (of the population) of critic values D_w(S_aug), shape (n,); raises ValueError when there are none.

    Differs from the paper: nothing. The values are those the critic was trained on, so the nominal rate is not held;
    that is why the calibrated verdict stands beside this one.
    """
    if not len(values):
        raise ValueError("no critic values: the boundary needs at least one row of augmented data")
    exact = np.asarray(values, dtype=np.float64)
    return Boundary(float(exact.mean()), float(exact.std()), z)
