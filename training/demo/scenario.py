"""Who sends what: contributors, the records that they send, and the truth that the guard is not told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guard.sample import encode_samples
from training.attacks import Attack, AttackerRows
from training.attacks.attack import Inputs, Labels
from training.attacks.confident_flip import CONFIDENT_FLIP
from training.attacks.gradient_sign import GRADIENT_SIGN
from training.attacks.random_flip import RANDOM_FLIP
from training.attacks.statistical import STATISTICAL
from training.datasets import Dataset, DatasetName, split_dataset
from training.demo.junk import Expected, junk_records

__all__ = ["HONEST", "JUNK", "SIZES", "Contributor", "Entry", "Scenario", "Sizes", "build_scenario"]

HONEST = "honest"
JUNK = "junk"

_HONEST = ("ada", "bo", "cleo")
_ATTACKERS = ("mallory", "oscar", "trudy")
_JUNK_SENDER = "zed"

_ATTACKS = (RANDOM_FLIP, CONFIDENT_FLIP, GRADIENT_SIGN, STATISTICAL)
"""Those that are quick, of different kinds, and at most three on one data set: each has a contributor to itself."""

_POISONED_SHARE = 2 / 3
"""Of what an attacker sends; the rest is honest, as cover."""


@dataclass(frozen=True)
class Sizes:
    """Rows that are trusted, that all attackers hold together, and that honest contributors hold together."""

    trusted: int
    attackers: int
    honest: int


SIZES: dict[DatasetName, Sizes] = {
    "digits": Sizes(trusted=600, attackers=600, honest=530),
    "mnist": Sizes(trusted=3000, attackers=1500, honest=3000),
    "fourclass": Sizes(trusted=145, attackers=400, honest=259),
    "house": Sizes(trusted=245, attackers=300, honest=438),
}
"""How each data set is shared out."""


@dataclass(frozen=True)
class Entry:
    """One line of the stream, and the truth about it.

    `kind`: HONEST, JUNK, or the name of the attack. `x`, `y`, `y_true`: the encoded sample, its claimed and its right
    label; None for junk. `expected`: why junk has to be refused or held; None otherwise.
    """

    record: bytes
    source: str
    kind: str
    x: Inputs | None = None
    y: float | None = None
    y_true: float | None = None
    expected: Expected | None = None


@dataclass(frozen=True)
class Contributor:
    """A name as the stream shows it, and what it is up to: HONEST, JUNK, or the name of an attack."""

    name: str
    kind: str


@dataclass(frozen=True)
class Scenario:
    """A trusted set (`x`, `y`), a stream of lines in the order in which they are sent, and who sends them."""

    dataset: Dataset
    x: Inputs
    y: Labels
    stream: tuple[Entry, ...]
    contributors: tuple[Contributor, ...]
    attacks: tuple[Attack, ...]


def build_scenario(dataset: Dataset, rng: np.random.Generator) -> Scenario:
    """Three honest contributors, one for each attack of the demo that applies to `dataset`, and one that sends junk.

    Attackers hold rows outside the trusted set; two thirds of them they poison, the others they send as they are. Each
    row is sent once.
    """
    sizes = SIZES[dataset.name]
    split = split_dataset(dataset, sizes.trusted, rng)
    attacks = tuple(attack for attack in _ATTACKS if attack.applies(dataset.spec))
    entries: list[Entry] = []
    for name, rows in zip(_HONEST, _shares(split.clean_test[: sizes.honest], len(_HONEST), rng), strict=True):
        entries += _send(dataset, name, HONEST, dataset.x[rows], dataset.y[rows], dataset.y[rows], rng)
    shares = _shares(split.outside[: sizes.attackers], len(attacks), rng)
    for name, attack, rows in zip(_ATTACKERS[: len(attacks)], attacks, shares, strict=True):
        entries += _attack(dataset, name, attack, rows, rng)
    entries += _junk(dataset, split.clean_test[:1])
    stream = tuple(entries[place] for place in rng.permutation(len(entries)))
    return Scenario(
        dataset, dataset.x[split.trusted], dataset.y[split.trusted], stream, _contributors(attacks), attacks
    )


def _shares(rows: NDArray[np.int64], parts: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    return np.array_split(rng.permutation(rows), parts)


def _contributors(attacks: tuple[Attack, ...]) -> tuple[Contributor, ...]:
    honest = [Contributor(name, HONEST) for name in _HONEST]
    hostile = [Contributor(name, attack.name) for name, attack in zip(_ATTACKERS[: len(attacks)], attacks, strict=True)]
    return (*honest, *hostile, Contributor(_JUNK_SENDER, JUNK))


def _attack(
    dataset: Dataset, name: str, attack: Attack, rows: NDArray[np.int64], rng: np.random.Generator
) -> Iterator[Entry]:
    held = AttackerRows(dataset.x[rows], dataset.y[rows], dataset.spec)
    poison = attack.run(held, round(_POISONED_SHARE * len(rows)), rng)
    yield from _send(dataset, name, attack.name, poison.x, poison.y, poison.y_true, rng)
    kept = np.setdiff1d(np.arange(len(rows)), poison.base_index)
    yield from _send(dataset, name, HONEST, held.x[kept], held.y[kept], held.y[kept], rng)


def _send(
    dataset: Dataset, name: str, kind: str, x: Inputs, y: Labels, y_true: Labels, rng: np.random.Generator
) -> Iterator[Entry]:
    """Entries of one kind from one contributor; ids are random, so that nothing but the content gives them away."""
    ids = [f"{number:08x}" for number in rng.integers(2**32, size=len(x)).tolist()]
    records = encode_samples(dataset.spec, x, y, [name] * len(x), ids)
    for record, *truth in zip(records, x, y.tolist(), y_true.tolist(), strict=True):
        yield Entry(record, name, kind, *truth)


def _junk(dataset: Dataset, row: NDArray[np.int64]) -> Iterator[Entry]:
    record = encode_samples(dataset.spec, dataset.x[row], dataset.y[row], [_JUNK_SENDER], ["junk"])[0]
    for expected, spoilt in junk_records(record, dataset.spec):
        yield Entry(spoilt, _JUNK_SENDER, JUNK, expected=expected)
