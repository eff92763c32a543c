"""The labels of the nearest rows of So: what Deep-kNN and label sanitisation both decide by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from training.attacks.attack import Labels

__all__ = ["Bank", "Votes"]


@dataclass(frozen=True)
class Votes:
    """How the k nearest rows of So are labelled, for each of m rows.

    `share`: float64 (m, classes), the share of each class among them. `distance`: (m, classes), the mean Euclidean
    distance to those of the class, infinite where there is none. `scale`: the mean distance of the rows of So to their
    neighbours.
    """

    share: NDArray[np.float64]
    distance: NDArray[np.float64]
    scale: float

    @property
    def winner(self) -> NDArray[np.int64]:
        """int64 (m,): the class with most votes; of equal ones the nearer, of equally near ones the first."""
        most = self.share == self.share.max(axis=1, keepdims=True)
        return np.asarray(np.where(most, self.distance, np.inf).argmin(axis=1))

    def remoteness(self, y: Labels) -> NDArray[np.float64]:
        """(m,) in [0, 1]: d / (d + scale), d the mean distance to neighbours labelled y; 1 where there are none.

        It grades the many rows whose neighbours vote alike, without which a threshold finds only ties.
        """
        return np.asarray(1 - self.scale / (self.scale + self.distance[np.arange(len(y)), y]))


class Bank:
    """The rows of So, z (n, d) with labels y in 0 … classes - 1, to be asked for k neighbours by Euclidean distance.

    `own`: the votes on the rows of So themselves; no row votes on itself, but its twins do. `k`: as asked for, at most
    n - 1.
    """

    def __init__(self, z: NDArray[np.float64], y: Labels, classes: int, k: int) -> None:
        # Pixels lie on a grid, where distances tie: sorted by value, the order of So cannot choose between them.
        order = np.lexsort([y, *z.T])
        self.k = min(k, len(y) - 1)
        self._search = NearestNeighbors(n_neighbors=self.k).fit(z[order])
        self._y, self._classes = y[order], classes
        distance, index = self._search.kneighbors()
        self._scale = max(float(distance.mean()), np.finfo(float).tiny)
        back = np.argsort(order)
        self.own = self._votes(distance[back], index[back])

    def votes(self, z: NDArray[np.float64]) -> Votes:
        """The votes on rows z (m, d) that are not in So, on the scale of those that are."""
        return self._votes(*self._search.kneighbors(z))

    def _votes(self, distance: NDArray[np.float64], index: NDArray[np.int64]) -> Votes:
        count, total = np.zeros((2, len(index), self._classes))
        for label in range(self._classes):
            same = self._y[index] == label
            count[:, label], total[:, label] = same.sum(axis=1), (distance * same).sum(axis=1)
        mean = np.where(count > 0, total / np.maximum(count, 1), np.inf)
        return Votes(count / self.k, mean, self._scale)
