"""Runner-up flips: random samples with the class that a trained model ranks second."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from guard.spec import ImageInput, InputSpec
from training.attacks.attack import Attack, AttackerRows, Inputs, Labels, Poison, Predict, pick
from training.attacks.confident_flip import NUMBERS, applies_to_numbers
from training.attacks.domain import require, scaled
from training.attacks.victims import choose_svm, fit_network, fit_svm, pixels, train_network

__all__ = ["RUNNER_UP_FLIP", "flip_to_runner_up"]


def flip_to_runner_up(rows: AttackerRows, count: int, rng: np.random.Generator) -> Poison:
    """Copies of `count` rows drawn without replacement, each with the likeliest of its wrong classes.

    What is likeliest is told by a model trained on the attacker's own rows: on images a small convolutional network,
    on tables an RBF support vector machine of every class against every other, of which the votes count.
    Raises `WrongUse` for regression, for tables with text or gaps, and when `count` is not in 1 … len(rows.y).
    """
    require(applies_to_numbers(rows.spec), NUMBERS)
    base = pick(rng.permutation(len(rows.y)), count)
    rank = _rank_by_network if isinstance(rows.spec.input, ImageInput) else _rank_by_svm
    return Poison(rows.x[base], rank(rows, int(rng.integers(2**31)))[base], base, rows.y[base])


def _rank_by_network(rows: AttackerRows, seed: int) -> NDArray[np.int64]:
    """The runner-up of every image, (n,)."""
    network = train_network(pixels(rows.x), torch.from_numpy(rows.y), seed)
    with torch.no_grad():
        logits = torch.cat([network(part) for part in torch.split(pixels(rows.x), 1024)]).numpy()
    return _best_other(logits, rows.y, np.arange(logits.shape[1]))


def _rank_by_svm(rows: AttackerRows, seed: int) -> NDArray[np.int64]:
    """The runner-up of every row of a table, (n,)."""
    flat = scaled(rows.x, rows.spec)
    svm = choose_svm(flat, rows.y, seed).fit(flat, rows.y)
    decision = svm.decision_function(flat)
    votes = np.column_stack([-decision, decision]) if decision.ndim == 1 else decision
    return _best_other(votes, rows.y, svm.classes_)


def _best_other(scores: NDArray[np.floating], y: Labels, classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of each row of `scores` (n, classes) the class that is ranked first, its own (y) left out: (n,)."""
    own = y[:, np.newaxis] == classes
    return np.asarray(classes[np.where(own, -np.inf, scores).argmax(axis=1)])


def _fit_victim(x: Inputs, y: Labels, spec: InputSpec, seed: int) -> Predict:
    """The kind of model that ranked the classes."""
    return (fit_network if isinstance(spec.input, ImageInput) else fit_svm)(x, y, spec, seed)


RUNNER_UP_FLIP = Attack(
    name="runner-up-flip",
    description="gives random samples the class that a model ranks second",
    needs="a model trained on the attacker's own rows, all numbers without gaps",
    applies=applies_to_numbers,
    victim=_fit_victim,
    run=flip_to_runner_up,
)
"""Flips to the second most likely class."""
