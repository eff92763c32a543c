"""Random label flips: the cheapest attack there is, and the commonest honest mistake."""

from __future__ import annotations

import numpy as np

from training.attacks.attack import Attack, AttackerRows, Poison, pick
from training.attacks.domain import class_count, is_classes
from training.attacks.victims import fit_svm

__all__ = ["RANDOM_FLIP", "flip_random"]


def flip_random(rows: AttackerRows, count: int, rng: np.random.Generator) -> Poison:
    """Copies of `count` rows drawn without replacement, each with another class drawn uniformly.

    Availability attack on any classifier; knows nothing but the set of classes.
    Raises `WrongUse` for regression, and when `count` is not in 1 … len(rows.y).
    """
    classes = class_count(rows.spec)
    base = pick(rng.permutation(len(rows.y)), count)
    truth = rows.y[base]
    flipped = (truth + rng.integers(1, classes, size=count)) % classes
    return Poison(rows.x[base], flipped, base, truth)


RANDOM_FLIP = Attack(
    name="random-flip",
    description="gives random samples another class, drawn uniformly",
    needs="the set of classes",
    applies=is_classes,
    victim=fit_svm,
    run=flip_random,
)
"""LFrand."""
