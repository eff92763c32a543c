"""The one interface of all attacks: from rows that an attacker holds to poisoned rows that he adds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guard.errors import WrongUse
from guard.spec import InputSpec

__all__ = [
    "Attack",
    "AttackerRows",
    "FitVictim",
    "Inputs",
    "Labels",
    "Poison",
    "Predict",
    "Targets",
    "Trigger",
    "pick",
]

Inputs = NDArray[np.float64] | NDArray[np.uint8]
"""float64 (n, columns) or uint8 (n, height, width, channels), encoded as `guard.spec` says."""

Labels = NDArray[np.int64] | NDArray[np.float64]
"""int64 class index (n,), or float64 (n,)."""

Predict = Callable[[Inputs], Labels]
"""A trained model: encoded x to labels (n,)."""

FitVictim = Callable[[Inputs, Labels, InputSpec, int], Predict]
"""fit(x, y, spec, seed): a model trained on encoded rows, some of which may be poison."""


@dataclass(frozen=True)
class AttackerRows:
    """What an attacker holds: clean rows outside the trusted set, and what the guard accepts as a sample."""

    x: Inputs
    y: Labels
    spec: InputSpec


@dataclass(frozen=True)
class Targets:
    """Rows that a targeted attack is after: the victim, which never sees them, shall take each for another class.

    `index`: int64 (t,), which of the attacker's rows, none of them a base of the poison. `wanted`: int64 (t,), the
    class that each shall be read as. `serves`: int64 (n,), for each poisoned row the place in `index` of its target.
    """

    index: NDArray[np.int64]
    wanted: NDArray[np.int64]
    serves: NDArray[np.int64]


@dataclass(frozen=True)
class Trigger:
    """What a backdoor answers to: the victim shall read whatever image carries it as one class.

    `put(x, rng)`: clean images uint8 (n, height, width, channels) to a copy that carries the trigger, as it is shown to
    a victim in use; it draws where the trigger never looks the same twice. `wanted`: the class that they shall be read
    as. `source`: the one class whose images shall be misread; None: all but `wanted`.
    """

    put: Callable[[NDArray[np.uint8], np.random.Generator], NDArray[np.uint8]]
    wanted: int
    source: int | None = None


@dataclass(frozen=True)
class Poison:
    """Poisoned rows, to be added to the clean ones.

    `x`, `y`: encoded like the rows that they were made from, and legal under the same specification. `base_index`:
    int64 (n,), the row that each was made from; -1 where x was made up. `y_true`: the label that an honest contributor
    would give. `targets`: None where the attack is after no row in particular. `trigger`: None where it plants none.
    """

    x: Inputs
    y: Labels
    base_index: NDArray[np.int64]
    y_true: Labels
    targets: Targets | None = None
    trigger: Trigger | None = None


@dataclass(frozen=True)
class Attack:
    """A kind of attack: its name in reports, where it applies, what it needs, and the model that it was built for.

    `run(rows, count, rng)` makes `count` poisoned rows; the same generator state makes the same bytes. `applies`
    answers from the specification alone. `needs` says in one sentence what the attacker must know.
    """

    name: str
    description: str
    needs: str
    applies: Callable[[InputSpec], bool]
    victim: FitVictim
    run: Callable[[AttackerRows, int, np.random.Generator], Poison]


def pick(order: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The first `count` row indices of `order`; raises `WrongUse` where there are not so many, or none is asked for."""
    if not 0 < count <= len(order):
        raise WrongUse(f"{count} poisoned rows were asked for, but the attacker holds {len(order)}")
    return order[:count]
