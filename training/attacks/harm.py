"""What an attack does to a model: retrain with the poison in place, and ask for clean rows, or for the targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guard.errors import WrongUse
from guard.spec import ClassLabel, InputSpec
from training.attacks.attack import Attack, AttackerRows, FitVictim, Inputs, Labels, Poison, Predict, Targets
from training.attacks.targeting import network_without
from training.attacks.victims import fit_last_layer, penultimate

__all__ = [
    "Harm",
    "TargetHarm",
    "harm_left",
    "mean_error",
    "measure_harm",
    "measure_target_harm",
    "poisoned_rows",
    "transfer_victim",
]


@dataclass(frozen=True)
class Harm:
    """Error on clean test rows: share of wrong classes, or mean squared error over the label range squared."""

    clean: float
    poisoned: float


@dataclass(frozen=True)
class TargetHarm:
    """For each target, whether a victim reads it as the class that the attacker wants; bool (t,).

    `clean`: trained without poison, mistakes that need no attacker; `poisoned`: trained with it.
    """

    clean: NDArray[np.bool_]
    poisoned: NDArray[np.bool_]


def measure_harm(
    attack: Attack, rows: AttackerRows, poison: Poison, test: tuple[Inputs, Labels], seed: int = 0
) -> Harm:
    """Train the victim on the rows as they were, and with each poisoned row in the place of the row it was made from.

    A flipped copy beside its original would mostly be outvoted by it. Invented rows are added. `test` is clean (x, y).
    """
    x, y = poisoned_rows(rows, poison, np.arange(len(rows.y)))
    clean = attack.victim(rows.x, rows.y, rows.spec, seed)
    poisoned = attack.victim(x, y, rows.spec, seed)
    return Harm(mean_error(clean, test, rows.spec), mean_error(poisoned, test, rows.spec))


def measure_target_harm(victim: FitVictim, rows: AttackerRows, poison: Poison, seed: int = 0) -> TargetHarm:
    """Train `victim` without and with the poison, each time on the rows less all targets, and ask it for the targets.

    A poisoned row stands in the place of the row that it was made from. The poison of all targets is in one training
    set, which is harder on the attacker than one target at a time. The error on other rows is not measured here.
    Raises `WrongUse` where the poison has no targets.
    """
    targets = _targets(poison)
    kept = np.setdiff1d(np.arange(len(rows.y)), targets.index)
    x, y = poisoned_rows(rows, poison, kept)
    clean = victim(rows.x[kept], rows.y[kept], rows.spec, seed)
    poisoned = victim(x, y, rows.spec, seed)
    return TargetHarm(_reached(clean, rows, targets), _reached(poisoned, rows, targets))


def transfer_victim(rows: AttackerRows, targets: Targets, seed: int) -> FitVictim:
    """A victim that trains its last layer anew, on features that it learnt from the clean rows less the targets."""
    return fit_last_layer(penultimate(network_without(rows, targets, seed)))


def harm_left(rows: AttackerRows, poison: Poison, victims: Sequence[FitVictim]) -> NDArray[np.float64]:
    """What each poisoned row still does, (n,) in [0, 1]: by how much more often its target is misread because of it.

    The share of `victims` that read the target as wanted with the poison, less the share that do without; 0 where that
    is negative. Give the poison as it arrives, after any codec: detection weighted by this counts only what works. A
    victim that is trained from scratch changes its mind by chance, too, which only many of them average out. Raises
    `WrongUse` where the poison has no targets.
    """
    harm = [measure_target_harm(victim, rows, poison, seed) for seed, victim in enumerate(victims)]
    rise = np.mean([one.poisoned.astype(np.int64) - one.clean for one in harm], axis=0)
    return np.asarray(np.maximum(rise, 0)[_targets(poison).serves])


def mean_error(predict: Predict, test: tuple[Inputs, Labels], spec: InputSpec) -> float:
    """Share of wrong classes, or mean squared error over the label range squared, on `test`, encoded (x, y)."""
    x, y = test
    if isinstance(spec.label, ClassLabel):
        return float(np.mean(predict(x) != y))
    return float(np.mean(((predict(x) - y) / (spec.label.maximum - spec.label.minimum)) ** 2))


def _targets(poison: Poison) -> Targets:
    if poison.targets is None:
        raise WrongUse("this poison is after no row in particular: measure_harm says what it does")
    return poison.targets


def poisoned_rows(rows: AttackerRows, poison: Poison, kept: NDArray[np.int64]) -> tuple[Inputs, Labels]:
    """x, y of the rows `kept`, int64 (k,), less those that poison was made from, then of the poison."""
    kept = np.setdiff1d(kept, poison.base_index)
    return np.concatenate([rows.x[kept], poison.x]), np.concatenate([rows.y[kept], poison.y])


def _reached(predict: Predict, rows: AttackerRows, targets: Targets) -> NDArray[np.bool_]:
    return np.asarray(predict(rows.x[targets.index]) == targets.wanted)
