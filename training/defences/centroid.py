"""Centroid defence, "CD": a row is poison outside a sphere and a slab around its class (Steinhardt et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guard.errors import WrongUse
from training.attacks.attack import Labels
from training.attacks.domain import class_count, is_classes, require
from training.defences.defence import Defence, Evidence, Ranking
from training.defences.features import Features, deep_features

__all__ = ["CENTROID", "CENTROID_UNTRUSTED", "QUANTILE", "Regions", "fit_regions"]

QUANTILE = 0.7
"""Share of the fitted rows of a class that lies within the sphere, and within the slab: each drops 30 %."""


@dataclass(frozen=True)
class Regions:
    """One sphere and one slab for each class.

    `centre`: μ (classes, d). `normal`: v (classes, d), of length 1, or 0 where the centroids coincide. `radius` r and
    `half` s: (classes,), in the unit of the features.
    """

    centre: NDArray[np.float64]
    normal: NDArray[np.float64]
    radius: NDArray[np.float64]
    half: NDArray[np.float64]

    def excess(self, z: NDArray[np.float64], y: Labels) -> NDArray[np.float64]:
        """(n,): max(sphere distance / r, slab distance / s) of rows z (n, d) for the classes y; above 1 is outside."""
        sphere, slab = self.distances(z, y)
        return np.maximum(sphere / self.radius[y], slab / self.half[y])

    def distances(self, z: NDArray[np.float64], y: Labels) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """‖z - μ_y‖₂ and |⟨z - μ_y, v_y⟩|, (n,) each."""
        offset = z - self.centre[y]
        return np.linalg.norm(offset, axis=1), np.abs((offset * self.normal[y]).sum(axis=1))


def fit_regions(z: NDArray[np.float64], y: Labels, classes: int) -> Regions:
    """Centroids of rows z (n, d) by class y (n,), and the radii that hold `QUANTILE` of them.

    v_y points from μ_y to the mean of the other centroids. Raises `WrongUse` where a class has fewer than 2 rows.
    """
    count = np.bincount(y, minlength=classes)
    if count.min() < 2:
        raise WrongUse(f"class number {count.argmin()} has {count.min()} rows to find its centre by: give at least 2")
    centre = np.stack([z[y == label].mean(axis=0) for label in range(classes)])
    # μ_y minus the mean of the other centroids is C / (C - 1) times μ_y minus the mean of all.
    direction = centre - centre.mean(axis=0)
    length = np.linalg.norm(direction, axis=1, keepdims=True)
    normal = np.divide(direction, length, out=np.zeros_like(direction), where=length > 0)
    unit = Regions(centre, normal, np.ones(classes), np.ones(classes))
    radius, half = (_quantiles(distance, y, classes) for distance in unit.distances(z, y))
    return Regions(centre, normal, radius, half)


def _quantiles(distance: NDArray[np.float64], y: Labels, classes: int) -> NDArray[np.float64]:
    """(classes,), never 0: rows that all lie at their centre leave no room for others, but a finite ratio."""
    found = np.array([np.quantile(distance[y == label], QUANTILE) for label in range(classes)])
    least = max(float(distance.max()) * 1e-9, float(np.finfo(float).eps))
    return np.asarray(np.maximum(found, least))


def _by_trusted(evidence: Evidence) -> Ranking:
    """Around the centroids of the trusted rows.

    flagged_i = [ ‖φ_i - μ_y‖₂ > r_y  or  |⟨φ_i - μ_y, v_y⟩| > s_y ]
    suspicion_i = max( ‖φ_i - μ_y‖₂ / r_y, |⟨φ_i - μ_y, v_y⟩| / s_y )

    v = (μ₊ - μ₋) / ‖μ₊ - μ₋‖. r_y and s_y hold 70 % of the trusted rows of the class each, as in the published code:
    some 30 to 50 % of clean rows are flagged. φ as for Deep-kNN. Raises `WrongUse` for regression, and where a class
    has fewer than 2 trusted rows.

    Differs from the paper: this is the filter alone, without the bound on the loss that it certifies; the slab of
    more than two classes lies across the line to the mean of the other centroids; the graded suspicion is ours, a
    ratio and not a rank, because ranks tie beyond the farthest of few trusted rows.
    """
    require(is_classes(evidence.spec), "classes")
    features = deep_features(evidence)
    return _rank(evidence, features, features.trusted, evidence.trusted_y)


def _by_judged(evidence: Evidence) -> Ranking:
    """The same around the centroids of So itself, poison included: the data-dependent defence of the paper.

    Poison moves the centres and widens the regions that it is judged by. Since 70 % of each class are kept, poison in
    one class also puts clean rows of that class outside.
    """
    require(is_classes(evidence.spec), "classes")
    features = deep_features(evidence)
    return _rank(evidence, features, features.rows, evidence.y)


def _rank(evidence: Evidence, features: Features, z: NDArray[np.float64], y: Labels) -> Ranking:
    regions = fit_regions(z, y, class_count(evidence.spec))
    suspicion = regions.excess(features.rows, evidence.y)
    return Ranking(suspicion, regions.excess(features.clean, evidence.clean_y), suspicion > 1)


CENTROID = Defence(
    name="centroid",
    description="flags rows outside a sphere and a slab around the trusted rows of their class",
    needs="two or more trusted rows of every class",
    applies=is_classes,
    run=_by_trusted,
)
"""CD with trusted centroids."""

CENTROID_UNTRUSTED = Defence(
    name="centroid-untrusted",
    description="flags rows outside a sphere and a slab around the rows that are labelled alike, poison among them",
    needs="trusted rows to train a network on, where samples are images",
    applies=is_classes,
    run=_by_judged,
)
"""CD with data-dependent centroids."""
