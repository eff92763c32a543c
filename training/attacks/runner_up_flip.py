"""Runner-up flips: random samples with the class that a trained model ranks second."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from guard.spec import ImageInput, InputSpec
from training.attacks.attack import Attack, AttackerRows, Inputs, Labels, Poison, Predict, pick
from training.attacks.confident_flip import best_other
from training.attacks.domain import NUMERIC_CLASSES, is_numeric_classes, require, scaled
from training.attacks.victims import choose_svm, fit_network, fit_svm, logits_of, own_network

__all__ = ["RUNNER_UP_FLIP", "flip_to_runner_up"]


def flip_to_runner_up(rows: AttackerRows, count: int, rng: np.random.Generator) -> Poison:
    """Copies of `count` rows drawn without replacement, each with the likeliest of its wrong classes.

    What is likeliest is told by a model trained on the attacker's own rows: on images a small convolutional network,
    on tables an RBF support vector machine of every class against every other, of which the votes count.
    Raises `WrongUse` for regression, for tables with text or gaps, and when `count` is not in 1 … len(rows.y).
    """
    require(is_numeric_classes(rows.spec), NUMERIC_CLASSES)
    base = pick(rng.permutation(len(rows.y)), count)
    rank = _rank_by_network if isinstance(rows.spec.input, ImageInput) else _rank_by_svm
    return Poison(rows.x[base], rank(rows, rng)[base], base, rows.y[base])


def _rank_by_network(rows: AttackerRows, rng: np.random.Generator) -> NDArray[np.int64]:
    """The runner-up of every image, (n,)."""
    logits = logits_of(own_network(rows, rng), rows.x)
    return best_other(logits, rows.y, np.arange(logits.shape[1]))


def _rank_by_svm(rows: AttackerRows, rng: np.random.Generator) -> NDArray[np.int64]:
    """The runner-up of every row of a table, (n,)."""
    flat = scaled(rows.x, rows.spec)
    svm = choose_svm(flat, rows.y, int(rng.integers(2**31))).fit(flat, rows.y)
    decision = svm.decision_function(flat)
    votes = np.column_stack([-decision, decision]) if decision.ndim == 1 else decision
    return best_other(votes, rows.y, svm.classes_)


def _fit_victim(x: Inputs, y: Labels, spec: InputSpec, seed: int) -> Predict:
    """The kind of model that ranked the classes."""
    return (fit_network if isinstance(spec.input, ImageInput) else fit_svm)(x, y, spec, seed)


RUNNER_UP_FLIP = Attack(
    name="runner-up-flip",
    description="gives random samples the class that a model ranks second",
    needs="a model trained on the attacker's own rows, all numbers without gaps",
    applies=is_numeric_classes,
    victim=_fit_victim,
    run=flip_to_runner_up,
)
"""Flips to the second most likely class."""
