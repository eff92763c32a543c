"""Rows that nobody vouches for, before anything is done to them: what is trained on, what is left over, what tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.attacks.attack import AttackerRows, Inputs, Labels, Poison
from training.attacks.codec import as_sent
from training.datasets import Dataset, DatasetName, load_dataset
from training.experiments.roster import find_attack

__all__ = ["DoubtfulRows", "draw_doubtful_rows", "poison_of"]

_TEST = 2_000
_KNOWN = 0.7
"""Share of the rows that training may see, where the publisher made no split."""


@dataclass(frozen=True)
class DoubtfulRows:
    """`train`: what an attacker may change. `rest`: int64, further rows, in a random order. `test`: never seen."""

    dataset: Dataset
    train: AttackerRows
    rest: NDArray[np.int64]
    test: tuple[Inputs, Labels]


def draw_doubtful_rows(data: DatasetName, rows: int, seed: int) -> DoubtfulRows:
    """Draws `rows` training rows. The same data, number and seed give the same rows, whatever the attack."""
    dataset = load_dataset(data)
    known = dataset.training_rows or round(_KNOWN * len(dataset.y))
    order = np.random.default_rng(seed).permutation(known)
    last = np.arange(known, len(dataset.y))[:_TEST]
    train = AttackerRows(dataset.x[order[:rows]], dataset.y[order[:rows]], dataset.spec)
    return DoubtfulRows(dataset, train, order[rows:], (dataset.x[last], dataset.y[last]))


def poison_of(drawn: DoubtfulRows, attack: str, count: int, seed: int) -> Poison:
    """`count` poisoned rows by the attack of that name, made from the training rows, as they arrive."""
    made = find_attack(attack).run(drawn.train, count, np.random.default_rng([seed, 1]))
    return as_sent(made, drawn.train, drawn.dataset.codec)
