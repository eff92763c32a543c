"""Adversarial label flips: towards a random hyperplane, retrained, and the most harmful of several tries kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.svm import SVC

from training.attacks.attack import Attack, AttackerRows, Labels, Poison, pick
from training.attacks.confident_flip import BETA, flip_cost, measure_confidence, relative
from training.attacks.domain import NUMERIC_CLASSES, is_numeric_classes, require, scaled
from training.attacks.victims import choose_svm, fit_svm

__all__ = ["ADVERSARIAL_FLIP", "REPETITIONS", "flip_adversarially", "random_margins", "retrained_error"]

REPETITIONS = 10
"""R, the number of random hyperplanes that are tried."""


def flip_adversarially(rows: AttackerRows, count: int, rng: np.random.Generator) -> Poison:
    r"""Copies of the `count` rows whose flip turns an RBF machine towards a random one, each with its runner-up class.

    Availability attack on a support vector machine whose training rows are known. α_i and s_i = y_i f(x_i) are those of
    `confident_flip`; q_i = y_i f^r(x_i) is the margin under a machine of random coefficients, drawn R = 10 times:

    1. v_i = α_i / C - β1 · s_i / max_j |s_j| - β2 · q_i / max_j |q_j|,   β1 = β2 = 0.1;
    2. the rows with the smallest v_i get another class;  3. the machine is trained anew, with the flips in the place
    of their originals;  4. the repetition with the largest error on the rows as they were is kept.

    Raises `WrongUse` for regression, for tables with text or gaps, and when `count` is not in 1 … len(rows.y).

    Differs from the paper (Biggio, Nelson, Laskov 2011; recalled, not read again): R and the range of the random offset
    are ours, and margins are divided by their largest absolute value; more than two classes are handled by one machine
    per class against the rest.
    """
    require(is_numeric_classes(rows.spec), NUMERIC_CLASSES)
    pick(np.arange(len(rows.y)), count)
    flat = scaled(rows.x, rows.spec)
    svm = choose_svm(flat, rows.y, int(rng.integers(2**31)))
    confidence = measure_confidence(svm, flat, rows.y)
    cost = flip_cost(confidence)
    worst, base = -1.0, np.empty(0, np.int64)
    for margins in random_margins(svm, flat, rows.y, REPETITIONS, rng):
        flipped = np.argsort(cost - BETA * relative(margins), kind="stable")[:count]
        taught = rows.y.copy()
        taught[flipped] = confidence.runner_up[flipped]
        error = retrained_error(svm, flat, taught, rows.y)
        if error > worst:
            worst, base = error, flipped
    return Poison(rows.x[base], confidence.runner_up[base], base, rows.y[base])


def random_margins(
    svm: SVC, flat: NDArray[np.float64], y: Labels, repetitions: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Margins q_i = y_i f^r(x_i), (repetitions, n), of the rows of `flat` (n, d) under random machines of their class.

    f^r(x) = Σ_j y_j α_j k(x_j, x) + b with α_j uniform in [0, C], the same for every class, and b uniform up to the
    largest |Σ_j| of all rows; the machines of two classes are each other's negative. The kernel k is that of `svm`,
    whose γ must be a number.
    """
    classes, place = np.unique(y, return_inverse=True)
    alpha = rng.uniform(0, svm.C, (len(y), repetitions))
    offset = rng.uniform(-1, 1, (repetitions, len(classes)))
    if len(classes) == 2:
        offset[:, 1] = -offset[:, 0]
    sums = np.empty((repetitions, len(y)))
    for label in classes:
        own = y == label
        signed = np.where(own, 1, -1)[:, np.newaxis] * alpha
        sums[:, own] = (rbf_kernel(flat[own], flat, gamma=svm.gamma) @ signed).T
    return np.asarray(sums + offset[:, place] * np.abs(sums).max(axis=1, keepdims=True))


def retrained_error(svm: SVC, flat: NDArray[np.float64], taught: Labels, y: Labels) -> float:
    """Share of the rows of `flat` (n, d) whose label y a copy of `svm` gets wrong, trained on the labels `taught`."""
    if (taught == taught[0]).all():  # no machine can be trained on one class, and none is needed
        return float(np.mean(taught != y))
    return float(np.mean(SVC(C=svm.C, gamma=svm.gamma).fit(flat, taught).predict(flat) != y))


ADVERSARIAL_FLIP = Attack(
    name="adversarial-flip",
    description="flips what turns a support vector machine towards a random one; the worst of ten tries",
    needs="the rows that the victim trains on, all numbers without gaps",
    applies=is_numeric_classes,
    victim=fit_svm,
    run=flip_adversarially,
)
"""LF."""
