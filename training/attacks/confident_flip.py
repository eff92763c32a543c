"""Confident label flips: mislabel the samples of which a support vector machine is surest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.svm import SVC

from training.attacks.attack import Attack, AttackerRows, Labels, Poison, pick
from training.attacks.domain import NUMERIC_CLASSES, is_numeric_classes, require, scaled
from training.attacks.victims import choose_svm, fit_svm

__all__ = [
    "BETA",
    "CONFIDENT_FLIP",
    "Confidence",
    "best_other",
    "flip_confident",
    "flip_cost",
    "flip_order",
    "measure_confidence",
    "relative",
]

BETA = 0.1
"""β1, the weight of the margin against the dual coefficient."""


@dataclass(frozen=True)
class Confidence:
    """What the machines say of each labelled row.

    `alpha_share`: α_i / C in [0, 1], 0 where the row is no support vector. `margin`: y_i f(x_i), positive on the right
    side. `runner_up`: the class ranked first among the other ones.
    """

    alpha_share: NDArray[np.float64]
    margin: NDArray[np.float64]
    runner_up: NDArray[np.int64]


def flip_confident(rows: AttackerRows, count: int, rng: np.random.Generator) -> Poison:
    r"""Copies of the `count` rows that an RBF machine is surest of, each with the class that it ranks second.

    Availability attack on a support vector machine whose training rows are known. Of each row i the machine gives the
    dual coefficient α_i and the margin s_i = y_i f(x_i); the rows with the smallest

        v_i = α_i / C - β1 · s_i / max_j |s_j|,   β1 = 0.1

    are flipped: no support vectors, and far from the boundary. γ and C are found by 5-fold cross-validation.
    Raises `WrongUse` for regression, for tables with text or gaps, and when `count` is not in 1 … len(rows.y).

    Differs from the paper (Biggio, Nelson, Laskov 2011; recalled, not read again): no random hyperplanes (β2 = 0),
    hence one round and no retraining; more than two classes are handled by one machine per class against the rest.
    """
    require(is_numeric_classes(rows.spec), NUMERIC_CLASSES)
    flat = scaled(rows.x, rows.spec)
    confidence = measure_confidence(choose_svm(flat, rows.y, int(rng.integers(2**31))), flat, rows.y)
    base = pick(flip_order(confidence), count)
    return Poison(rows.x[base], confidence.runner_up[base], base, rows.y[base])


def measure_confidence(svm: SVC, flat: NDArray[np.float64], y: Labels) -> Confidence:
    """Fit a copy of `svm` for each class against the rest on `flat` (n, d), y (n,)."""
    classes = np.unique(y)
    own = y[:, np.newaxis] == classes
    shares, decisions = zip(*(_machine(svm, flat, own[:, k]) for k in range(len(classes))), strict=True)
    share, decision = np.stack(shares, axis=1), np.stack(decisions, axis=1)
    return Confidence(share[own], decision[own], best_other(decision, y, classes))


def best_other(scores: NDArray[np.floating], y: Labels, classes: NDArray[np.number]) -> NDArray[np.int64]:
    """Of each row of `scores` (n, classes) the class that is ranked first, its own (y) left out: (n,)."""
    own = y[:, np.newaxis] == classes
    return np.asarray(classes[np.where(own, -np.inf, scores).argmax(axis=1)], np.int64)


def _machine(
    svm: SVC, flat: NDArray[np.float64], own: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """α_i / C (n,) and f(x_i) (n,) of one class against the rest."""
    machine = SVC(C=svm.C, gamma=svm.gamma).fit(flat, own)
    share = np.zeros(len(flat))
    share[machine.support_] = np.abs(machine.dual_coef_[0]) / svm.C
    return share, machine.decision_function(flat)


def flip_order(confidence: Confidence) -> NDArray[np.int64]:
    """Row indices by ascending v_i: the surest rows first."""
    return np.argsort(flip_cost(confidence), kind="stable")


def flip_cost(confidence: Confidence) -> NDArray[np.float64]:
    """v_i (n,): smallest where a flip does most."""
    return confidence.alpha_share - BETA * relative(confidence.margin)


def relative(signed: NDArray[np.float64]) -> NDArray[np.float64]:
    """`signed` (n,) over its largest absolute value: in [-1, 1]."""
    return np.asarray(signed / np.abs(signed).max())


CONFIDENT_FLIP = Attack(
    name="confident-flip",
    description="gives the samples that a support vector machine is surest of the class that it ranks second",
    needs="the rows that the victim trains on, all numbers without gaps",
    applies=is_numeric_classes,
    victim=fit_svm,
    run=flip_confident,
)
"""LFconf."""
