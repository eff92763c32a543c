"""Boundary flips: mislabel the samples about which a support vector machine is least sure."""

from __future__ import annotations

import numpy as np

from training.attacks.attack import Attack, AttackerRows, Poison, pick
from training.attacks.confident_flip import measure_confidence
from training.attacks.domain import NUMERIC_CLASSES, is_numeric_classes, require, scaled
from training.attacks.victims import choose_svm, fit_svm

__all__ = ["BOUNDARY_FLIP", "flip_at_boundary"]


def flip_at_boundary(rows: AttackerRows, count: int, rng: np.random.Generator) -> Poison:
    """Copies of the `count` rows nearest to the boundary of their class, each with its runner-up class.

    Those with the smallest |f(x_i)|, f the decision function of an RBF machine of the row's own class against the rest.
    They are the rows on which honest people differ too, hence the flips that are hardest to see.
    γ and C are found by 5-fold cross-validation.
    Raises `WrongUse` for regression, for tables with text or gaps, and when `count` is not in 1 … len(rows.y).
    """
    require(is_numeric_classes(rows.spec), NUMERIC_CLASSES)
    pick(np.arange(len(rows.y)), count)
    flat = scaled(rows.x, rows.spec)
    confidence = measure_confidence(choose_svm(flat, rows.y, int(rng.integers(2**31))), flat, rows.y)
    base = np.argsort(np.abs(confidence.margin), kind="stable")[:count]
    return Poison(rows.x[base], confidence.runner_up[base], base, rows.y[base])


BOUNDARY_FLIP = Attack(
    name="boundary-flip",
    description="gives the samples nearest to a support vector machine's boundary the class beyond it",
    needs="the rows that the victim trains on, all numbers without gaps",
    applies=is_numeric_classes,
    victim=fit_svm,
    run=flip_at_boundary,
)
"""The hardest flips to see."""
