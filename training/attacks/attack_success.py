"""Attack success rate (ASR): how often a victim reads images that carry a trigger as the attacker wants."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from guard.errors import WrongUse
from training.attacks.attack import AttackerRows, FitVictim, Inputs, Labels, Poison, Predict, Trigger
from training.attacks.harm import mean_error, poisoned_rows

__all__ = ["Outcome", "TriggerHarm", "attack_success_rate", "measure_trigger_harm"]


@dataclass(frozen=True)
class Outcome:
    """`error`: share of clean test rows that are misread. `success`: ASR."""

    error: float
    success: float


@dataclass(frozen=True)
class TriggerHarm:
    """A victim trained without poison, and with it. The first one's `success` is chance, not a backdoor."""

    clean: Outcome
    poisoned: Outcome


def attack_success_rate(predict: Predict, trigger: Trigger, test: tuple[Inputs, Labels], seed: int = 0) -> float:
    """ASR: share of triggered test rows of `source`, or of all other classes, that are read as `trigger.wanted`.

    Rows of the wanted class are left out: they would succeed without an attack. `test`: clean (x, y); what the trigger
    draws follows from `seed`. Raises `WrongUse` where no row is left.
    """
    x, y = test
    attacked = y != trigger.wanted if trigger.source is None else y == trigger.source
    if not attacked.any():
        raise WrongUse("no test row is of a class that the backdoor shall misread")
    shown = trigger.put(np.asarray(x[attacked], dtype=np.uint8), np.random.default_rng(seed))
    return float(np.mean(predict(shown) == trigger.wanted))


def measure_trigger_harm(
    victim: FitVictim, rows: AttackerRows, poison: Poison, test: tuple[Inputs, Labels], seed: int = 0
) -> TriggerHarm:
    """Train `victim` on the rows as they were, and with each poisoned row in the place of the row it was made from.

    `test`: clean (x, y). Raises `WrongUse` where the poison has no trigger.
    """
    trigger = poison.trigger
    if trigger is None:
        raise WrongUse("this poison plants no trigger: measure_harm says what it does")
    x, y = poisoned_rows(rows, poison, np.arange(len(rows.y)))
    models = victim(rows.x, rows.y, rows.spec, seed), victim(x, y, rows.spec, seed)
    clean, poisoned = (
        Outcome(mean_error(model, test, rows.spec), attack_success_rate(model, trigger, test, seed)) for model in models
    )
    return TriggerHarm(clean, poisoned)
